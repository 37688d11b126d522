// Edited sources, errors in them, in loading or in a worker, and the recovery from them.

import { reason, StageError, STAGES } from "./loading-stages.js";
import { outdated } from "./manifest.js";
import { WorkerGone } from "./rpc.js";

/** @import {SimFault, Sources, Spec} from "../../types" */
/** @import {SimLink} from "../sim/sim-link.js" */
/** @import {Game} from "./game.js" */

/** @typedef {{message: string, type?: string, file: string | null, line: number | null}} Told */

/**
 * Restart the game from edited sources; after an exception the last good code plays on.
 * @param {Game} game @param {Sources} files by path @returns {Promise<{ok: boolean, error?: Told}>}
 */
export async function runSource(game, files) {
  const { sim, world } = game;
  /** @param {string} message */
  const refused = (message) => ({ ok: false, error: { message, file: null, line: null } });
  if (!sim || !world || !["playing", "paused"].includes(game.phase)) return refused("press Play first: no game runs yet");
  const unknown = Object.keys(files).find((path) => !world.sim?.sources.some((s) => s.path === path && s.editable));
  if (unknown) return refused(`${unknown} is not an editable source`);
  const sources = { ...(game.disk ?? sim.shipped), ...files };
  const { ok, error } = await exchange(game, sources, game.disk !== null && equal(sources, game.disk));
  if (ok) game.resume();
  return ok ? { ok } : { ok, error };
}

/**
 * Replace the running sources with `sources`: the same seed and scenario; after an exception the last good code plays on.
 * @param {Game} game @param {Sources} sources all of them @param {boolean} disk whether `wmsite serve` sent them
 * @returns {Promise<{ok: boolean, error?: Told}>}
 */
export function exchange(game, sources, disk) {
  const sim = /** @type {SimLink} */ (game.sim);
  return game.exclusively(async () => {
    const { seed, scenario } = sim.now;
    const same = equal(sources, sim.shipped);
    let before, ended;
    try {
      before = await sim.save();
      ended = await game.recorder.ended(sim);
    } catch (error) {
      await recover(game, error, false);
      return { ok: false, error: { message: faultOf(error).message, file: null, line: null } };
    }
    try {
      await sim.open(same ? sim.shipped : sources, seed, scenario, trial(sim.spec));
      const shown = await sim.reset(seed, scenario);
      Object.assign(sim.now, { good: same ? null : before, disk });
      game.recorder.add(ended);
      Object.assign(game, { replaying: null, replayState: "none", notice: null, fault: "" });
      game.begin(shown);
      game.changed();
      return { ok: true };
    } catch (error) {
      const fault = faultOf(error);
      if (disk) game.fault = `${place(fault)}. The last good code plays on.`;
      const told = tellFault(game, fault);
      // The old code still runs, unless the new code ended the worker.
      if (error instanceof WorkerGone) {
        sim.now = { ...before, edited: true, good: before };
        await recover(game, error, false);
      }
      game.changed();
      return { ok: false, error: told };
    }
  });
}

/** Are these the same files with the same text? @param {Sources} one @param {Sources} other */
export function equal(one, other) {
  const paths = Object.keys(one);
  return paths.length === Object.keys(other).length && paths.every((path) => one[path] === other[path]);
}

/**
 * A step failed: an exception in the sim, or a dead worker. Restore the last good game.
 * @param {Game} game @param {unknown} error @param {boolean} [tell] whether listeners are told
 */
export async function recover(game, error, tell = true) {
  const sim = /** @type {SimLink} */ (game.sim);
  const gone = error instanceof WorkerGone;
  const fault = faultOf(error);
  const { edited, disk, good } = sim.now;
  const target = edited || !gone ? good : sim.now;
  // An edit on disk, which a build may have shipped by now.
  const stale = target !== null && target === good && (disk || !edited);
  if ((edited || stale) && tell) tellFault(game, fault);
  if (stale) game.fault = `${place(fault)}. The last good code is back.`;
  // The shipped code itself failed: there is no better code to return to.
  if (!target) return fail(game, error);
  const playing = game.phase === "playing";
  game.loop?.stop();
  try {
    if (gone) {
      game.say({ text: `The sim was stopped: ${fault.message}. Python starts anew…` });
      await sim.connect(game.stages.python);
    }
    const shown = await sim.bringBack(target);
    // The last good code has another game than the link.
    if (target === good) Object.assign(game, { replaying: null, replayState: "none" });
    else if (game.replaying) game.replaying.at = sim.now.actions.length;
    if (stale) Object.assign(sim.now, { edited: sim.now.sources !== sim.shipped, disk: true });
    const back = target === good ? "The last good code is back" : `The game is back at tick ${target.actions.length}`;
    // A message over the stage is not repeated.
    if (stale && !gone) game.say(null);
    else game.say({ text: gone ? `The sim was stopped: ${fault.message}. ${back}, paused.` : `${place(fault)}. ${back}.` });
    game.begin(shown);
    if (gone) game.pause("stopped");
    else if (playing) game.resume();
  } catch (again) {
    fail(game, again);
  }
}

/** Neither loading nor the game can continue: say why, and offer Retry. @param {Game} game @param {unknown} error */
export function fail(game, error) {
  game.loop?.stop();
  Object.assign(game, { replaying: null, replayState: "none" });
  game.failedStage = error instanceof StageError ? error.stage : game.alone ? "model" : "sim";
  const fault = faultOf(error);
  game.error = fault.type ? place(fault) : fault.message;
  if (fault.type) tellFault(game, fault);
  game.notice = { text: `${STAGES[game.failedStage]}: ${game.error}.`, offer: "retry" };
  game.set("error");
  game.emit("error", { stage: game.failedStage, message: game.error });
  void renewable(game);
}

/** If the site has a newer version, only loading the page again helps: the files of this one may be gone. @param {Game} game */
async function renewable(game) {
  const { notice } = game;
  if (notice && (await outdated(game.runtime.src)) && game.notice === notice)
    game.say({ text: `${notice.text} This page is of an older version of the site.`, offer: "reload" });
}

/** The model failed: the sim plays on without it. @param {Game} game @param {unknown} error */
export function modelFailed(game, error) {
  if (game.closed) return;
  const stage = error instanceof StageError ? error.stage : "model";
  game.modelOn = false;
  game.model?.release();
  game.modelFrame = null;
  game.said = null;
  game.drift = null;
  if (game.alone) return fail(game, error);
  const message = reason(error);
  // Without a sim, the player must be told about that instead.
  if (game.phase !== "error")
    game.say({ text: `${STAGES[stage]}: ${message}. The sim plays on without it.`, offer: "retry-model" });
  game.emit("error", { stage, message });
  game.emit("frame");
  if (game.phase !== "error") void renewable(game);
}

/** A step of each action, so that most errors show before the old code ends. @param {Spec} spec @returns {number[][]} */
const trial = (spec) =>
  spec.actions.length
    ? spec.actions.map((_, i) => [i])
    : [spec.axes.map((a) => a.neutral), spec.axes.map((a) => a.low), spec.axes.map((a) => a.high)];

/** The sim's part of a failure: its exception from Python, or just a message. @param {unknown} error @returns {SimFault} */
export function faultOf(error) {
  const from = /** @type {{fault?: SimFault, cause?: {fault?: SimFault}}} */ (error);
  return from.fault ?? from.cause?.fault ?? { message: reason(error) };
}

/** Tell listeners about an error in the sim's code. @param {Game} game @param {SimFault} fault @returns {Told} */
export function tellFault(game, { message, type, file, line }) {
  const told = { message, type, file: file ?? null, line: line ?? null };
  game.emit("sim-error", told);
  return told;
}

/** @param {SimFault} fault @returns {string} an error in one line, with its place */
export const place = ({ message, type, file, line }) =>
  `${type && type !== "UserError" ? `${type}: ` : ""}${message}${file ? ` (${file}, line ${line})` : ""}`;
