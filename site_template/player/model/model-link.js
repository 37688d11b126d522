// One game's side of a model worker: the variant, its backend, and its steps beside the sim's.

import { adapter } from "../element/browser-features.js";
import { LIMITS, reason } from "../game/loading-stages.js";
import { Samples } from "../game/loop.js";
import { WorkerGone } from "../game/rpc.js";
import { saidBy } from "./observed.js";

/** @import {Backend, Model, Precision, Spec, Variant} from "../../types" */
/** @import {Stage} from "../game/loading-stages.js" */
/** @import {Remote} from "../game/rpc.js" */
/** @import {Runtime} from "../game/runtime.js" */
/** @import {Values} from "./observed.js" */

/** `values`: what the model says of sensors. @typedef {{frame: Uint8Array<ArrayBuffer>, reward: number, terminated: number, values: Values, drift: number | null, ms: number}} Predicted */
/** The place where a model runs: its name in a backend's worker. @typedef {{name: string, remote: Remote, backend: Backend, variant: Variant}} Place */
/** The precision for WebGPU, and the ms of a step that it has to beat. @typedef {{wanted: Precision | "auto", slower: number}} Improvement */
/** `evaluations`: of the network for a frame, if the model offers a choice. @typedef {{backend: Backend | "auto", variant: Precision | "auto", evaluations: number | null}} Choice */
/** The sim's frame and what the world's models read of its sensors. @typedef {{frame: Uint8ClampedArray<ArrayBuffer>, values: Values}} Sight */
/** A sight of the sim, with the action (in the sim's form) and the chance of the step after it. @typedef {Sight & {action: number[], chance: number[]}} Moment */

/** Without being asked, the page tries WebGPU if a step on wasm takes more than this part of a tick. A model that was reported slow counts as quick again below `QUICK` of that. */
const TOO_SLOW = 0.6;
const QUICK = 0.8;
/** The runtime compiles frequent code again: steps are timed after this many, and over this many. */
const WARM_UP = 60;
const TIMED = 60;
/** A backend matches if frames differ by less than this, in levels of 0-255: on average, and except for this share of pixels. */
const MATCH = { mean: 1, far: 24, share: 0.005 };

let models = 0;

export class ModelLink {
  /** @param {Runtime} runtime @param {Model} model @param {string} base the address of world.json @param {Spec} spec */
  constructor(runtime, model, base, spec) {
    this.runtime = runtime;
    this.model = model;
    this.base = base;
    this.spec = spec;
    /** The outputs in which it says what sensors measure, by state. */
    this.says = saidBy(model, spec);
    this.name = `model-${++models}`;
    /** @type {Remote | null} */
    this.remote = null;
    /** @type {Backend | null} */
    this.backend = null;
    /** @type {Variant | null} */
    this.variant = null;
    /** Evaluations of the network for each frame. */
    this.evaluations = model.variants[0].evaluations;
    /** Has the model seen enough of the game to go on alone? */
    this.settled = false;
    /** What happened during loading, as text; empty if there is nothing to report. */
    this.note = "";
    /** The milliseconds of the last steps. */
    this.steps = new Samples(TIMED);
    /** The requested precision. @type {Precision | "auto"} */
    this.wanted = "auto";
    /** Does a step take too long, as far as the page knows? */
    this.slow = false;
  }

  /** Is the worker ready, with the graph? */
  get ready() {
    return this.remote !== null && this.remote.gone === null;
  }

  /** Does the model fit the sim's frame and sensors, also after an edit? @param {Spec} spec */
  fits({ cameras, actions, axes, chance, sensors }) {
    const s = this.spec;
    return (
      cameras.length === s.cameras.length &&
      cameras.every((c, i) => c.height === s.cameras[i].height && c.width === s.cameras[i].width) &&
      actions.length === s.actions.length &&
      axes.length === s.axes.length &&
      chance.length === s.chance.length &&
      JSON.stringify(sensors.map(shaped)) === JSON.stringify(s.sensors.map(shaped))
    );
  }

  /** The first match, because the manifest lists the fastest variant first. @param {Backend} backend @param {Precision | "auto"} wanted */
  offers(backend, wanted) {
    return this.model.variants.find(
      (v) => v.evaluations === this.evaluations && v.backends.includes(backend) && (wanted === "auto" || v.name === wanted),
    );
  }

  /** @param {Backend} backend @param {Precision | "auto"} wanted @returns {Variant} */
  pick(backend, wanted) {
    const found = this.offers(backend, wanted);
    if (!found) throw new Error(`${this.model.label} has no ${wanted === "auto" ? "" : `${wanted} `}variant for ${backend}`);
    return found;
  }

  /**
   * Load the model on wasm, which runs everywhere, so that it can play at once: `improve` does the rest.
   * @param {Choice} choice @param {{runtime: Stage, model: Stage}} stages @param {Promise<Sight>} first the sim's first frame
   * @returns {Promise<Improvement | null>} the request for WebGPU, if there is one
   */
  async load(choice, stages, first) {
    this.note = "";
    const { variants } = this.model;
    this.evaluations = (variants.find((v) => v.evaluations === choice.evaluations) ?? variants[0]).evaluations;
    // This model may not have the choices of another one.
    const offered = variants.some((v) => v.evaluations === this.evaluations && v.name === choice.variant);
    const wanted = offered ? choice.variant : "auto";
    const asked = choice.backend === "webgpu";
    // wasm may not have the choices of WebGPU.
    const plain = this.offers("wasm", wanted) || !asked ? wanted : "auto";
    const variant = this.pick("wasm", plain);
    const { remote } = await this.prepare(this.name, "wasm", variant, stages, first);
    this.take({ name: this.name, remote, backend: "wasm", variant });
    this.wanted = wanted;
    return asked ? { wanted, slower: Infinity } : null;
  }

  /**
   * Prepare the model on WebGPU; if that is missing, fails or does not match, wasm stays, with a note.
   * @param {Improvement} improvement @param {{runtime: Stage, model: Stage}} stages @param {Promise<Sight>} first
   * @returns {Promise<Place | null>} to be taken with `take` between two ticks
   */
  async improve({ wanted, slower }, stages, first) {
    try {
      return await this.onWebGpu(wanted, stages, first, slower);
    } catch (error) {
      for (const stage of Object.values(stages)) stage.phase = "done";
      const why = `WebGPU is not used: ${reason(error)}`;
      const asked = slower === Infinity;
      this.note = asked ? `${why}. The model runs on wasm.` : `A model step takes ${slower.toFixed(0)} ms here, and ${why}.`;
      return null;
    }
  }

  /** From now on, run the model in this place. @param {Place} place */
  take(place) {
    if (this.remote) this.release();
    Object.assign(this, place);
    this.steps.clear();
  }

  /**
   * Note the time of a step. @param {number} ms
   * @returns {number | null} the median of the last steps, if it has just become too slow, or quick enough again
   */
  timed(ms) {
    this.steps.push(ms);
    const { count } = this.steps;
    if (count < WARM_UP + TIMED || count % TIMED) return null;
    const { p50 } = this.steps.percentiles();
    const slow = p50 > ((this.slow ? QUICK : 1) * TOO_SLOW * 1000) / this.spec.rate;
    if (slow === this.slow) return null;
    this.slow = slow;
    return p50;
  }

  /**
   * Fetch the runtime and the graph beside everything else; compile only when the sim is ready, because
   * the player waits for the sim.
   * @param {string} name @param {Backend} backend @param {Variant} variant @param {{runtime: Stage, model: Stage}} stages
   * @param {Promise<Sight>} first
   */
  async prepare(name, backend, variant, stages, first) {
    const { runtime, model } = stages;
    model.detail = `${variant.name} on ${backend}`;
    const booting = this.runtime.model(backend, runtime);
    booting.catch(() => {});
    const file = { ...variant.step, url: new URL(variant.step.url, this.base).href };
    const graph = await model.run(() => this.runtime.fetch(file, model));
    const { remote, listeners } = await booting;
    const sight = seen(await first);
    const heard = () => model.progress();
    listeners.add(heard);
    const loading = model.run(async () => {
      await remote.call("load", { name, model: this.model, says: this.says, graph }, [graph], LIMITS.stage);
      const probe = await remote.call("probe", { name, sight, steps: 3 }, [], LIMITS.stage);
      return { remote, ms: /** @type {number} */ (probe.ms), frame: /** @type {Uint8Array} */ (probe.frame) };
    }, true);
    return loading.finally(() => listeners.delete(heard));
  }

  /**
   * Load on WebGPU, and check that it draws the same as wasm, in less than `slower` ms.
   * @param {Precision | "auto"} wanted @param {{runtime: Stage, model: Stage}} stages
   * @param {Promise<Sight>} first @param {number} slower @returns {Promise<Place>}
   */
  async onWebGpu(wanted, stages, first, slower) {
    // Check here first, because its runtime is a large download.
    await adapter();
    if (!("Suspending" in WebAssembly)) throw new Error("this browser cannot suspend WebAssembly (JSPI)");
    const variant = this.pick("webgpu", wanted);
    const name = `${this.name}-gpu`;
    const gpu = await this.prepare(name, "webgpu", variant, stages, first);
    try {
      const reference = variant.backends.includes("wasm") ? variant : this.pick("wasm", "auto");
      const wasm = await this.prepare(`${this.name}-test`, "wasm", reference, stages, first);
      await wasm.remote.call("release", { name: `${this.name}-test` });
      const differs = mismatch(gpu.frame, wasm.frame);
      if (differs) throw new Error(`its self-test differs from wasm (${differs})`);
      if (gpu.ms > slower) throw new Error(`it is slower here (${gpu.ms.toFixed(0)} ms a step)`);
    } catch (error) {
      void gpu.remote.call("release", { name }).catch(() => {});
      throw error;
    }
    return { name, remote: gpu.remote, backend: "webgpu", variant };
  }

  /** @param {string} method @param {Record<string, unknown>} args @param {Transferable[]} [transfer] @returns {Promise<any>} */
  call(method, args, transfer = []) {
    if (!this.remote) return Promise.reject(new WorkerGone("the model is not loaded"));
    return this.remote.call(method, { name: this.name, ...args }, transfer, LIMITS.step);
  }

  /** @param {number[]} action in the sim's form @returns {number[]} in the model's form: one-hot, or the axes */
  vector(action) {
    return this.spec.actions.length ? this.spec.actions.map((_, i) => Number(i === action[0])) : action;
  }

  /** Does the running variant know when a game ends? If not, it never ends one. */
  get tellsEnds() {
    return this.variant?.ends ?? false;
  }

  /** @param {Predicted} predicted @returns {boolean} whether the model's game is over */
  ended({ terminated }) {
    return this.tellsEnds && terminated > this.model.ended_above;
  }

  /** The reward of the model: the nearest of the sim's possible rewards. @param {Predicted} predicted */
  rewarded({ reward }) {
    /** @param {number} near @param {number} value */
    const nearer = (near, value) => (Math.abs(value - reward) < Math.abs(near - reward) ? value : near);
    const { rewards } = this.model;
    return rewards.length ? rewards.reduce(nearer) : reward;
  }

  /** The number of moments before a frame that the model starts from. */
  get reach() {
    return this.model.history - 1;
  }

  /**
   * Start from the sim's state after `age` ticks. With fewer moments than the model needs, although the game has
   * had more, it is not settled: it watches the sim until `past` is long enough.
   * @param {Sight} sight @param {Moment[]} past newest last @param {number} age
   */
  async start(sight, past, age) {
    const told = past.map((m) => ({
      ...seen(m),
      action: Float32Array.from(this.vector(m.action)),
      chance: Float32Array.from(m.chance),
    }));
    await this.call("start", { sight: seen(sight), past: told });
    this.settled = past.length >= this.reach || past.length === age;
  }

  /**
   * Step the model beside the sim. `frame` (transferred) is the sim's before this step; its buffer comes back with the model's frame.
   * @param {Uint8Array<ArrayBuffer>} frame @param {Values} values @param {number[]} action @param {number[]} chance
   * @param {boolean} grounded @param {number} noise the share of pixels to change in the model's input
   * @returns {Promise<Predicted>}
   */
  step(frame, values, action, chance, grounded, noise) {
    return this.call("step", { frame, values, action: this.vector(action), chance, grounded, noise }, [frame.buffer]);
  }

  release() {
    if (this.ready) void this.call("release", {}).catch(() => {});
    this.remote = null;
  }
}

/** @param {Sight} sight in the worker's form */
const seen = ({ frame, values }) => ({ frame: new Uint8Array(frame.buffer), values });

/** @param {Spec["sensors"][number]} sensor */
const shaped = ({ name, shape }) => [name, shape];

/** Describe the difference of two frames, or return "" if they match. @param {Uint8Array} a @param {Uint8Array} b */
function mismatch(a, b) {
  if (a.length !== b.length) return "another size";
  let sum = 0;
  let far = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    sum += d;
    if (d > MATCH.far) far++;
  }
  const mean = sum / a.length;
  if (mean <= MATCH.mean && far <= MATCH.share * a.length) return "";
  return `${mean.toFixed(2)} levels on average, ${far} values far off`;
}
