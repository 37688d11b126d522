// One game's end of a model worker: which variant runs on what, and its steps beside the sim's.

import { WorkerGone } from "./rpc.js";
import { LIMITS } from "./stages.js";

/** @import {Backend, ModelEntry, Precision, Spec, Variant} from "../types" */
/** @import {Remote} from "./rpc.js" */
/** @import {Runtime} from "./runtime.js" */
/** @import {Stage} from "./stages.js" */

/** @typedef {{frame: Uint8Array<ArrayBuffer>, terminated: number, drift: number | null, ms: number}} Predicted */
/** `evaluations`: of the network for a frame, where the model offers that. @typedef {{backend: Backend | "auto", variant: Precision | "auto", evaluations: number | null}} Choice */
/** What the sim shows. @typedef {{frame: Uint8ClampedArray<ArrayBuffer>, sensors: number[]}} Sight */
/** A sight of the sim, with the action (as the sim takes it) and the chance that led away from it. @typedef {Sight & {action: number[], chance: number[]}} Moment */

/** WebGPU is tried unasked when a step on wasm takes more than this part of a tick. */
const TOO_SLOW = 0.6;
/** A backend matches when frames differ by less, in levels of 0-255: on average, and in no more pixels than a few. */
const MATCH = { mean: 1, far: 24, share: 0.005 };

let models = 0;

export class ModelLink {
  /** @param {Runtime} runtime @param {ModelEntry} model @param {string} base the address of world.json @param {Spec} spec */
  constructor(runtime, model, base, spec) {
    this.runtime = runtime;
    this.model = model;
    this.base = base;
    this.spec = spec;
    this.name = `model-${++models}`;
    /** @type {Remote | null} */
    this.remote = null;
    /** @type {Backend | null} */
    this.backend = null;
    /** @type {Variant | null} */
    this.variant = null;
    /** Evaluations of the network for a frame. */
    this.evaluations = model.variants[0].evaluations;
    /** Has the model seen enough of the game to go on alone? */
    this.settled = false;
    /** What the load decided, in words; empty when nothing is worth saying. */
    this.note = "";
  }

  /** Is the worker there, with the graph? */
  get ready() {
    return this.remote !== null && this.remote.gone === null;
  }

  /** Does the model fit what the sim shows, after an edit too? @param {Spec} spec */
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

  /** The manifest lists the fastest variant first. @param {Backend} backend @param {Precision | "auto"} wanted @returns {Variant} */
  pick(backend, wanted) {
    const found = this.model.variants.find(
      (v) => v.evaluations === this.evaluations && v.backends.includes(backend) && (wanted === "auto" || v.name === wanted),
    );
    if (!found) throw new Error(`${this.model.label} has no ${wanted === "auto" ? "" : `${wanted} `}variant for ${backend}`);
    return found;
  }

  /**
   * Load the model as `choice` says. WebGPU that is absent, fails or does not match leaves wasm, and a note.
   * @param {Choice} choice @param {{runtime: Stage, model: Stage}} stages @param {Promise<Sight>} first the sim's first frame
   */
  async load(choice, stages, first) {
    this.note = "";
    const { variants } = this.model;
    this.evaluations = (variants.find((v) => v.evaluations === choice.evaluations) ?? variants[0]).evaluations;
    // What was asked of another model need not be there in this one.
    const offered = variants.some((v) => v.evaluations === this.evaluations && v.name === choice.variant);
    const wanted = offered ? choice.variant : "auto";
    if (choice.backend === "webgpu") {
      try {
        return await this.loadWebGpu(wanted, stages, first);
      } catch (error) {
        this.note = `WebGPU is not used: ${reason(error)}. The model runs on wasm.`;
      }
    }
    const ms = await this.loadOn("wasm", this.pick("wasm", wanted), stages, first);
    const tooSlow = ms > (TOO_SLOW * 1000) / this.spec.rate;
    if (choice.backend !== "auto" || !tooSlow || !("gpu" in navigator)) return;
    try {
      await this.loadWebGpu(wanted, stages, first, ms);
    } catch (error) {
      for (const stage of Object.values(stages)) stage.phase = "done";
      this.note = `A model step takes ${ms.toFixed(0)} ms here, and WebGPU is not used: ${reason(error)}.`;
    }
  }

  /**
   * Load one variant in a backend's worker, then use it from there.
   * @param {Backend} backend @param {Variant} variant @param {{runtime: Stage, model: Stage}} stages
   * @param {Promise<Sight>} first
   * @returns {Promise<number>} milliseconds of a step
   */
  async loadOn(backend, variant, stages, first) {
    const { remote, ms } = await this.prepare(this.name, backend, variant, stages, first);
    if (this.remote && this.remote !== remote) this.release();
    this.remote = remote;
    this.backend = backend;
    this.variant = variant;
    return ms;
  }

  /**
   * Fetch the runtime and the graph beside everything else; compile when the sim is there, which
   * the player waits for.
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
      await remote.call("load", { name, model: this.model, graph }, [graph], LIMITS.stage);
      const probe = await remote.call("probe", { name, sight, steps: 3 }, [], LIMITS.stage);
      return { remote, ms: /** @type {number} */ (probe.ms), frame: /** @type {Uint8Array} */ (probe.frame) };
    }, true);
    return loading.finally(() => listeners.delete(heard));
  }

  /**
   * Load on WebGPU, prove that it draws what wasm draws, and use it if it is the faster one.
   * @param {Precision | "auto"} wanted @param {{runtime: Stage, model: Stage}} stages
   * @param {Promise<Sight>} first @param {number} [wasmMs]
   */
  async loadWebGpu(wanted, stages, first, wasmMs = Infinity) {
    if (!("gpu" in navigator)) throw new Error("this browser has no WebGPU");
    // Asked here first: the runtime for it is a large download.
    if (!(await /** @type {any} */ (navigator).gpu.requestAdapter())) throw new Error("it has no adapter on this device");
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
      if (gpu.ms > wasmMs) throw new Error(`it is slower here (${gpu.ms.toFixed(0)} ms a step)`);
    } catch (error) {
      void gpu.remote.call("release", { name }).catch(() => {});
      throw error;
    }
    if (this.remote) this.release();
    this.name = name;
    this.remote = gpu.remote;
    this.backend = "webgpu";
    this.variant = variant;
  }

  /** @param {string} method @param {Record<string, unknown>} args @param {Transferable[]} [transfer] @returns {Promise<any>} */
  call(method, args, transfer = []) {
    if (!this.remote) return Promise.reject(new WorkerGone("the model is not loaded"));
    return this.remote.call(method, { name: this.name, ...args }, transfer, LIMITS.step);
  }

  /** @param {number[]} action as the sim takes it @returns {number[]} as the model takes it: one-hot, or the axes */
  vector(action) {
    return this.spec.actions.length ? this.spec.actions.map((_, i) => Number(i === action[0])) : action;
  }

  /** How many moments before a frame the model starts from. */
  get reach() {
    return this.model.history - 1;
  }

  /**
   * Start from what the sim shows after `age` ticks. With fewer moments than the model's reach, and than
   * the game has had, it is not settled: it watches the sim until `past` is long enough.
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
   * Step the model beside the sim. `frame` (given away) is the sim's, before this step, and comes back drawn over.
   * @param {Uint8Array<ArrayBuffer>} frame @param {number[]} sensors @param {number[]} action @param {number[]} chance
   * @param {boolean} grounded @param {number} noise the share of pixels to spoil in what the model sees
   * @returns {Promise<Predicted>}
   */
  step(frame, sensors, action, chance, grounded, noise) {
    return this.call("step", { frame, sensors, action: this.vector(action), chance, grounded, noise }, [frame.buffer]);
  }

  release() {
    if (this.ready) void this.call("release", {}).catch(() => {});
    this.remote = null;
  }
}

/** @param {Sight} sight as the worker takes it */
const seen = ({ frame, sensors }) => ({ frame: new Uint8Array(frame.buffer), sensors: Float32Array.from(sensors) });

/** @param {Spec["sensors"][number]} sensor */
const shaped = ({ name, shape }) => [name, shape];

/** @param {unknown} error */
const reason = (error) => (error instanceof Error ? error.message : String(error));

/** Say how two frames differ, or "" if they match. @param {Uint8Array} a @param {Uint8Array} b */
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
