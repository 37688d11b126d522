// Play a world's model in JavaScript, here in Node: npm install onnxruntime-web
//
//   node play_model.mjs site/wm/worlds/breakout-0123456789ab start.bin
//
// In a page, `fetch` takes the place of `readFile`, and a canvas shows `out.frame.data`, which is RGBA.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";

const [folder, start] = process.argv.slice(2);
const world = JSON.parse(await readFile(`${folder}/world.json`, "utf8"));
const model = world.models[0];
const graph = model.variants.find((v) => v.backends.includes("wasm")); // the fastest one is first
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(await readFile(`${folder}/${graph.step.url}`));

const size = (t) => t.shape.reduce((a, b) => a * b, 1);
const feeds = {};
for (const t of model.inputs) {
  const data = t.dtype === "uint8" ? new Uint8Array(size(t)) : new Float32Array(size(t));
  feeds[t.name] = new ort.Tensor(t.dtype, data, t.shape);
}
// play_model.py wrote it: the frame's bytes, then the sensors as float32.
const bytes = new Uint8Array(await readFile(start)).buffer;
const pixels = feeds.state_frame.data.length;
feeds.state_frame.data.set(new Uint8Array(bytes, 0, pixels));
feeds.state_sensors?.data.set(new Float32Array(bytes.slice(pixels)));

let score = 0;
let out;
for (let step = 0; step < 30; step++) {
  feeds.action.data.fill(0);
  feeds.action.data[step % feeds.action.data.length] = 1; // one key of spec.actions
  feeds.chance?.data.fill(Math.random());
  out = await session.run(feeds);
  for (const { input, output } of model.state) feeds[input] = out[output];
  score += out.reward.data[0];
}
console.log(`after 30 steps: reward ${score.toFixed(1)}, over: ${out.terminated.data[0] > 0.5}`);
