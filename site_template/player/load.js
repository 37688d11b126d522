// From Play to the first frame: manifests, Python and the sim, the model beside them, and Retry.

import { SECONDS } from "./drift-line.js";
import { Loop, Samples } from "./loop.js";
import { ModelLink } from "./model.js";
import { fail, modelFailed } from "./recover.js";
import { opening } from "./rerun.js";
import { SimLink } from "./sim.js";
import { StageError } from "./stages.js";

/** @import {World} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {Choice, Sight} from "./model.js" */

const OLDER = "This model was made for the sim as it was before it was edited.";

/** Load all that is not here yet, and play. A second call retries what failed. @param {Game} game */
export async function load(game) {
  if (game.phase === "loading") return;
  game.set("loading");
  game.notice = null;
  const retry = game.failedStage !== null;
  game.failedStage = game.error = null;
  const { runtime, stages } = game;
  try {
    await runtime.loadSite(stages.site, retry);
    // Python needs no manifest of the world: it boots beside it.
    const python = runtime.python(stages.python);
    python.catch(() => {});
    const { world, url } = await runtime.loadWorld(game.options.world, stages.world);
    if (game.closed) return;
    game.base = url;
    game.world = world;
    const sim = (game.sim ??= new SimLink(runtime, world, {}));
    sim.onwait = (waited) => game.slow(waited);
    if (!world.models.length) game.mode = "sim";
    else if (!game.modelOn) void loadModel(game);
    await loadSim(game, sim, world);
  } catch (error) {
    fail(game, error);
  }
}

/** @param {Game} game @param {SimLink} sim @param {World} world */
async function loadSim(game, sim, world) {
  const { runtime, stages } = game;
  if (!Object.keys(sim.shipped).length) {
    const { sources } = world.sim;
    const texts = await stages.world.run(
      () => Promise.all(sources.map((s) => runtime.fetch({ ...s, url: new URL(s.url, game.base).href }, stages.world))),
      true,
    );
    sim.shipped = Object.fromEntries(sources.map((s, i) => [s.path, new TextDecoder().decode(texts[i])]));
  }
  await sim.connect(stages.python);
  const first = await stages.sim.run(async () => {
    const { seed, scenario } = opening(game);
    await sim.open(sim.shipped, seed, scenario, []);
    return sim.reset(seed, scenario);
  });
  if (game.closed) return sim.close();
  if (!game.loop) game.drifts = new Samples(Math.round(SECONDS * world.spec.rate));
  game.loop ??= new Loop({ rate: world.spec.rate, tick: () => game.tick(), present: () => game.emit("frame") });
  game.emit("ready");
  game.begin(first);
  game.resume();
}

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
  game.modelLoading ??= (async () => {
    try {
      const world = /** @type {World} */ (game.world);
      game.model ??= new ModelLink(game.runtime, entryOf(game, world), game.base, world.spec);
      await game.model.load(game.choice, game.stages, firstSight(game));
      if (game.notice?.offer === "retry-model") game.notice = null;
      if (game.model.note) game.say({ text: game.model.note });
      else if (game.model.model.older) game.say({ text: OLDER });
      await game.exclusively(() => game.joinModel());
    } catch (error) {
      modelFailed(game, error);
    } finally {
      game.modelLoading = null;
    }
  })();
  return game.modelLoading;
}

/**
 * Load the model anew with another family, backend or variant; the one before plays until it is there.
 * @param {Game} game @param {Partial<Choice> & {family?: string}} choice
 */
export async function choose(game, { family, ...choice }) {
  game.choice = { ...game.choice, ...choice };
  if (family) game.options.family = family;
  if (!game.world?.models.length || game.phase === "loading") return;
  await game.modelLoading;
  if (!family) {
    game.modelOn = false;
    return loadModel(game);
  }
  game.modelLoading = replaceModel(game, game.world, game.base)
    .catch((error) => modelFailed(game, error))
    .finally(() => (game.modelLoading = null));
  return game.modelLoading;
}

/** Load another model of the world while the game goes on, then play it. @param {Game} game @param {World} world @param {string} base */
async function replaceModel(game, world, base) {
  const model = new ModelLink(game.runtime, entryOf(game, world), base, world.spec);
  await model.load(game.choice, game.stages, firstSight(game));
  await game.exclusively(async () => {
    game.model?.release();
    game.model = model;
    game.world = world;
    game.base = base;
    await game.joinModel();
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
  await replaceModel(game, found.world, found.url);
  game.say({ text: "A new model plays. Load the page again to read its figures." });
  return true;
}
