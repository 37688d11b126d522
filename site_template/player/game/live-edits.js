// Under `wmsite serve`: the running game takes over edits on disk, and goes on.
//
// The sim's files come at once, and are played. The site built from them comes later, and the game then
// becomes one of that site. An edit of the reader's own is never replaced without asking.

import { loadModel } from "../model/join.js";
import { checkOpening, loadSources } from "./loading.js";
import { equal, exchange } from "./recover.js";

/** @import {Sources, World} from "../../types" */
/** @import {SimLink} from "../sim/sim-link.js" */
/** @import {Game} from "./game.js" */

/** Is there a running game that could go on? @param {Game} game */
const running = (game) => Boolean(game.world && game.sim && ["playing", "paused"].includes(game.phase));

/**
 * Play the sim's current files on disk, with the same seed and scenario.
 * @param {Game} game @param {Sources} sources all of them, by path
 * @returns {Promise<"plays" | "offered" | "failed">}
 */
export async function follow(game, sources) {
  if (!running(game)) return "failed";
  const sim = /** @type {SimLink} */ (game.sim);
  const before = game.disk ?? sim.shipped;
  game.disk = sources;
  game.emit("disk", { sources, taken: false });
  if (equal(sources, sim.now.sources)) {
    game.fault = "";
    game.changed();
    return "plays";
  }
  if (!sim.now.edited || sim.now.disk) return (await exchange(game, sources, true)).ok ? "plays" : "failed";
  const changed = Object.keys(sources).filter((path) => sources[path] !== before[path]);
  if (changed.length) game.say({ text: `${changed.join(", ")} changed on the disk. Your edit plays on.`, offer: "take" });
  return "offered";
}

/** Replace the reader's edit with the files on disk. @param {Game} game */
export async function take(game) {
  if (!game.disk) return;
  game.say(null);
  game.emit("disk", { sources: game.disk, taken: true });
  await exchange(game, game.disk, true);
}

/**
 * There is a new build of the site: the running game becomes one of it.
 * @param {Game} game @returns {Promise<boolean | null>} whether it does; if not, the page must be loaded again; null: there is no game
 */
export async function renew(game) {
  const { runtime, stages } = game;
  if (game.phase === "idle") return null;
  if (!running(game)) return false;
  const before = runtime.site;
  await runtime.loadSite(stages.site, true);
  const now = runtime.site;
  if (now?.version === before?.version) return true;
  if (JSON.stringify(now?.runtime) !== JSON.stringify(before?.runtime)) return false;
  const found = await runtime.loadWorld(game.options.world, stages.world);
  if (found.url === game.base) {
    game.say({ text: "This page was edited. Load it again to read it." });
    return true;
  }
  if (!found.world.sim) return false;
  const sim = /** @type {SimLink} */ (game.sim);
  const sources = await loadSources(game, found.world, found.url);
  // This is a build of an older edit: the build of the last one follows.
  if (game.disk && !equal(game.disk, sources)) return true;
  const edited = !equal(sources, sim.shipped);
  // If the build has parts that this game can't take over, the page is loaded again.
  if (edited && (await follow(game, sources)) === "failed") return false;
  await game.modelLoading;
  adopt(game, found.world, found.url, sources);
  if (found.world.models.length) await loadModel(game);
  if (!edited && game.modelOn) game.say({ text: "A new model plays. Load the page again to read its figures." });
  return true;
}

/** The site now ships another version. @param {Game} game @param {World} world @param {string} base @param {Sources} sources */
function adopt(game, world, base, sources) {
  const sim = /** @type {SimLink} */ (game.sim);
  if (!equal(sources, sim.shipped)) Object.assign(sim, { shipped: sources, opening: "" });
  const same = equal(sources, sim.now.sources);
  // The previous code is kept, because it is known to work.
  sim.now = { ...sim.now, edited: !same, ...(same && { sources: sim.shipped, disk: false }) };
  sim.world = world;
  Object.assign(game, { world, base });
  checkOpening(game);
  if (!world.models.length) {
    game.model?.release();
    Object.assign(game, { model: null, modelOn: false, modelFrame: null, said: null, drift: null });
  }
  game.emit("adopted");
  game.changed();
}
