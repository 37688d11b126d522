// onnxruntime-web in a worker: runs the world models of the page's games on one backend, in one thread.

import { adapter } from "../element/browser-features.js";
import { reason } from "../game/loading-stages.js";
import { fetchFile, load } from "../game/manifest.js";
import { moved, serve, tell } from "../game/rpc.js";
import { FRAME } from "./observed.js";

/** @import {Backend, File, Model} from "../../types" */
/** @import {Values} from "./observed.js" */

/**
 * @typedef {{frame: Uint8Array, values: Values}} Sight
 * The sim's frame and sensors: the model's observed states.
 * @typedef {Sight & {action: Float32Array, chance: Float32Array}} Moment
 * A sight of the sim, with the action and chance of the step after it.
 * @typedef {{
 *   model: Model, says: Record<string, string>, session: any,
 *   state: Record<string, any>, shown: Uint8Array | null,
 * }} Game
 */

const FILES = {
  wasm: { entry: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded" },
  webgpu: { entry: "ort.jspi.min.mjs", binary: "ort-wasm-simd-threaded.jspi" },
};

/** @type {any} */
let ort;
/** @type {Backend} */
let backend;
/** @type {Map<string, Game>} */
const games = new Map();

/** @param {string} dtype @param {number} size */
const zeros = (dtype, size) => (dtype === "uint8" ? new Uint8Array(size) : new Float32Array(size));

/** @param {{dtype: string, shape: number[]}} entry @param {Uint8Array | Float32Array} [data] */
const tensor = ({ dtype, shape }, data) =>
  new ort.Tensor(dtype, data ?? zeros(dtype, shape.reduce((a, b) => a * b, 1)), shape);

/** @param {string} name */
const game = (name) => {
  const found = games.get(name);
  if (!found) throw new Error("this game has no model");
  return found;
};

/** Set the model's observed states from the sim. @param {Game} g @param {Sight} sight */
const observe = (g, sight) => {
  for (const s of g.model.state)
    if (s.observed) g.state[s.input] = tensor(s, s.input === FRAME ? sight.frame : sight.values[s.input]);
};

/** @param {Game} g @param {Sight} sight */
const begin = (g, sight) => {
  for (const s of g.model.state) g.state[s.input] = tensor(s);
  observe(g, sight);
};

/** Overwrite a share of a frame's pixels with other pixels of it. @param {Uint8Array} frame @param {number} share */
const spoilt = (frame, share) => {
  const pixels = new Uint32Array(frame.slice().buffer);
  const any = () => Math.floor(Math.random() * pixels.length);
  for (let left = Math.round(share * pixels.length); left > 0; left--) pixels[any()] = pixels[any()];
  return new Uint8Array(pixels.buffer);
};

/**
 * Run the step graph once and carry its state; `noise` is the share of pixels that are changed in its input.
 * @param {Game} g @param {Float32Array} action @param {Float32Array} chance @param {number} [noise]
 */
const advance = async (g, action, chance, noise = 0) => {
  const feeds = { ...g.state };
  const seen = g.model.inputs.find((t) => t.name === FRAME);
  if (noise && seen) feeds[FRAME] = tensor(seen, spoilt(feeds[FRAME].data, noise));
  for (const t of g.model.inputs) {
    if (t.name === "action") feeds.action = tensor(t, action);
    if (t.name === "chance") feeds.chance = tensor(t, chance);
  }
  const out = await g.session.run(feeds);
  for (const s of g.model.state) g.state[s.input] = out[s.output];
  return out;
};

/**
 * Set the carried state from the sim: run the recent steps again, each from its own sight.
 * @param {Game} g @param {Sight} sight @param {Moment[]} past newest last
 */
const recall = async (g, sight, past) => {
  begin(g, sight);
  for (const m of g.model.history > 1 ? past.slice(1 - g.model.history) : []) {
    observe(g, m);
    await advance(g, m.action, m.chance);
  }
  observe(g, sight);
};

/** The root mean square difference in levels of 0-255 over red, green and blue. @param {Uint8Array} a @param {Uint8Array} b */
const difference = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) {
    const [red, green, blue] = [a[i] - b[i], a[i + 1] - b[i + 1], a[i + 2] - b[i + 2]];
    sum += red * red + green * green + blue * blue;
  }
  return Math.sqrt(sum / (a.length * 0.75));
};

serve({
  /** @param {{at: string, files: File[], backend: Backend}} args */
  async boot(args) {
    backend = args.backend;
    if (backend === "webgpu") await adapter();
    const { entry, binary } = FILES[backend];
    const wasm = args.files.find((f) => f.url === `${args.at}${binary}.wasm`);
    if (!wasm) throw new Error(`site.json does not list ${binary}.wasm`);
    verifyFetches(args.files, wasm.bytes);
    const [module, bytes] = await Promise.all([
      load(`${args.at}${entry}`),
      fetch(wasm.url).then((response) => response.arrayBuffer()),
    ]);
    tell({ detail: "starting" });
    ort = module;
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = { mjs: `${args.at}${binary}.mjs` };
    ort.env.wasm.wasmBinary = bytes;
  },

  /**
   * Make a game's session from the bytes of its graph; `says`: see `saidBy`.
   * @param {{name: string, model: Model, says: Record<string, string>, graph: ArrayBuffer}} args
   */
  async load({ name, model, says, graph }) {
    const options = { executionProviders: [backend], graphOptimizationLevel: "all", logSeverityLevel: 3 };
    try {
      const session = await ort.InferenceSession.create(new Uint8Array(graph), options);
      tell({ alive: true });
      for (const [side, named, wanted] of [
        ["input", session.inputNames, model.inputs],
        ["output", session.outputNames, model.outputs],
      ])
        for (const t of wanted)
          if (!named.includes(t.name)) {
            await session.release();
            throw new Error(`the step graph has no ${side} "${t.name}"`);
          }
      await release(name);
      games.set(name, { model, says, session, state: {}, shown: null });
    } catch (error) {
      throw new Error(`${model.label}: the graph does not load: ${reason(error)}`);
    }
  },

  /**
   * Run a few steps from a sight with zero state: this warms up the graph, times it, and allows a comparison.
   * @param {{name: string, sight: Sight, steps: number}} args
   */
  async probe({ name, sight, steps }) {
    const g = game(name);
    /** @param {string} input */
    const size = (input) => g.model.inputs.find((t) => t.name === input)?.shape.reduce((a, b) => a * b, 1) ?? 0;
    const action = new Float32Array(size("action"));
    const chance = new Float32Array(size("chance")).fill(0.5);
    action[0] = 1;
    const times = [];
    begin(g, sight);
    let out;
    for (let i = 0; i < steps; i++) {
      const start = performance.now();
      out = await advance(g, action, chance);
      times.push(performance.now() - start);
      tell({ alive: true });
    }
    begin(g, sight);
    // The first steps include compiling, and sometimes the load of other downloads.
    return { ms: Math.min(...times), frame: out.frame.data.slice() };
  },

  /** Start from the sim's state and the moments before it. @param {{name: string, sight: Sight, past: Moment[]}} args */
  async start({ name, sight, past }) {
    const g = game(name);
    g.shown = null;
    await recall(g, sight, past);
  },

  /**
   * Step the model. `frame` and `values` are the sim's newest, before this step; with `grounded`, the model
   * starts from them. `noise`: see `advance`. The frame's buffer comes back with the model's frame in it.
   * @param {{
   *   name: string, frame: Uint8Array<ArrayBuffer>, values: Values, action: number[], chance: number[],
   *   grounded: boolean, noise: number,
   * }} args
   */
  async step({ name, frame, values, grounded, noise, ...args }) {
    const g = game(name);
    const action = Float32Array.from(args.action);
    const chance = Float32Array.from(args.chance);
    const drift = g.shown ? difference(g.shown, frame) : null;
    const start = performance.now();
    if (grounded) observe(g, { frame, values });
    const out = await advance(g, action, chance, noise);
    const ms = performance.now() - start;
    g.shown = out.frame.data;
    frame.set(out.frame.data);
    const said = Object.fromEntries(Object.entries(g.says).map(([state, output]) => [state, Float32Array.from(out[output].data)]));
    const [reward, terminated] = [out.reward, out.terminated].map((head) => Number(head.data[0]));
    return moved({ frame, reward, terminated, values: said, drift, ms }, [frame.buffer]);
  },

  /** @param {{name: string}} args */
  release: ({ name }) => release(name),
});

/** @param {string} name */
async function release(name) {
  const g = games.get(name);
  games.delete(name);
  await g?.session.release();
}

const TYPES = { wasm: "application/wasm", json: "application/json" };

/**
 * Put a verifying fetch in front of the worker's own, and report its bytes as events.
 * @param {File[]} files absolute addresses @param {number} total the expected bytes in total
 */
export function verifyFetches(files, total) {
  const known = new Map(files.map((file) => [file.url, file]));
  const native = self.fetch.bind(self);
  let loaded = 0;
  let told = 0;
  tell({ total, loaded });
  /** @param {number} bytes */
  const count = (bytes) => {
    loaded += bytes;
    // A hundred events for each download are enough.
    if (loaded - told < total / 100 && loaded < total) return;
    told = loaded;
    tell({ loaded: Math.min(loaded, total), total });
  };
  self.fetch = async (input, init) => {
    const entry = known.get(new URL(input instanceof Request ? input.url : input, self.location.href).href);
    if (!entry) return native(input, init);
    const bytes = await fetchFile(entry, count);
    const suffix = /** @type {keyof typeof TYPES} */ (entry.url.split(".").pop());
    return new Response(bytes, { headers: { "content-type": TYPES[suffix] ?? "application/octet-stream" } });
  };
}
