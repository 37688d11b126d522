// The model beside the sim: load it, let it join the running game, or replace it with another.

import { StageError } from "../game/loading-stages.js";
import { scored, tellEndless } from "../game/neural-game.js";
import { modelFailed } from "../game/recover.js";
import { ModelLink } from "./model-link.js";
import { Said } from "./observed.js";

/** @import {World} from "../../types" */
/** @import {Game} from "../game/game.js" */
/** @import {Choice, Improvement, Sight} from "./model-link.js" */

/** The model of the world that the player chose, or the first one. @param {Game} game @param {World} world */
function entryOf(game, world) {
  const { family } = game.options;
  const entry = family ? world.models.find((m) => m.family === family) : world.models[0];
  if (!entry) throw new StageError("model", `the world has no model "${family}"`);
  return entry;
}

/** The sim's frame and sensors, once there is a frame. @param {Game} game @returns {Promise<Sight>} */
const firstSight = (game) =>
  new Promise((resolve) => {
    const sight = () => resolve({ frame: /** @type {any} */ (game.simFrame).slice(), values: game.values() });
    if (game.simFrame) sight();
    else game.addEventListener("first", sight, { once: true });
  });

/** Load the model beside the sim; after a failure the sim goes on, with a message and Retry. @param {Game} game */
export function loadModel(game) {
  game.modelLoading ??= playModel(game, /** @type {World} */ (game.world), game.base)
    .catch((error) => modelFailed(game, error))
    .finally(() => (game.modelLoading = null));
  return game.modelLoading;
}

/** Start the model from the sim's current state. @param {Game} game */
export async function joinModel(game) {
  const { model, sim } = game;
  if (!model?.ready || !game.simFrame || !sim) return;
  if (!model.fits(sim.spec)) {
    game.modelOn = false;
    game.say({ text: "The model rests: the edited sim has other frames, actions or chance than it was trained on." });
    return game.changed();
  }
  const values = game.values();
  if (game.alone) sim.now.actions = [];
  await model.start({ frame: game.simFrame, values }, game.past, sim.now.actions.length);
  game.modelOn = true;
  game.score = scored(game);
  game.rewards.model.clear();
  // It starts from what the sim shows.
  const known = Object.entries(values).filter(([state]) => state in model.says);
  game.said = new Said(sim.spec.sensors, Object.fromEntries(known));
  tellEndless(game);
  game.modelFrame = new Uint8ClampedArray(game.simFrame);
  game.emit("frame");
  game.changed();
}

/**
 * Load the model again with another family, backend or variant.
 * @param {Game} game @param {Partial<Choice> & {family?: string}} choice
 */
export async function choose(game, { family, ...choice }) {
  game.choice = { ...game.choice, ...choice };
  if (family) game.options.family = family;
  if (!game.world?.models.length || game.phase === "loading") return;
  await game.modelLoading;
  await loadModel(game);
}

/** Load a model of the world, then play it; the previous one plays until then. @param {Game} game @param {World} world @param {string} base */
async function playModel(game, world, base) {
  const model = new ModelLink(game.runtime, entryOf(game, world), base, world.spec);
  const first = firstSight(game);
  const improvement = await model.load(game.choice, game.stages, first);
  if (game.notice?.offer === "retry-model") game.notice = null;
  await game.exclusively(async () => {
    if (game.closed) return model.release();
    game.model?.release();
    Object.assign(game, { model, world, base });
    await joinModel(game);
  });
  if (game.closed) return;
  tellNote(game, model);
  if (improvement) void improve(game, model, improvement, first).catch((error) => modelFailed(game, error));
}

/** If steps have become too slow, try WebGPU; when they are quick again, remove the notice. @param {Game} game @param {number} ms of a step */
export function keepPace(game, ms) {
  const model = /** @type {ModelLink} */ (game.model);
  const slower = model.timed(ms);
  if (slower === null || game.choice.backend !== "auto" || model.backend !== "wasm" || !("gpu" in navigator)) return;
  if (model.slow) void improve(game, model, { wanted: model.wanted, slower }, firstSight(game)).catch((error) => modelFailed(game, error));
  else if (model.note) {
    const said = noteOf(model);
    model.note = "";
    if (game.notice?.text === said) game.say(noteOf(model) ? { text: noteOf(model) } : null);
  }
}

/**
 * Move the running model to WebGPU, once that is ready: a browser may take its time, or never answer.
 * @param {Game} game @param {ModelLink} model @param {Improvement} improvement @param {Promise<Sight>} first
 */
async function improve(game, model, improvement, first) {
  const place = await model.improve(improvement, game.stages, first);
  // By now another model may play, or none.
  if (game.model !== model || !model.ready) return place?.remote.call("release", { name: place.name });
  if (!place) {
    // It may have become fast enough in the meantime.
    if (improvement.slower < Infinity && !model.slow) model.note = "";
    return tellNote(game, model);
  }
  // A game that the model plays alone is not interrupted without asking.
  if (game.mode === "neural" && improvement.slower < Infinity) return place.remote.call("release", { name: place.name });
  await game.exclusively(async () => {
    model.take(place);
    await joinModel(game);
  });
}

/** @param {ModelLink} model @returns {string} its notes, in one line */
const noteOf = (model) => [model.note, model.model.older].filter(Boolean).join(" ");

/** Show the model's notes. @param {Game} game @param {ModelLink} model */
function tellNote(game, model) {
  const say = noteOf(model);
  // A message about a refusal stays visible.
  if (say && game.notice?.offer !== "dismiss") game.say({ text: say });
}
