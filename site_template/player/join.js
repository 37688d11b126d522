// The model beside the sim: load it, join it to the game that is on, put another in its place.

import { ModelLink } from "./model.js";
import { modelFailed } from "./recover.js";
import { StageError } from "./stages.js";

/** @import {World} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {Choice, Sight} from "./model.js" */

/** The world's model that the player asked for, or its first. @param {Game} game @param {World} world */
function entryOf(game, world) {
  const { family } = game.options;
  const entry = family ? world.models.find((m) => m.family === family) : world.models[0];
  if (!entry) throw new StageError("model", `the world has no model "${family}"`);
  return entry;
}

/** What the sim shows, once it shows something. @param {Game} game @returns {Promise<Sight>} */
const firstSight = (game) =>
  new Promise((resolve) => {
    const sight = () => resolve({ frame: /** @type {any} */ (game.simFrame).slice(), sensors: game.sensors() });
    if (game.simFrame) sight();
    else game.addEventListener("first", sight, { once: true });
  });

/** Load the model beside the sim; a failure leaves the sim, a line and Retry. @param {Game} game */
export function loadModel(game) {
  game.modelLoading ??= playModel(game, /** @type {World} */ (game.world), game.base)
    .catch((error) => modelFailed(game, error))
    .finally(() => (game.modelLoading = null));
  return game.modelLoading;
}

/** The model starts from what the sim shows now. @param {Game} game */
export async function joinModel(game) {
  const { model, sim } = game;
  if (!model?.ready || !game.simFrame || !sim) return;
  if (!model.fits(sim.spec)) {
    game.modelOn = false;
    game.say({ text: "The model rests: the edited sim has other frames, actions or chance than it was trained on." });
    return game.changed();
  }
  await model.start({ frame: game.simFrame, sensors: game.sensors() }, game.past, sim.now.actions.length);
  game.modelOn = true;
  game.modelFrame = new Uint8ClampedArray(game.simFrame);
  game.emit("frame");
  game.changed();
}

/**
 * Load the model anew with another family, backend or variant.
 * @param {Game} game @param {Partial<Choice> & {family?: string}} choice
 */
export async function choose(game, { family, ...choice }) {
  game.choice = { ...game.choice, ...choice };
  if (family) game.options.family = family;
  if (!game.world?.models.length || game.phase === "loading") return;
  await game.modelLoading;
  await loadModel(game);
}

/** Load a model of the world, then play it; the one before plays until it is there. @param {Game} game @param {World} world @param {string} base */
async function playModel(game, world, base) {
  const model = new ModelLink(game.runtime, entryOf(game, world), base, world.spec);
  await model.load(game.choice, game.stages, firstSight(game));
  if (game.notice?.offer === "retry-model") game.notice = null;
  const say = [model.note, model.model.older].filter(Boolean).join(" ");
  if (say) game.say({ text: say });
  await game.exclusively(async () => {
    game.model?.release();
    Object.assign(game, { model, world, base });
    await joinModel(game);
  });
}

/**
 * The site is new. Where that is the world's models alone, and a game is on, play the new ones in it.
 * @param {Game} game @returns {Promise<boolean>} whether the page need not be loaded again
 */
export async function renew(game) {
  const { runtime, stages, world } = game;
  if (!world || !["playing", "paused"].includes(game.phase)) return false;
  const runtimes = JSON.stringify(runtime.site?.runtime);
  await runtime.loadSite(stages.site, true);
  const found = await runtime.loadWorld(game.options.world, stages.world);
  if (found.world.sim.hash !== world.sim.hash || !found.world.models.length) return false;
  if (JSON.stringify(runtime.site?.runtime) !== runtimes) return false;
  await game.modelLoading;
  await playModel(game, found.world, found.url);
  game.say({ text: "A new model plays. Load the page again to read its figures." });
  return true;
}
