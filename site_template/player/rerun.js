// A game from a link: read it, play it, say whether it ended as it did where it was made.

import { joinModel } from "./join.js";
import { fromFragment, ReplayError, toFragment } from "./replay.js";
import { recover } from "./recover.js";

/** @import {Replay, World} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {SimLink} from "./sim.js" */

/** Say where the first game starts: as the link in the options says, or at the first seed. @param {Game} game */
export function opening(game) {
  const { spec } = /** @type {World} */ (game.world);
  const { fragment } = game.options;
  game.options.fragment = null;
  if (fragment !== null) {
    try {
      const replay = fromFragment(fragment, spec);
      const here = /** @type {SimLink} */ (game.sim).hash;
      if (replay.sim !== here)
        throw new ReplayError(
          `this replay was made with another version of the sim (${replay.sim.slice(0, 8)}; ` +
            `here it is ${here.slice(0, 8)}), so it would not be the same game`,
        );
      game.replaying = { replay, at: 0 };
      game.replayState = "playing";
      return replay;
    } catch (error) {
      if (!(error instanceof ReplayError)) throw error;
      game.say({ text: `Replay refused: ${error.message}.` });
    }
  }
  return { seed: 1, scenario: spec.scenarios[0] };
}

/** Return the fragment of a link that replays the game up to now. @param {Game} game @returns {Promise<string>} */
export function share(game) {
  return game.exclusively(async () => {
    const sim = /** @type {SimLink} */ (game.sim);
    const { seed, scenario, actions } = sim.now;
    const replay = { world: game.options.world, sim: sim.hash, seed, scenario, actions, end: await sim.digest() };
    return toFragment(replay, sim.spec);
  });
}

/** Replay a link; before the game is here, once it is. @param {Game} game @param {string} fragment */
export async function rerun(game, fragment) {
  game.options.fragment = fragment;
  if (!game.sim || game.phase === "loading" || game.phase === "error" || game.phase === "idle") return;
  const { seed, scenario } = opening(game);
  const { replaying, replayState } = game;
  if (!replaying) return;
  await game.restart(seed, scenario);
  Object.assign(game, { replaying, replayState });
  game.resume();
}

/** Take the rest of the replay at once. @param {Game} game */
export async function skip(game) {
  await game
    .exclusively(async () => {
      if (!game.replaying || !game.sim) return;
      const { replay, at } = game.replaying;
      game.replaying.at = replay.actions.length;
      const shown = await game.sim.run(replay.actions.slice(at));
      if (shown) game.take(shown);
      await endReplay(game);
      await joinModel(game);
    })
    .catch((error) => recover(game, error));
  game.emit("frame");
}

/** All actions are taken: compare the end states. @param {Game} game */
export async function endReplay(game) {
  const { replay } = /** @type {{replay: Replay}} */ (game.replaying);
  const end = await /** @type {SimLink} */ (game.sim).digest();
  game.replaying = null;
  game.replayState = end === replay.end ? "matches" : "differs";
  game.pause("replay");
  game.changed();
}
