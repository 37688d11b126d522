// One game's side of the Python worker: its sources, its steps, and its recovery from a crash.

import { LIMITS } from "../game/loading-stages.js";
import { asFault, WorkerGone } from "../game/rpc.js";
import { asSpec } from "../game/world-manifest.js";
import { digest } from "../replay/link.js";
import { frameSize } from "../views/cameras.js";
import { loadViews } from "../views/registry.js";

/** @import {SimFault, SimSource, Sources, Spec, World} from "../../types" */
/** @import {Stage} from "../game/loading-stages.js" */
/** @import {Remote} from "../game/rpc.js" */
/** @import {Moment} from "../model/model-link.js" */
/** @import {Runtime} from "../game/runtime.js" */

/** `past`: the moments before a recorded start. @typedef {{frame: ArrayBuffer, status: Float64Array, next?: number[] | null, ms?: number, past?: Moment[]}} Shown */

/**
 * A game that can be restored: its running sources, its start, all its actions, and a shortcut.
 * @typedef {{
 *   sources: Sources, edited: boolean, disk: boolean, seed: number, scenario: string, actions: number[][],
 *   begun: Date, drivers: [step: number, who: string][],
 *   saved: {at: number, bytes: Uint8Array} | null, good: Save | null,
 * }} Save
 * `disk`: edited on the disk that `wmsite serve` serves, not by the reader;
 * `drivers`: who plays, from which step on;
 * `good`: the game before the running edit, which is known to work.
 */

/** Calls that leave nothing half done, because their arguments hold their whole start. */
const WHOLE = new Set(["open", "reset", "restore", "parse", "opening", "close"]);

/** The name of a sim's spec in messages. */
const SPEC = "the sim's spec";

/** Steps in one call. */
const PART = 200;

/** The opening is checked after the first frame and the model's start; then bit by bit, because the game needs the worker too, ms. */
const BEFORE_OPENING = 1500;
const BETWEEN_TICKS = 100;

let games = 0;

export class SimLink {
  /** @param {Runtime} runtime @param {World} world @param {Sources} shipped */
  constructor(runtime, world, shipped) {
    this.runtime = runtime;
    this.world = world;
    this.shipped = shipped;
    this.name = `game-${++games}`;
    /** @type {Remote | null} */
    this.remote = null;
    /** The archives that imports have needed since Python's start. @type {Set<string>} */
    this.asked = new Set();
    /** The index in the status of each number, by name. @type {Map<string, number>} */
    this.places = new Map();
    this.spec = world.spec;
    /** Whether this browser's Python plays the world as the build did. @type {"" | "asked" | "same" | "differs"} */
    this.opening = "";
    this.closed = false;
    /** The running game, for recovery. @type {Save} */
    this.now = {
      sources: shipped,
      edited: false,
      disk: false,
      seed: 0,
      scenario: world.spec.scenarios[0],
      actions: [],
      begun: new Date(),
      drivers: [],
      saved: null,
      good: null,
    };
    /** Called with the bytes of an archive that an import needs. @type {(bytes: number) => void} */
    this.onbytes = () => {};
    /** Called with the time (ms) that Python has worked on one call; 0 when it has answered. @type {(waited: number) => void} */
    this.onwait = () => {};
  }

  /** @param {string} method @param {Record<string, unknown>} [args] @param {Transferable[]} [transfer] @returns {Promise<any>} */
  async call(method, args = {}, transfer = []) {
    const remote = /** @type {Remote} */ (this.remote);
    remote.onwait = (_, waited) => this.onwait(waited);
    const limit = method === "open" ? LIMITS.open : LIMITS.step;
    try {
      return await remote.call(method, { name: this.name, ...args }, transfer, limit);
    } catch (error) {
      const { needs } = /** @type {{needs?: string}} */ (error);
      if (!needs || this.asked.has(needs)) throw error;
      this.asked.add(needs);
      await this.runtime.provide(remote, needs, this.onbytes);
      // The call may be half done: restore the game, and call again.
      if (!WHOLE.has(method)) await this.bringBack(this.now);
      return await this.call(method, { ...args, buffer: undefined });
    } finally {
      this.onwait(0);
    }
  }

  /** The result of a call, if it can be one of this game. @param {unknown} value */
  shown(value) {
    return asShown(value, this.spec, this.places.size);
  }

  /** Connect to the Python worker, and start it if necessary. @param {Stage} stage */
  async connect(stage) {
    this.remote = (await this.runtime.python(stage)).remote;
    this.asked.clear();
  }

  /**
   * Open `sources`; after an exception the previous code runs on. First, `trial` steps must pass.
   * @param {Sources} sources @param {number} seed @param {string} scenario @param {number[][]} trial
   */
  async open(sources, seed, scenario, trial) {
    const { module } = this.source;
    const answer = await this.call("open", { module, sources, seed, scenario, trial });
    let opened;
    try {
      opened = asOpened(answer);
      await loadViews(opened.spec, SPEC, this.runtime.files);
    } catch (error) {
      // It has replaced the previous code.
      if (this.places.size) await this.bringBack(this.now);
      throw error;
    }
    const { layout, spec } = opened;
    this.places = new Map(layout.map((name, i) => [name, i]));
    this.spec = spec;
    this.now = { ...this.now, sources, edited: sources !== this.shipped };
  }

  /** @param {number} seed @param {string} scenario @returns {Promise<Shown>} */
  async reset(seed, scenario) {
    const shown = this.shown(await this.call("reset", { seed, scenario }));
    this.now = { ...this.now, seed, scenario, actions: [], begun: new Date(), drivers: [], saved: null };
    return shown;
  }

  /** Note who plays the coming step. @param {string} who */
  drive(who) {
    const { drivers, actions } = this.now;
    if (drivers.at(-1)?.[1] !== who) drivers.push([actions.length, who]);
  }

  /**
   * Step the game; the reply's `next` is the action of `behaviour` for the coming step.
   * @param {number[]} action @param {string | null} behaviour @param {ArrayBuffer | undefined} buffer @returns {Promise<Shown | null>} null: nothing new
   */
  async step(action, behaviour, buffer) {
    const shown = this.shown(await this.call("step", { action, behaviour, buffer }, buffer ? [buffer] : []));
    const { actions } = this.now;
    actions.push(action);
    // Every few seconds, so that a recovery replays few steps.
    if (actions.length % Math.ceil(5 * this.spec.rate) === 0) void this.save().catch(() => {});
    return shown;
  }

  /**
   * Take many steps at once and show the last; `more` says whether to go on.
   * @param {number[][]} actions @param {() => boolean} [more] @returns {Promise<Shown | null>}
   */
  async run(actions, more = () => true) {
    let shown = null;
    // In parts: each is well within the time limit of a call, and ends soon if the player stops.
    for (let i = 0; i < actions.length && more(); i += PART) {
      const part = actions.slice(i, i + PART);
      shown = this.shown(await this.call("run", { actions: part }));
      this.now.actions.push(...part);
    }
    return shown;
  }

  /** The syntax error of a Python text; none of it runs. @param {string} path @param {string} text @returns {Promise<SimFault | null>} */
  async parse(path, text) {
    const told = await this.call("parse", { path, text });
    return told && asFault(told);
  }

  /** @param {string} behaviour @returns {Promise<number[]>} */
  async act(behaviour) {
    return asAction(await this.call("act", { behaviour }), this.spec);
  }

  /** @returns {Promise<string>} the digest of the whole current state */
  async digest() {
    return asDigest(await this.call("digest"));
  }

  /** Save the current state, so that the game can be restored from here. @returns {Promise<Save>} */
  async save() {
    const now = this.now;
    const at = now.actions.length;
    try {
      now.saved = { at, bytes: asSnapshot(await this.call("snapshot")) };
    } catch (error) {
      // A sim that can't return its state is restored by its actions alone.
      if (error instanceof WorkerGone) throw error;
    }
    return { ...now, actions: now.actions.slice(), drivers: now.drivers.slice() };
  }

  /**
   * Restore a saved game in the current worker. @param {Save} save @returns {Promise<Shown>}
   */
  async bringBack(save) {
    const { sources, seed, scenario, actions, saved } = save;
    await this.open(sources, seed, scenario, []);
    let shown = await this.reset(seed, scenario);
    if (saved) shown = this.shown(await this.call("restore", { bytes: saved.bytes }));
    this.now = { ...save, actions: actions.slice(0, saved?.at ?? 0) };
    return (await this.run(actions.slice(saved?.at ?? 0))) ?? shown;
  }

  /**
   * Play the first ticks of a separate game, beside the running one: does this browser's Python play them as the build did?
   * @param {(tick: number) => void} differs called with the first tick that differs
   */
  async checkOpening(differs) {
    if (this.opening) return;
    this.opening = "asked";
    const { remote, shipped } = this;
    const other = () => this.closed || this.now.edited || this.shipped !== shipped || this.remote !== remote;
    for (const [tick, wanted] of this.source.opening.entries()) {
      await new Promise((resolve) => setTimeout(resolve, tick ? BETWEEN_TICKS : BEFORE_OPENING));
      /** @type {string} */
      let found;
      try {
        if (other()) return;
        found = await this.call("opening");
      } catch {
        return; // The worker is gone: the running game reports it.
      }
      if (other()) return;
      if (found === wanted) continue;
      this.opening = "differs";
      return differs(tick + 1);
    }
    this.opening = "same";
  }

  /** The shipped sim. */
  get source() {
    return /** @type {SimSource} */ (this.world.sim);
  }

  /** The seed of the next game. */
  get next() {
    return this.now.seed + 1;
  }

  /** The hash in a replay of this code: the shipped sim's, or one of the edited text. */
  get hash() {
    const { sources, edited } = this.now;
    if (!edited) return this.source.hash.slice(0, 16);
    return digest(new TextEncoder().encode(JSON.stringify(Object.entries(sources).sort())));
  }

  close() {
    this.closed = true;
    if (this.remote && this.remote.gone === null) void this.call("close").catch(() => {});
  }
}

// --- Answers --------------------------------------------------------------------------------
//
// A sim may be anybody's program, and may have replaced the code that answers for it. Then it can still only
// show a wrong game: an answer that is no frame, status, action or spec is refused with a message.

/** @param {string} what @returns {never} */
const refuse = (what) => {
  throw new Error(`the sim answers with what is no ${what}`);
};

/** @param {unknown} value @returns {any} */
const object = (value) => (typeof value === "object" && value !== null ? value : {});

/** @param {unknown} value @param {Spec} spec @returns {number[]} */
function asAction(value, { actions, axes }) {
  const size = actions.length ? 1 : axes.length;
  if (!Array.isArray(value) || value.length !== size || !value.every((v) => Number.isFinite(v))) refuse("action");
  return /** @type {number[]} */ (value);
}

/** @param {unknown} value @param {Spec} spec @param {number} places the number of values in its status @returns {Shown} */
function asShown(value, spec, places) {
  const { frame, status, next, ms } = object(value);
  if (!(frame instanceof ArrayBuffer) || frame.byteLength !== frameSize(spec.cameras)) refuse("frame");
  if (!(status instanceof Float64Array) || status.length !== places) refuse("status");
  return { frame, status, next: next ? asAction(next, spec) : null, ms: Number.isFinite(ms) ? ms : 0 };
}

/** @param {unknown} value @returns {{layout: string[], spec: Spec}} */
function asOpened(value) {
  const { layout, spec } = object(value);
  if (!Array.isArray(layout) || !layout.every((name) => typeof name === "string")) refuse("layout");
  return { layout, spec: asSpec(spec, SPEC) };
}

/** @param {unknown} value @returns {string} */
function asDigest(value) {
  if (typeof value !== "string" || !/^[0-9a-f]{16}$/.test(value)) refuse("digest");
  return /** @type {string} */ (value);
}

/** @param {unknown} value @returns {Uint8Array} */
function asSnapshot(value) {
  if (!(value instanceof Uint8Array)) refuse("snapshot");
  return /** @type {Uint8Array} */ (value);
}
