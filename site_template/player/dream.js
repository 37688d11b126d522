// A dream: the model alone, from a state of the sim that the player chose, and the way back to it.

import { joinModel } from "./join.js";
import { modelFailed, recover } from "./recover.js";

/** @import {Mode} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {Moment} from "./model.js" */
/** @import {Save, SimLink} from "./sim.js" */

/** Where it began: the sim's game, the moments before it, and the mode it was seen in. @typedef {{save: Save, past: Moment[], mode: Mode}} Dream */

/** Can the model go on alone from what the sim shows now? @param {Game} game */
export const canDream = (game) => game.modelOn && !game.over && !game.dream;

/** Let the model play on alone from the state that the sim is in; a replay ends here. @param {Game} game */
export async function dream(game) {
  const sim = /** @type {SimLink} */ (game.sim);
  try {
    await game.exclusively(async () => {
      if (!canDream(game)) return;
      const save = await sim.save();
      // Copies: the game gives its old frames away.
      const past = game.past.map((m) => ({ ...m, frame: m.frame.slice() }));
      game.dream = { save, past, mode: game.mode };
      Object.assign(game, { mode: "neural", drift: null, replaying: null, replayState: "none" });
      await joinModel(game).catch((error) => modelFailed(game, error));
    });
    game.resume();
  } catch (error) {
    await recover(game, error);
  }
}

/** Bring the sim back to where the dream began, paused: from there one can play on, or dream again. @param {Game} game */
export async function wake(game) {
  const sim = /** @type {SimLink} */ (game.sim);
  game.pause("you");
  try {
    await game.exclusively(async () => {
      if (!game.dream) return;
      const { save, past } = game.dream;
      game.begin(await sim.bringBack(save), past);
      game.why = "you";
    });
    game.changed();
  } catch (error) {
    await recover(game, error);
  }
}
