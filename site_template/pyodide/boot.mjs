// Boots the page's Python, in a worker. This file lies in one folder with all that it loads:
//
//   const { boot } = await import("<pyodide folder>/boot.mjs");
//   const pyodide = await boot({ onprogress: (file, bytes) => ... });
//
// NumPy is in place. What the trimmed library lacks is fetched by the first import that needs
// it (see wmsite_more.py). Nothing comes from anywhere but this folder.
// @ts-check

// @ts-ignore -- lies beside this file only once it is vendored
import { loadPyodide } from "./pyodide.mjs";

const HERE = new URL("./", import.meta.url).href;

/** The files that make the wait, in the order of their size. */
export const FILES = ["pyodide.asm.wasm", "numpy.zip", "stdlib.zip", "pyodide.asm.mjs"];

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

  const coming = new Map(FILES.slice(0, 3).map((file) => [HERE + file, load(file)]));
  for (const response of coming.values()) response.catch(() => {}); // `failed` tells
  globalThis.fetch = (input, init) => coming.get(String(input)) ?? original(input, init);
  try {
    return await Promise.race([failed, start(coming.get(`${HERE}numpy.zip`))]);
  } finally {
    globalThis.fetch = original;
  }
}

/** @param {Promise<Response> | undefined} numpy @returns {Promise<any>} */
async function start(numpy) {
  const pyodide = await loadPyodide({
    indexURL: HERE,
    packageBaseUrl: HERE, // or Pyodide would name a host of its own
    stdLibURL: `${HERE}stdlib.zip`,
  });
  const archive = await (await numpy)?.arrayBuffer();
  pyodide.FS.writeFile("/tmp/numpy.zip", new Uint8Array(/** @type {ArrayBuffer} */ (archive)));
  const more = pyodide.pyimport("wmsite_more");
  more.install(fetchNow);
  more.unpack("/tmp/numpy.zip");
  more.destroy();
  pyodide.FS.unlink("/tmp/numpy.zip");
  pyodide.runPython("import numpy");
  return pyodide;
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
