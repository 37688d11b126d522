// A world that was learned from recordings: recorded moments stand where other worlds have a simulator.
//
// Loaded for such a world alone. A model plays on from the moment that the player chose; or the recorded game goes
// on beside it, for some seconds, and both take the recorded actions.

import { fetchSurely } from "../game/manifest.js";
import { elements, stateOf } from "../model/observed.js";
import { frameSize, plane } from "../views/cameras.js";
import { SimLink } from "./sim-link.js";

/** @import {File, Spec, World} from "../../types" */
/** @import {Moment} from "../model/model-link.js" */
/** @import {Values} from "../model/observed.js" */
/** @import {Runtime} from "../game/runtime.js" */
/** @import {Shown} from "./sim-link.js" */

/** What was recorded after one step. @typedef {{action: number[], frame: () => Uint8ClampedArray<ArrayBuffer>, status: Float64Array}} Step */
/** One moment, those before it, the newest last, and what was recorded after it. @typedef {{frame: Uint8ClampedArray<ArrayBuffer>, status: Float64Array, past: Moment[], ahead: Step[]}} Start */

export class Starts extends SimLink {
  /** @param {Runtime} runtime @param {World} world @param {Start[]} starts */
  constructor(runtime, world, starts) {
    super(runtime, world, {});
    this.starts = starts;
    /** How many steps the recorded game has gone on; 0: it does not. */
    this.followed = 0;
    const names = world.spec.sensors.flatMap((s) => Array.from({ length: elements(s.shape) }, (_, i) => `sensor.${s.name}.${i}`));
    this.places = new Map(names.map((name, i) => [name, i]));
  }

  /** Fetch a world's moments. @param {Runtime} runtime @param {World} world @param {string} base the address of world.json @param {(bytes: number) => void} onBytes */
  static async load(runtime, world, base, onBytes) {
    const file = /** @type {File} */ (world.starts);
    const bytes = await fetchSurely({ ...file, url: new URL(file.url, base).href }, onBytes);
    const starts = unpack(await inflate(bytes), world);
    const reach = Math.max(...world.models.map((m) => m.history - 1));
    if (starts.some(({ past }) => past.length < reach)) throw new Error(`${file.url}: fewer frames than the model looks back on`);
    return new Starts(runtime, world, starts);
  }

  /** A new game starts from the same moment; after a recorded game, the next one plays. */
  get next() {
    return this.followed ? (this.now.seed + 1) % this.starts.length : this.now.seed;
  }

  /** Let the recorded game take its next step, and return its action; null: it is over. @returns {number[] | null} */
  follow() {
    const step = this.starts[this.now.seed].ahead[this.followed];
    if (step) this.followed++;
    return step?.action ?? null;
  }

  /** @param {number} seed the number of a moment @param {string} scenario @returns {Promise<Shown>} */
  async reset(seed, scenario) {
    const at = Math.max(0, seed) % this.starts.length;
    Object.assign(this.now, { seed: at, scenario, actions: [] });
    this.followed = 0;
    const { frame, status, past } = this.starts[at];
    return { frame: frame.slice().buffer, status, past: past.map((m) => ({ ...m, frame: m.frame.slice() })) };
  }

  /** Show the recorded game's next frame; if nothing is recorded, only the model goes on. @param {number[]} action @returns {Promise<Shown | null>} */
  async step(action) {
    this.now.actions.push(action);
    const step = this.followed ? this.starts[this.now.seed].ahead[this.followed - 1] : null;
    return step && { frame: step.frame().buffer, status: step.status };
  }

  /** @returns {Promise<any>} */
  async call() {
    throw new Error("this world has no simulator");
  }
}

/** @param {ArrayBuffer} bytes zlib's @returns {Promise<ArrayBuffer>} */
const inflate = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();

/**
 * Read the moments that builder/site/starts.py packs, as `World` of the manifest describes them.
 * @param {ArrayBuffer} data @param {World} world @returns {Start[]}
 */
function unpack(data, { spec, starts }) {
  const [count, history, ahead] = new Int32Array(data.slice(0, 12));
  const pixels = plane(spec.cameras).width * plane(spec.cameras).height * spec.cameras.length;
  const sizes = spec.sensors.map((s) => elements(s.shape));
  const measured = sizes.reduce((a, b) => a + b, 0);
  const acts = spec.actions.length || spec.axes.length;
  const each = history + ahead;
  let at = 12;
  /** @param {number} length */
  const take = (length) => data.slice(at, (at += length));
  const lengths = new Int32Array(take(4 * count));
  const rgb = new Uint8Array(take(count * each * pixels * 3));
  const floats = [measured * each, acts * (each - 1), spec.chance.length * (each - 1)].map((n) => count * n * 4);
  const total = at + floats.reduce((a, b) => a + b, 0);
  if (!(count > 0 && history > 0 && ahead === starts?.ahead) || data.byteLength !== total) throw new Error(`${starts?.url}: not the moments of this world`);
  const [sensors, actions, chances] = floats.map((length) => new Float32Array(take(length)));
  /** @param {Float32Array} values @param {number} size @param {number} row */
  const row = (values, size, row) => values.slice(row * size, (row + 1) * size);
  /** @param {number} n of all frames */
  const picture = (n) => {
    const frame = new Uint8ClampedArray(frameSize(spec.cameras)).fill(255);
    for (let p = 0; p < pixels; p++) for (let c = 0; c < 3; c++) frame[4 * p + c] = rgb[3 * (n * pixels + p) + c];
    return frame;
  };
  /** @param {number} step of all steps @returns {number[]} as the sim takes it */
  const taken = (step) => {
    const given = row(actions, acts, step);
    return spec.actions.length ? [given.indexOf(Math.max(...given))] : [...given];
  };
  /** @param {number} n of all frames */
  const status = (n) => Float64Array.from(row(sensors, measured, n));
  return Array.from({ length: count }, (_, moment) => {
    const last = moment * each + history - 1;
    const past = Array.from({ length: history - 1 }, (_, k) => {
      const [n, step] = [moment * each + k, moment * (each - 1) + k];
      return {
        frame: picture(n),
        values: grouped(spec, row(sensors, measured, n)),
        action: taken(step),
        chance: [...row(chances, spec.chance.length, step)],
      };
    });
    const steps = Array.from({ length: lengths[moment] }, (_, k) => ({
      action: taken(moment * (each - 1) + history - 1 + k),
      frame: () => picture(last + 1 + k),
      status: status(last + 1 + k),
    }));
    return { frame: picture(last), status: status(last), past, ahead: steps };
  });
}

/** Put the values of all sensors into the states that hold them. @param {Spec} spec @param {Float32Array} flat in the spec's order @returns {Values} */
function grouped({ sensors }, flat) {
  /** @type {Record<string, number[]>} */
  const found = {};
  let at = 0;
  for (const s of sensors) (found[stateOf(s)] ??= []).push(...flat.subarray(at, (at += elements(s.shape))));
  return Object.fromEntries(Object.entries(found).map(([state, values]) => [state, Float32Array.from(values)]));
}
