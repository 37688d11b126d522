// Edited sources, what goes wrong in them, in a load or in a worker, and the way back from it.

import { WorkerGone } from "./rpc.js";
import { StageError, STAGES } from "./stages.js";

/** @import {SimFault, Sources, Spec} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {SimLink} from "./sim.js" */

/** @typedef {{message: string, type?: string, file: string | null, line: number | null}} Told */

/**
 * Restart the game from edited sources; on an exception the last good code plays on.
 * @param {Game} game @param {Sources} files by path @returns {Promise<{ok: boolean, error?: Told}>}
 */
export async function runSource(game, files) {
  const { sim, world } = game;
  /** @param {string} message */
  const refused = (message) => ({ ok: false, error: { message, file: null, line: null } });
  if (!sim || !world || !["playing", "paused"].includes(game.phase)) return refused("press Play first: no game runs yet");
  const unknown = Object.keys(files).find((path) => !world.sim.sources.some((s) => s.path === path && s.editable));
  if (unknown) return refused(`${unknown} is not an editable source`);
  const edited = { ...sim.shipped, ...files };
  const same = Object.entries(sim.shipped).every(([path, text]) => edited[path] === text);
  return game.exclusively(async () => {
    const { seed, scenario } = sim.now;
    const before = await sim.save();
    const ended = await game.recorder.ended(sim);
    try {
      await sim.open(same ? sim.shipped : edited, seed, scenario, trial(sim.spec));
      const shown = await sim.reset(seed, scenario);
      sim.now.good = same ? null : before;
      game.recorder.add(ended);
      Object.assign(game, { replaying: null, replayState: "none", notice: null });
      game.begin(shown);
      game.resume();
      return { ok: true };
    } catch (error) {
      const told = tellFault(game, faultOf(error));
      // The old code never stopped, unless the new one took the worker with it.
      if (error instanceof WorkerGone) {
        sim.now = { ...before, edited: true, good: before };
        await recover(game, error, false);
      }
      return { ok: false, error: told };
    }
  });
}

/**
 * A step failed: an exception in the sim, or a worker that is gone. Bring the last good game back.
 * @param {Game} game @param {unknown} error @param {boolean} [tell] whether listeners hear of it
 */
export async function recover(game, error, tell = true) {
  const sim = /** @type {SimLink} */ (game.sim);
  const gone = error instanceof WorkerGone;
  const fault = faultOf(error);
  const { edited } = sim.now;
  if (edited && tell) tellFault(game, fault);
  const target = edited ? sim.now.good : gone ? sim.now : null;
  // The shipped code itself raised: nothing better to go back to.
  if (!target) return fail(game, error);
  const playing = game.phase === "playing";
  game.loop?.stop();
  try {
    if (gone) {
      game.say({ text: `The sim was stopped: ${fault.message}. Python starts anew…` });
      await sim.connect(game.stages.python);
    }
    const shown = await sim.bringBack(target);
    const back = edited ? "The last good code is back" : `The game is back at tick ${target.actions.length}`;
    game.say({ text: gone ? `The sim was stopped: ${fault.message}. ${back}, paused.` : `${place(fault)}. ${back}.` });
    game.begin(shown);
    if (gone) game.pause("stopped");
    else if (playing) game.resume();
  } catch (again) {
    fail(game, again);
  }
}

/** Neither load nor game goes on: say why, and offer Retry. @param {Game} game @param {unknown} error */
export function fail(game, error) {
  game.loop?.stop();
  game.failedStage = error instanceof StageError ? error.stage : "sim";
  const fault = faultOf(error);
  game.error = fault.type ? place(fault) : fault.message;
  if (fault.type) tellFault(game, fault);
  game.notice = { text: `${STAGES[game.failedStage]}: ${game.error}.`, offer: "retry" };
  game.set("error");
  game.emit("error", { stage: game.failedStage, message: game.error });
}

/** The model fails: the sim plays on without it. @param {Game} game @param {unknown} error */
export function modelFailed(game, error) {
  if (game.closed) return;
  const stage = error instanceof StageError ? error.stage : "model";
  game.modelOn = false;
  game.model?.release();
  game.modelFrame = null;
  game.drift = null;
  const message = error instanceof Error ? error.message : String(error);
  // Without a sim, that is what the player must hear of.
  if (game.phase !== "error")
    game.say({ text: `${STAGES[stage]}: ${message}. The sim plays on without it.`, offer: "retry-model" });
  game.emit("error", { stage, message });
  game.emit("frame");
}

/** A step of each action, so that most faults show before the old code goes. @param {Spec} spec @returns {number[][]} */
const trial = (spec) =>
  spec.actions.length
    ? spec.actions.map((_, i) => [i])
    : [spec.axes.map((a) => a.neutral), spec.axes.map((a) => a.low), spec.axes.map((a) => a.high)];

/** What a failure says of the sim: its exception as Python described it, or just a message. @param {unknown} error @returns {SimFault} */
export function faultOf(error) {
  const from = /** @type {{fault?: SimFault, cause?: {fault?: SimFault}}} */ (error);
  return from.fault ?? from.cause?.fault ?? { message: error instanceof Error ? error.message : String(error) };
}

/** Tell listeners of a fault in the sim's code. @param {Game} game @param {SimFault} fault @returns {Told} */
export function tellFault(game, { message, type, file, line }) {
  const told = { message, type, file: file ? `sims/${file}` : null, line: line ?? null };
  game.emit("sim-error", told);
  return told;
}

/** @param {SimFault} fault @returns {string} a fault in one line, with its place */
export const place = ({ message, type, file, line }) =>
  `${type && type !== "UserError" ? `${type}: ` : ""}${message}${file ? ` (sims/${file}, line ${line})` : ""}`;
