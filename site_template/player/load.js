// From Play to the first frame: manifests, Python and the sim, and Retry. The model's side is join.js.

import { SECONDS } from "./drift-line.js";
import { loadModel } from "./join.js";
import { Loop, Samples } from "./loop.js";
import { fail } from "./recover.js";
import { opening } from "./rerun.js";
import { SimLink } from "./sim.js";

/** @import {World} from "../types" */
/** @import {Game} from "./game.js" */

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
