// The page's Python: its files are fetched and verified here, and passed into its sandbox.

import { fetchSurely } from "../game/manifest.js";
import { Remote } from "../game/rpc.js";
import { Sandbox } from "./sandbox.js";

/** @import {File} from "../../types" */

const CODE = "python.js";
const CACHE = "wm-python";
/** Needed by every start. */
const FIRST = [CODE, "pyodide.asm.wasm", "stdlib.pack", "numpy.pack"];
/** Needed by unusual imports: the full library, the whole of NumPy. */
const MORE = /^python_stdlib\.zip$|^numpy-[\w.-]+\.whl$/;

/** @param {Map<string, File>} files @param {string} at @param {string} name @returns {File} */
function entryOf(files, at, name) {
  const entry = files.get(at + name);
  if (!entry) throw new Error(`site.json does not list ${name}`);
  return entry;
}

/**
 * Start Python in a sandbox of its own.
 * @param {string} at the address of Python's folder @param {Map<string, File>} files of the site, by address
 * @param {(event: {loaded?: number, total?: number, detail?: string}) => void} tell
 * @returns {{remote: Remote, ready: Promise<void>}}
 */
export function startPython(at, files, tell) {
  const entries = FIRST.map((name) => entryOf(files, at, name));
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  let loaded = 0;
  const fetched = entries.map((entry) => fetchSurely(entry, (bytes) => tell({ loaded: (loaded += bytes), total })));
  const all = Promise.all(fetched);
  const remote = new Remote(new Sandbox("python", fetched[0]), "python");
  const start = async () => {
    const [[, ...bytes], snapshot] = await Promise.all([all, Snapshot.find(at)]);
    tell({ detail: "starting" });
    await snapshot.trying();
    const given = Object.fromEntries(bytes.map((data, i) => [FIRST[i + 1], data]));
    const { bytes: memory, possible } = snapshot;
    const transfer = memory ? [...bytes, memory.buffer] : bytes;
    // There is no sim in it yet, so the answer comes from Python itself.
    const made = await remote.call("boot", { files: given, memory, keep: possible }, transfer);
    if (memory && !made.fits) await snapshot.drop();
    void snapshot.keep(made.memory);
  };
  return { remote, ready: start() };
}

/** The archives that each Python has received, or is receiving. @type {WeakMap<Remote, Map<string, Promise<void>>>} */
const given = new WeakMap();

/**
 * Pass in an archive that an import needs, once.
 * @param {Remote} remote @param {string} name @param {string} at @param {Map<string, File>} files
 * @param {(bytes: number) => void} onBytes @returns {Promise<void>}
 */
export function provide(remote, name, at, files, onBytes) {
  const here = given.get(remote) ?? new Map();
  given.set(remote, here);
  let giving = here.get(name);
  if (!giving) {
    giving = (async () => {
      // The name comes from the sandbox with the sims: only two names are allowed.
      if (!MORE.test(name)) throw new Error("an import asks for a file that Python does not have");
      const data = await fetchSurely(entryOf(files, at, name), onBytes);
      await remote.call("provide", { name, data }, [data]);
    })();
    here.set(name, giving);
    giving.catch(() => here.delete(name));
  }
  return giving;
}

// --- A snapshot of its memory after its start: the browser stores it, so that the next start is faster -----------
//
// The snapshot is made before any sim is loaded (see pyodide/boot.mjs). It only fits the engine that made it,
// so the site ships none; without storage, every start is a first one.

class Snapshot {
  possible = false;
  /** @type {Uint8Array | undefined} */
  bytes;
  /** @type {Cache | undefined} */
  #cache;

  /** @param {string} at the address of Python's folder */
  constructor(at) {
    this.at = at;
    // The engine's version and features decide the layout of the memory.
    this.key = `${at}snapshot?${encodeURIComponent(navigator.userAgent)}&${"Suspending" in WebAssembly}`;
  }

  /** Return this browser's snapshot for a folder, with its bytes if it is stored. @param {string} at @returns {Promise<Snapshot>} */
  static async find(at) {
    const snapshot = new Snapshot(at);
    try {
      const cache = await caches.open(CACHE);
      snapshot.#cache = cache;
      snapshot.possible = true;
      // A start from it that never ended leaves this mark: then there is no second try.
      if (await cache.match(`${snapshot.key}&trying`)) {
        await snapshot.drop();
        return snapshot;
      }
      const hit = await cache.match(snapshot.key);
      if (hit) snapshot.bytes = new Uint8Array(await hit.arrayBuffer());
    } catch {
      snapshot.possible = snapshot.bytes !== undefined; // There is no storage here, or it is full.
    }
    return snapshot;
  }

  /** Leave the mark for a start from it. */
  async trying() {
    if (this.bytes) await this.#cache?.put(`${this.key}&trying`, new Response("")).catch(() => {});
  }

  /** Python runs: store its new snapshot for the next time, and remove those of older sites. @param {Uint8Array | null} made */
  async keep(made) {
    try {
      await this.#cache?.delete(`${this.key}&trying`);
      if (!this.#cache || !made) return;
      const beside = new URL("../", this.at).href;
      for (const { url } of await this.#cache.keys()) {
        if (url.startsWith(beside)) await this.#cache.delete(url);
      }
      await this.#cache.put(this.key, new Response(/** @type {Uint8Array<ArrayBuffer>} */ (made)));
    } catch {
      // Storage is full or refused: the next start takes as long as this one.
    }
  }

  /** Delete it. */
  async drop() {
    this.bytes = undefined;
    await this.#cache?.delete(this.key);
    await this.#cache?.delete(`${this.key}&trying`);
  }
}
