// A game from a link: read it, play it, and say whether its end state is the same as where it was made.

import { recover } from "../game/recover.js";
import { WorkerGone } from "../game/rpc.js";
import { choose, joinModel } from "../model/join.js";
import { fromFragment, replayedWorld, ReplayError, toFragment } from "./link.js";

/** @import {Replay, World} from "../../types" */
/** @import {Game} from "../game/game.js" */
/** @import {SimLink} from "../sim/sim-link.js" */

/** Return the game of the link in the options, once; null, and a message, if it can't be played. @param {Game} game */
function linked(game) {
  const { fragment } = game.options;
  const sim = /** @type {SimLink} */ (game.sim);
  game.options.fragment = null;
  if (fragment === null) return null;
  try {
    const named = replayedWorld(fragment);
    if (named !== game.options.world) throw new ReplayError(`this page has no world "${named}"`);
    const replay = fromFragment(fragment, sim.spec);
    if (replay.sim !== sim.hash)
      throw new ReplayError(
        `this replay was made with another version of the sim (${replay.sim.slice(0, 8)}; ` +
          `here it is ${sim.hash.slice(0, 8)}), so it would not be the same game`,
      );
    if (replay.model && !game.world?.models.some((m) => m.family === replay.model))
      throw new ReplayError(`it is of a model that this world does not have: "${replay.model}"`);
    return replay;
  } catch (error) {
    if (!(error instanceof ReplayError)) throw error;
    game.say({ text: `Replay refused: ${error.message}.`, offer: "dismiss" });
    return null;
  }
}

/** Return the start of the first game: from the link in the options, or the first seed. @param {Game} game */
export function opening(game) {
  const replay = linked(game);
  if (!replay) return { seed: 1, scenario: /** @type {World} */ (game.world).spec.scenarios[0] };
  game.mode = replay.mode ?? game.mode;
  game.replaying = { replay, at: 0 };
  game.replayState = "playing";
  return replay;
}

/** Return the fragment of a link that replays the game so far. @param {Game} game @returns {Promise<string>} */
export function share(game) {
  return game.exclusively(async () => {
    const sim = /** @type {SimLink} */ (game.sim);
    const { seed, scenario, actions } = sim.now;
    const replay = { world: game.options.world, sim: sim.hash, seed, scenario, actions, end: await sim.digest() };
    return toFragment(replay, sim.spec);
  });
}

/** Replay a link, or if the game is not loaded yet, as soon as it is. @param {Game} game @param {string} fragment */
export async function playLink(game, fragment) {
  game.options.fragment = fragment;
  if (!game.sim || game.phase === "loading" || game.phase === "error" || game.phase === "idle") return;
  const replay = linked(game);
  // If the link is refused, the current game goes on.
  if (!replay) return;
  game.loop?.stop();
  const { model } = replay;
  if (model && model !== (game.options.family ?? game.world?.models[0].family)) await choose(game, { family: model });
  if (replay.mode && game.mode !== replay.mode) game.setMode(replay.mode);
  await game.restart(replay.seed, replay.scenario);
  Object.assign(game, { replaying: { replay, at: 0 }, replayState: "playing", notice: null });
  game.resume();
}

/** Take the rest of the replay at once, or until the player stops it. @param {Game} game */
export async function skip(game) {
  await game
    .exclusively(async () => {
      if (!game.replaying || !game.sim) return;
      const { replaying } = game;
      const { actions } = replaying.replay;
      const from = replaying.at;
      let on = true;
      game.skipping = { stop: () => (on = false) };
      game.changed();
      try {
        const before = game.sim.now.actions.length;
        const shown = await game.sim.run(actions.slice(from), () => on);
        replaying.at = from + game.sim.now.actions.length - before;
        if (shown) game.take(shown);
      } finally {
        game.skipping = null;
      }
      if (replaying.at >= actions.length) await endReplay(game);
      else game.pause("you");
      await joinModel(game);
    })
    .catch((error) => recover(game, error));
  game.changed();
  game.emit("frame");
}

/** All actions are done: compare the end states. @param {Game} game */
export async function endReplay(game) {
  const { replay } = /** @type {{replay: Replay}} */ (game.replaying);
  const end = await /** @type {SimLink} */ (game.sim).digest().catch((error) => {
    if (error instanceof WorkerGone) throw error;
    return null; // A sim that can't return its state.
  });
  game.replaying = null;
  game.replayState = end === replay.end ? "matches" : "differs";
  // The step that breaks a model is there to be looked at.
  const watched = replay.model !== undefined && game.replayState === "matches";
  if (watched) game.say({ text: "The link ends here, at the step that breaks the model.", offer: "dismiss" });
  const why = watched ? "step" : "replay";
  game.pause(why);
  game.why = why; // It may be paused already.
  game.changed();
}
