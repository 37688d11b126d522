// From Play to the first frame: manifests, Python and the sim, and Retry. The model's side is model/join.js.

import { loadModel } from "../model/join.js";
import { opening } from "../replay/play-link.js";
import { SimLink } from "../sim/sim-link.js";
import { SECONDS } from "../views/drift.js";
import { Loop, Samples } from "./loop.js";
import { load } from "./manifest.js";
import { modesOf } from "./modes.js";
import { fail } from "./recover.js";

/** @import {SimSource, Sources, World} from "../../types" */
/** @import {Shown} from "../sim/sim-link.js" */
/** @import {Game} from "./game.js" */

/** Load everything missing, and play. A second call retries what failed. @param {Game} game */
export async function start(game) {
  if (game.phase === "loading") return;
  game.set("loading");
  game.notice = null;
  const retry = game.failedStage !== null;
  game.failedStage = game.error = null;
  const { runtime, stages } = game;
  const { fragment } = game.options;
  try {
    await runtime.loadSite(stages.site, retry);
    // Python needs no manifest of the world: it starts at the same time.
    if (!game.options.recorded) runtime.python(stages.python).catch(() => {});
    const { world, url } = await runtime.loadWorld(game.options.world, stages.world);
    if (game.closed) return;
    game.base = url;
    game.world = world;
    if (!world.sim) return await loadStarts(game, world);
    const sim = (game.sim ??= new SimLink(runtime, world, {}));
    sim.onwait = (waited) => game.slow(waited);
    if (!world.models.length) game.mode = "sim";
    else if (!game.modelOn) void loadModel(game);
    await loadSim(game, sim, world);
  } catch (error) {
    game.options.fragment ??= fragment; // Retry plays the link, too.
    fail(game, error);
  }
}

/** Fetch the sim's files of a world; its manifest is at `base`. @param {Game} game @param {World} world @param {string} base @returns {Promise<Sources>} */
export async function loadSources({ runtime, stages }, world, base) {
  const { sources } = /** @type {SimSource} */ (world.sim);
  const texts = await stages.world.run(
    () => Promise.all(sources.map((s) => runtime.fetch({ ...s, url: new URL(s.url, base).href }, stages.world))),
    true,
  );
  return Object.fromEntries(sources.map((s, i) => [s.path, new TextDecoder().decode(texts[i])]));
}

/** Say once, during the game, that this browser's Python plays the world differently from the build's. @param {Game} game */
export function checkOpening(game) {
  const title = game.world?.title;
  void game.sim?.checkOpening((tick) =>
    game.say({
      text:
        `${title} plays differently here from tick ${tick} on than where this page was built: ` +
        "replays and recordings of one do not fit the other.",
    }),
  );
}

/** @param {Game} game @param {SimLink} sim @param {World} world */
async function loadSim(game, sim, world) {
  const { stages } = game;
  if (!Object.keys(sim.shipped).length) sim.shipped = await loadSources(game, world, game.base);
  await sim.connect(stages.python);
  sim.onbytes = (bytes) => stages.sim.add(bytes);
  const first = await stages.sim.run(async () => {
    const { seed, scenario } = opening(game);
    await sim.open(sim.shipped, seed, scenario, []);
    return sim.reset(seed, scenario);
  });
  if (game.closed) return sim.close();
  present(game, world, first);
  // A model that is to be watched plays from the game's beginning.
  if (game.replaying?.replay.model) await game.modelLoading;
  game.enter();
  checkOpening(game);
}

/** A world without a simulator: its recorded moments, then the model, which plays on from them. @param {Game} game @param {World} world */
async function loadStarts(game, world) {
  const { runtime, stages } = game;
  const { Starts } = await load(new URL("../sim/starts.js", import.meta.url).href);
  if (!modesOf(world).includes(game.mode)) game.mode = "neural";
  const sim = (game.sim ??= /** @type {SimLink} */ (await stages.world.run(() => Starts.load(runtime, world, game.base, (/** @type {number} */ bytes) => stages.world.add(bytes)), true)));
  if (game.closed) return;
  present(game, world, await sim.reset(sim.now.seed, world.spec.scenarios[0]));
  await loadModel(game);
  if (game.phase === "loading") game.enter();
}

/** The first frame is there: prepare the game's loop, and show it. @param {Game} game @param {World} world @param {Shown} first */
function present(game, world, first) {
  if (!game.loop) game.drifts = new Samples(Math.round(SECONDS * world.spec.rate));
  game.loop ??= new Loop({ rate: world.spec.rate, tick: () => game.tick(), present: () => game.emit("frame") });
  game.emit("ready");
  game.begin(first);
}
