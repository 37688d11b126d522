// Boots the page's Python, in a worker. This file lies in one folder with all that it loads:
//
//   const { boot } = await import("<pyodide folder>/boot.mjs");
//   const pyodide = await boot({ onprogress: (file, bytes) => ... });
//
// NumPy is in place. What the trimmed library lacks is fetched by the first import that needs
// it (see wmsite_more.py). Nothing comes from anywhere but this folder.
//
// The first boot in a browser keeps a snapshot of Python's memory, as it is before NumPy, in the
// cache "wm-python"; later boots start from it and skip Python's own start. A snapshot fits the
// very engine that made it, so none is shipped. Without storage every boot is a first one.
// @ts-check

// @ts-ignore -- lies beside this file only once it is vendored
import { loadPyodide } from "./pyodide.mjs";

const HERE = new URL("./", import.meta.url).href;
const SITE_PACKAGES = "/lib/python3.14/site-packages/";

/** The files that make the wait; pyodide.asm.mjs is not reported to `onprogress`. */
export const FILES = ["pyodide.asm.wasm", "numpy.pack", "stdlib.pack", "pyodide.asm.mjs"];

/**
 * Start Python with NumPy.
 * @param {{onprogress?: (file: string, bytes: number) => void}} [options] `onprogress` hears how
 *   many bytes of a file have come so far (of its full size in site.json).
 * @returns {Promise<any>} the Pyodide API
 * @throws {Error} when a file does not come whole; the message names the file and the reason
 */
export async function boot({ onprogress = () => {} } = {}) {
  /** @type {(reason: Error) => void} */
  let fail = () => {};
  // Pyodide waits for ever when its wasm does not come, so a failure ends the wait from here.
  const failed = new Promise((_, reject) => (fail = reject));
  failed.catch(() => {});
  const original = globalThis.fetch;

  /** @param {string} file @returns {Promise<Response>} */
  const load = async (file) => {
    try {
      const response = await original(HERE + file);
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      count(file, response.clone());
      return response;
    } catch (error) {
      const reason = new Error(`${file}: ${error instanceof Error ? error.message : error}`);
      fail(reason);
      throw reason;
    }
  };
  /** @param {string} file @param {Response} copy */
  const count = async (file, copy) => {
    let bytes = 0;
    try {
      const reader = /** @type {ReadableStream<Uint8Array>} */ (copy.body).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        onprogress(file, (bytes += part.value.length));
      }
    } catch {
      fail(new Error(`${file}: cut off after ${bytes} bytes`));
    }
  };
  /** @param {string} file @returns {Promise<Uint8Array>} */
  const unpacked = async (file) => {
    const { body } = await load(file);
    try {
      const plain = /** @type {ReadableStream} */ (body).pipeThrough(
        new DecompressionStream("gzip"),
      );
      return new Uint8Array(await new Response(plain).arrayBuffer());
    } catch {
      const reason = new Error(`${file}: damaged or cut off`);
      fail(reason);
      throw reason;
    }
  };

  const wasm = load("pyodide.asm.wasm");
  const library = unpacked("stdlib.pack");
  const numpy = unpacked("numpy.pack");
  for (const promise of [wasm, library, numpy]) promise.catch(() => {}); // `failed` tells
  const kept = Snapshot.find();
  globalThis.fetch = async (input, init) => {
    const url = String(input);
    if (url === `${HERE}pyodide.asm.wasm`) return (await wasm).clone();
    if (url === `${HERE}stdlib.pack`) return new Response(new Uint8Array(await library));
    return original(input, init);
  };
  const start = async () => {
    const snapshot = await kept;
    const pyodide = await python(snapshot);
    untar(pyodide.FS, await numpy);
    const more = pyodide.pyimport("wmsite_more");
    more.start(fetchNow);
    more.destroy();
    snapshot.keep();
    return pyodide;
  };
  try {
    return await Promise.race([failed, start()]);
  } finally {
    globalThis.fetch = original;
  }
}

/**
 * Start Python, from the snapshot where there is one, else leave one in it.
 * @param {Snapshot} snapshot @returns {Promise<any>}
 */
async function python(snapshot) {
  const options = {
    indexURL: HERE,
    packageBaseUrl: HERE, // or Pyodide would name a host of its own
    stdLibURL: `${HERE}stdlib.pack`,
  };
  if (snapshot.bytes) {
    try {
      return await loadPyodide({ ...options, _loadSnapshot: snapshot.bytes });
    } catch (error) {
      console.warn("Python's snapshot does not fit; starting without it.", error);
      snapshot.drop();
    }
  }
  const pyodide = await loadPyodide({ ...options, _makeSnapshot: snapshot.possible });
  if (snapshot.possible) {
    pyodide.runPython("import wmsite_more; wmsite_more.preload(); del wmsite_more");
    snapshot.bytes = pyodide.makeMemorySnapshot();
    // While a snapshot can be made, `js` is a wrapper that notes each access: done with that.
    pyodide.runPython("import sys; sys.modules.pop('js', None)");
    pyodide.registerJsModule("js", globalThis);
  }
  return pyodide;
}

/** This browser's snapshot for this folder: its bytes, if it has been kept. */
class Snapshot {
  possible = false;
  /** @type {Uint8Array | undefined} */
  bytes;
  fresh = true;
  /** @type {Cache | undefined} */
  #cache;
  // The engine's version and what it can do decide how the memory is laid out.
  #key = `${HERE}snapshot?${encodeURIComponent(navigator.userAgent)}&${"Suspending" in WebAssembly}`;

  /** @returns {Promise<Snapshot>} */
  static async find() {
    const snapshot = new Snapshot();
    try {
      const cache = await caches.open("wm-python");
      snapshot.#cache = cache;
      snapshot.possible = true;
      // A start from it that never ended leaves this mark: do not try twice.
      if (await cache.match(`${snapshot.#key}&trying`)) {
        await snapshot.drop();
        return snapshot;
      }
      const hit = await cache.match(snapshot.#key);
      if (hit) {
        await cache.put(`${snapshot.#key}&trying`, new Response(""));
        snapshot.bytes = new Uint8Array(await hit.arrayBuffer());
        snapshot.fresh = false;
      }
    } catch {
      snapshot.possible = snapshot.bytes !== undefined; // No storage here, or none left.
    }
    return snapshot;
  }

  /** Python runs: keep the bytes for the next time, in place of those of older sites. */
  async keep() {
    try {
      await this.#cache?.delete(`${this.#key}&trying`);
      if (!this.#cache || !this.fresh || !this.bytes) return;
      const beside = new URL("../", HERE).href;
      for (const { url } of await this.#cache.keys()) {
        if (url.startsWith(beside)) await this.#cache.delete(url);
      }
      await this.#cache.put(this.#key, new Response(/** @type {any} */ (this.bytes)));
    } catch {
      // Storage is full or refused: the next start is as long as this one.
    } finally {
      this.bytes = undefined;
    }
  }

  /** Forget it. */
  async drop() {
    this.bytes = undefined;
    this.fresh = true;
    await this.#cache?.delete(this.#key);
    await this.#cache?.delete(`${this.#key}&trying`);
  }
}

/** @param {any} FS @param {Uint8Array} tar */
function untar(FS, tar) {
  const text = new TextDecoder();
  /** @param {number} from @param {number} to */
  const field = (from, to) => text.decode(tar.subarray(from, to)).replace(/\0.*/s, "");
  for (let at = 0; tar[at]; ) {
    const path = SITE_PACKAGES + field(at, at + 100);
    const size = parseInt(field(at + 124, at + 136), 8);
    FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    FS.writeFile(path, tar.subarray(at + 512, at + 512 + size), { canOwn: true });
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/**
 * Fetch a file of this folder while Python waits: its import statement is no promise.
 * @param {string} file @returns {Uint8Array}
 */
function fetchNow(file) {
  const request = new XMLHttpRequest();
  request.open("GET", HERE + file, false);
  request.responseType = "arraybuffer";
  request.send();
  if (request.status !== 200) throw new Error(`HTTP ${request.status}`);
  return new Uint8Array(request.response);
}
