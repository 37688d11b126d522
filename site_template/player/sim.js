// One game's end of the Python worker: its sources, its steps, and how it comes back from a crash.

import { digest } from "./replay.js";
import { LIMITS } from "./stages.js";

/** @import {Sources, Spec, World} from "../types" */
/** @import {Remote} from "./rpc.js" */
/** @import {Runtime} from "./runtime.js" */
/** @import {Stage} from "./stages.js" */

/** @typedef {{frame: ArrayBuffer, status: Float64Array, next?: number[] | null, ms?: number}} Shown */

/**
 * A game that can be brought back: what runs, how it began, all that was done, and a shortcut.
 * @typedef {{
 *   sources: Sources, edited: boolean, seed: number, scenario: string, actions: number[][],
 *   begun: Date, drivers: [step: number, who: string][],
 *   saved: {at: number, bytes: Uint8Array} | null, good: Save | null,
 * }} Save
 * `drivers`: who drove from which step on;
 * `good`: the game before the edit that runs here, which is known to work.
 */

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
    /** Where the status has which number, by name. @type {Map<string, number>} */
    this.places = new Map();
    this.spec = world.spec;
    /** What runs now, to be brought back. @type {Save} */
    this.now = {
      sources: shipped,
      edited: false,
      seed: 0,
      scenario: world.spec.scenarios[0],
      actions: [],
      begun: new Date(),
      drivers: [],
      saved: null,
      good: null,
    };
    /** Called when Python has worked on one call for this long; with 0 when it has answered. @type {(waited: number) => void} */
    this.onwait = () => {};
  }

  /** @param {string} method @param {Record<string, unknown>} [args] @param {Transferable[]} [transfer] @returns {Promise<any>} */
  async call(method, args = {}, transfer = []) {
    const remote = /** @type {Remote} */ (this.remote);
    remote.onwait = (_, waited) => this.onwait(waited);
    try {
      const limit = method === "open" ? LIMITS.open : LIMITS.step;
      return await remote.call(method, { name: this.name, ...args }, transfer, limit);
    } finally {
      this.onwait(0);
    }
  }

  /** Connect to the Python worker, booted if need be. @param {Stage} stage */
  async connect(stage) {
    this.remote = (await this.runtime.python(stage)).remote;
  }

  /**
   * Open `sources`; on an exception what ran before runs on. `trial` steps must pass first.
   * @param {Sources} sources @param {number} seed @param {string} scenario @param {number[][]} trial
   */
  async open(sources, seed, scenario, trial) {
    const { module } = this.world.sim;
    /** @type {{layout: string[], spec: Spec}} */
    const { layout, spec } = await this.call("open", { module, sources, seed, scenario, trial });
    this.places = new Map(layout.map((name, i) => [name, i]));
    this.spec = spec;
    this.now = { ...this.now, sources, edited: sources !== this.shipped };
  }

  /** @param {number} seed @param {string} scenario @returns {Promise<Shown>} */
  async reset(seed, scenario) {
    const shown = await this.call("reset", { seed, scenario });
    this.now = { ...this.now, seed, scenario, actions: [], begun: new Date(), drivers: [], saved: null };
    return shown;
  }

  /** Note who takes the coming step. @param {string} who */
  drive(who) {
    const { drivers, actions } = this.now;
    if (drivers.at(-1)?.[1] !== who) drivers.push([actions.length, who]);
  }

  /**
   * Step the game; the reply's `next` is what `behaviour` would do in the coming step.
   * @param {number[]} action @param {string | null} behaviour @param {ArrayBuffer | undefined} buffer @returns {Promise<Shown>}
   */
  async step(action, behaviour, buffer) {
    const shown = await this.call("step", { action, behaviour, buffer }, buffer ? [buffer] : []);
    const { actions } = this.now;
    actions.push(action);
    // Every few seconds: coming back then replays few steps.
    if (actions.length % Math.ceil(5 * this.spec.rate) === 0) void this.save().catch(() => {});
    return shown;
  }

  /** Take many steps at once and show the last. @param {number[][]} actions @returns {Promise<Shown | null>} */
  async run(actions) {
    let shown = null;
    // In parts, each well within the time limit of a call.
    for (let i = 0; i < actions.length; i += 500) {
      const part = actions.slice(i, i + 500);
      shown = await this.call("run", { actions: part });
      this.now.actions.push(...part);
    }
    return shown;
  }

  /** @param {string} behaviour @returns {Promise<number[]>} */
  act(behaviour) {
    return this.call("act", { behaviour });
  }

  /** @returns {Promise<string>} the digest of the whole state now */
  digest() {
    return this.call("digest");
  }

  /** Keep the state now, so that the game can be brought back from here. @returns {Promise<Save>} */
  async save() {
    const now = this.now;
    const at = now.actions.length;
    const bytes = await this.call("snapshot");
    now.saved = { at, bytes };
    return { ...now, actions: now.actions.slice(), drivers: now.drivers.slice() };
  }

  /**
   * Bring back a saved game in the worker that is there now. @param {Save} save @returns {Promise<Shown>}
   */
  async bringBack(save) {
    const { sources, seed, scenario, actions, saved } = save;
    await this.open(sources, seed, scenario, []);
    let shown = await this.reset(seed, scenario);
    if (saved) shown = await this.call("restore", { bytes: saved.bytes });
    this.now = { ...save, actions: actions.slice(0, saved?.at ?? 0) };
    return (await this.run(actions.slice(saved?.at ?? 0))) ?? shown;
  }

  /** The hash that a replay of this code carries: the shipped sim's, or one of the edited text. */
  get hash() {
    const { sources, edited } = this.now;
    if (!edited) return this.world.sim.hash.slice(0, 16);
    return digest(new TextEncoder().encode(JSON.stringify(Object.entries(sources).sort())));
  }

  close() {
    if (this.remote && this.remote.gone === null) void this.call("close").catch(() => {});
  }
}
