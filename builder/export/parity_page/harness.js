// Runs one graph in onnxruntime-web on recorded inputs, for the parity gate and the bench.

const FILES = {
  wasm: { entry: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded" },
  webgpu: { entry: "ort.jspi.min.mjs", binary: "ort-wasm-simd-threaded.jspi" },
};

/** @typedef {{dtype: string, shape: number[], at: number}} Feed where in the inputs its rows begin */

/** @type {any} */
let ort;
/** @type {"wasm" | "webgpu"} */
let backend;
/** @type {Map<string, any>} */
const sessions = new Map();

/** Start the runtime with one thread. @param {"wasm" | "webgpu"} wanted @param {boolean} half that fp16 is needed */
export async function boot(wanted, half) {
  backend = wanted;
  if (backend === "webgpu") {
    const adapter = await /** @type {any} */ (navigator).gpu?.requestAdapter();
    if (!adapter) throw new Error("no WebGPU adapter");
    if (half && !adapter.features.has("shader-f16")) throw new Error("the WebGPU adapter has no 16-bit floats");
  }
  const { entry, binary } = FILES[backend];
  ort = await import(new URL(`ort/${entry}`, location.href).href);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = {
    mjs: new URL(`ort/${binary}.mjs`, location.href).href,
    wasm: new URL(`ort/${binary}.wasm`, location.href).href,
  };
}

/** Load a graph, once. @param {string} url */
async function session(url) {
  let found = sessions.get(url);
  if (!found) {
    const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
    found = await ort.InferenceSession.create(bytes, { executionProviders: [backend], logSeverityLevel: 3 });
    sessions.set(url, found);
  }
  return found;
}

/** Drop a graph. @param {string} url */
export async function drop(url) {
  await sessions.get(url)?.release();
  sessions.delete(url);
}

/** @param {Uint8Array} bytes @returns {Promise<string>} gzip in base64 */
async function packed(bytes) {
  const stream = new Blob([/** @type {any} */ (bytes)]).stream().pipeThrough(new CompressionStream("gzip"));
  const blob = await new Response(stream).blob();
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",", 2)[1]);
    reader.readAsDataURL(blob);
  });
}

/**
 * Run a graph `steps` times for each of `rows`. Carried inputs start from their row's value and are
 * then fed by an output; the others have a value for each step.
 * @param {{
 *   graph: string, inputs: string, feeds: Record<string, Feed>, carry: Record<string, string>,
 *   rows: number, steps: number, keep: string[],
 * }} args
 */
export async function run({ graph, inputs, feeds, carry, rows, steps, keep }) {
  const loaded = await session(graph);
  const data = await (await fetch(inputs)).arrayBuffer();
  /** @param {string} name @param {number} index */
  const feed = (name, index) => {
    const { dtype, shape, at } = feeds[name];
    const size = shape.reduce((a, b) => a * b, 1);
    const values =
      dtype === "uint8" ? new Uint8Array(data, at + index * size, size) : new Float32Array(data, at + 4 * index * size, size);
    return new ort.Tensor(dtype, values, shape);
  };
  /** @type {Record<string, {dtype: string, shape: number[], parts: Uint8Array[]}>} */
  const kept = {};
  const ms = [];
  for (let row = 0; row < rows; row++) {
    /** @type {Record<string, any>} */
    const now = {};
    for (const name of Object.keys(carry)) now[name] = feed(name, row);
    for (let step = 0; step < steps; step++) {
      for (const name of Object.keys(feeds)) if (!(name in carry)) now[name] = feed(name, row * steps + step);
      const start = performance.now();
      const out = await loaded.run(now);
      ms.push(performance.now() - start);
      for (const [input, output] of Object.entries(carry)) now[input] = out[output];
      for (const name of keep) {
        const { type, dims, data: values } = out[name];
        kept[name] ??= { dtype: type, shape: [...dims], parts: [] };
        kept[name].parts.push(new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength)));
      }
    }
  }
  /** @type {Record<string, {dtype: string, shape: number[], data: string}>} */
  const outputs = {};
  for (const [name, { dtype, shape, parts }] of Object.entries(kept))
    outputs[name] = { dtype, shape, data: await packed(new Uint8Array(await new Blob(/** @type {any} */ (parts)).arrayBuffer())) };
  return { outputs, ms };
}
