// The page's side of builder/manifest.py: every key is known, typed and present, or the file is refused.

/** @import {FileEntry, ModelEntry, Site, World} from "../types" */

/** @typedef {(value: unknown, where: string) => void} Check */

export class ManifestError extends Error {}

/** @param {unknown} value */
const kind = (value) =>
  value === null ? "null" : Array.isArray(value) ? "a list" : value === undefined ? "nothing" : `a ${typeof value}`;

/** @param {string} type @returns {Check} */
const of = (type) => (value, where) => {
  if (typeof value !== type || (type === "number" && !Number.isFinite(value)))
    throw new ManifestError(`${where}: expected a ${type}, found ${kind(value)}`);
};
const text = of("string");
const number = of("number");
const flag = of("boolean");
/** @type {Check} */
const anything = () => {};
/** @param {Check} check @returns {Check} */
const list = (check) => (value, where) => {
  if (!Array.isArray(value)) throw new ManifestError(`${where}: expected a list, found ${kind(value)}`);
  value.forEach((item, i) => check(item, `${where}[${i}]`));
};
/** @param {Check} check @returns {Check} */
const orNull = (check) => (value, where) => value === null || check(value, where);
/** @param {...unknown} allowed @returns {Check} */
const one = (...allowed) => (value, where) => {
  if (!allowed.includes(value))
    throw new ManifestError(`${where}: expected ${allowed.join(" or ")}, found ${JSON.stringify(value)}`);
};
/** @param {unknown} value @param {string} where @returns {Record<string, unknown>} */
const object = (value, where) => {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ManifestError(`${where}: expected an object, found ${kind(value)}`);
  return /** @type {Record<string, unknown>} */ (value);
};
/** @param {Check} check @returns {Check} */
const dict = (check) => (value, where) => {
  for (const [key, item] of Object.entries(object(value, where))) check(item, `${where}.${key}`);
};
/** @param {Record<string, Check>} fields @returns {Check} */
const part = (fields) => (value, where) => {
  const found = object(value, where);
  for (const key of Object.keys(found))
    if (!(key in fields)) throw new ManifestError(`${where}.${key}: not a known key`);
  for (const [key, check] of Object.entries(fields)) check(found[key], `${where}.${key}`);
};

const file = { url: text, sha256: text, bytes: number };
const tensor = { name: text, dtype: one("float32", "uint8"), shape: list(number) };
const variant = {
  name: one("fp32", "fp16", "int8"),
  backends: list(one("wasm", "webgpu")),
  evaluations: number,
  macs: number,
  step: part(file),
  parity: dict(number),
};
const model = {
  family: text,
  label: text,
  parameters: number,
  history: number,
  state: list(
    part({ input: text, output: text, dtype: tensor.dtype, shape: tensor.shape, observed: flag }),
  ),
  inputs: list(part(tensor)),
  outputs: list(part(tensor)),
  variants: list(part(variant)),
  metrics: dict(anything),
  provenance: dict(anything),
  older: text,
};
const spec = {
  name: text,
  title: text,
  rate: number,
  cameras: list(
    part({ name: text, height: number, width: number, focal: number, place: list(number), yaw: number, pitch: number }),
  ),
  actions: list(part({ name: text, keys: list(text), touch: orNull(text), gamepad: list(text) })),
  axes: list(
    part({
      name: text,
      low: number,
      high: number,
      unit: text,
      neutral: number,
      increase: list(text),
      decrease: list(text),
      gamepad: orNull(text),
      pace: number,
      touch: list(text),
    }),
  ),
  chance: list(text),
  sensors: list(
    part({
      name: text,
      shape: list(number),
      dtype: text,
      unit: text,
      low: number,
      high: number,
      meaning: text,
      show: one("", "gauge", "path", "scan"),
      place: list(number),
      elevations: list(number),
    }),
  ),
  hud: list(part({ name: text, label: text })),
  events: list(text),
  scenarios: list(text),
  conditions: list(text),
  behaviours: list(text),
  max_steps: number,
};
const world = {
  format: one(1),
  name: text,
  title: text,
  spec: part(spec),
  sim: part({ hash: text, module: text, sources: list(part({ ...file, path: text, editable: flag })) }),
  models: list(part(model)),
  poster: orNull(part(file)),
};
const site = {
  format: one(1),
  version: text,
  runtime: dict(text),
  worlds: dict(text),
  files: list(part({ ...file, group: text })),
};

/**
 * Return `value` as a Site; raise a ManifestError that names the first wrong place.
 * @param {unknown} value @returns {Site}
 */
export function asSite(value) {
  part(site)(value, "site.json");
  return /** @type {Site} */ (value);
}

/** What the page has of each site.json, by its address. @type {Map<string, Promise<Site>>} */
const sites = new Map();

/**
 * Return a site.json, fetched once for all of the page, and never from a cache; a failure is not kept.
 * @param {string} src its absolute address @param {boolean} [fresh] fetch it though it is here already
 */
export function loadSite(src, fresh = false) {
  const known = fresh ? undefined : sites.get(src);
  if (known) return known;
  const fetching = fetchOk(src, "no-store").then(async (response) => asSite(await readJson(response, "site.json")));
  sites.set(src, fetching);
  fetching.catch(() => sites.get(src) === fetching && sites.delete(src));
  return fetching;
}

/**
 * Return `value` as a World whose models fit its spec; raise a ManifestError otherwise.
 * @param {unknown} value @returns {World}
 */
export function asWorld(value) {
  part(world)(value, "world.json");
  const found = /** @type {World} */ (value);
  const { cameras, actions, axes, chance, rate, scenarios, sensors } = found.spec;
  if (!cameras.length || !(rate > 0) || !scenarios.length || !(actions.length || axes.length))
    throw new ManifestError("world.json.spec: needs a camera, a rate, a scenario, and actions or axes");
  if (cameras.some((c) => c.height !== cameras[0].height || c.width !== cameras[0].width))
    throw new ManifestError("world.json.spec.cameras: all cameras must have one size");
  const frame = cameras.length * cameras[0].height * cameras[0].width * 4;
  for (const { name, shape, show, elevations } of sensors) {
    const wanted = { "": true, gauge: elements(shape) === 1, path: shape.length === 2 && shape[1] === 2,
      scan: shape.length === 2 && shape[0] === elevations.length }[show]; // prettier-ignore
    if (!wanted) throw new ManifestError(`world.json.spec.sensors: "${name}" of shape [${shape}] can't be shown as a ${show}`);
  }
  const measured = sensors.reduce((sum, s) => sum + elements(s.shape), 0);
  for (const m of found.models) checkModel(m, frame, measured, actions.length || axes.length, chance.length);
  return found;
}

/** @param {number[]} shape */
const elements = (shape) => shape.reduce((a, b) => a * b, 1);

/** @param {ModelEntry} m @param {number} frame @param {number} sensors @param {number} action @param {number} chance */
function checkModel(m, frame, sensors, action, chance) {
  /** @param {string} name @param {{name: string, shape: number[]}[]} among @param {number} [size] */
  const need = (name, among, size) => {
    const found = among.find((t) => t.name === name);
    if (!found) throw new ManifestError(`model ${m.family}: the graph has no tensor "${name}"`);
    if (size !== undefined && elements(found.shape) !== size)
      throw new ManifestError(`model ${m.family}: "${name}" has ${elements(found.shape)} values, the spec ${size}`);
  };
  need("action", m.inputs, action);
  if (chance) need("chance", m.inputs, chance);
  need("frame", m.outputs, frame);
  for (const s of m.state) {
    need(s.input, m.inputs);
    need(s.output, m.outputs);
    if (s.observed) need(s.input, m.inputs, s.input === "state_frame" ? frame : sensors);
  }
  if (!m.variants.length) throw new ManifestError(`model ${m.family}: no variant`);
}

/** @param {ArrayBuffer} bytes @returns {Promise<string | null>} hex sha256; null where the page may not hash */
export async function sha256(bytes) {
  // crypto.subtle exists on https and localhost only; elsewhere the byte count is the check.
  if (!globalThis.crypto?.subtle) return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * Fetch one file of the site, counting bytes, and prove it is the one the manifest names.
 * @param {FileEntry} entry its url absolute @param {(bytes: number) => void} [onBytes] called with each chunk's size
 * @param {RequestCache} [cache] @returns {Promise<ArrayBuffer>}
 */
export async function fetchFile(entry, onBytes, cache = "default") {
  const name = entry.url.split("/").pop();
  const response = await fetchOk(entry.url, cache);
  const bytes = new Uint8Array(entry.bytes);
  let at = 0;
  for await (const chunk of response.body ?? []) {
    if (at + chunk.length > bytes.length) throw new Error(`${name}: longer than the manifest says; ${STALE}`);
    bytes.set(chunk, at);
    at += chunk.length;
    onBytes?.(chunk.length);
  }
  if (at < bytes.length) throw new Error(`${name}: ended after ${at} of ${bytes.length} bytes; ${STALE}`);
  const hash = await sha256(bytes.buffer);
  if (hash !== null && hash !== entry.sha256) throw new Error(`${name}: not the file the manifest names; ${STALE}`);
  return bytes.buffer;
}

/** @param {Response} response @param {string} name @returns {Promise<unknown>} */
export async function readJson(response, name) {
  try {
    return await response.json();
  } catch {
    throw new Error(`${name}: not JSON; ${STALE}`);
  }
}

const STALE = "the site may be half deployed";
// The workers put a counting fetch in front of this one.
const native = globalThis.fetch.bind(globalThis);

/** @param {string} url @param {RequestCache} cache @returns {Promise<Response>} */
export async function fetchOk(url, cache) {
  const name = new URL(url).pathname.split("/").pop();
  let response;
  try {
    response = await native(url, { cache });
  } catch {
    throw new Error(`${name}: the network did not answer`);
  }
  if (!response.ok)
    throw new Error(`${name}: the server answered ${response.status}${response.status === 404 ? `; ${STALE}` : ""}`);
  return response;
}
