// Starts the page's Python from given files: nothing is fetched from in here.
//
//   const { pyodide, memory, fits } = await boot({ files, memory, keep });
//
// NumPy is in place. Parts that the trimmed library lacks must be passed in (see wmsite_more.py).
//
// A first start can leave a snapshot of Python's memory, as it is before NumPy. Later starts use the snapshot
// and skip Python's own start (player/sim/python.js stores it).
// @ts-check

// @ts-ignore -- builder/site/vendor.py bundles these in
import { loadPyodide } from "wm-pyodide-loader";
// @ts-ignore
import createPyodideModule from "wm-pyodide-module";
// @ts-ignore
import lockFileContents from "wm-pyodide-lock";

/** A folder that does not exist: Pyodide asks for files in it, and gets the given ones. */
const HERE = "wm:/";
const SITE_PACKAGES = "/lib/python3.14/site-packages/";

/**
 * Start Python with NumPy.
 * @param {{files: Record<string, ArrayBuffer>, memory?: Uint8Array, keep: boolean}} given `files`: pyodide.asm.wasm,
 *   stdlib.pack and numpy.pack; `memory`: a snapshot to start from; `keep`: whether to make one
 * @returns {Promise<{pyodide: any, memory: Uint8Array | null, fits: boolean}>} the Pyodide API, a new snapshot, and
 *   whether the given one fitted
 */
export async function boot({ files, memory, keep }) {
  const library = unpacked(files["stdlib.pack"]);
  const numpy = unpacked(files["numpy.pack"]);
  for (const promise of [library, numpy]) promise.catch(() => {}); // Awaited below.
  const original = globalThis.fetch;
  globalThis.fetch = async (input) => {
    const url = String(input);
    if (url === `${HERE}pyodide.asm.wasm`)
      return new Response(files["pyodide.asm.wasm"], { headers: { "content-type": "application/wasm" } });
    if (url === `${HERE}stdlib.pack`) return new Response(/** @type {Uint8Array<ArrayBuffer>} */ (await library));
    throw new TypeError(`${url}: not given`);
  };
  try {
    const started = await python(memory, keep);
    untar(started.pyodide.FS, await numpy);
    return started;
  } finally {
    globalThis.fetch = original;
  }
}

/** @param {ArrayBuffer} packed @returns {Promise<Uint8Array>} */
async function unpacked(packed) {
  const plain = /** @type {ReadableStream} */ (new Response(packed).body).pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

/** Start Python, from a snapshot if there is one. @param {Uint8Array | undefined} memory @param {boolean} keep */
async function python(memory, keep) {
  const options = {
    createPyodideModule,
    lockFileContents,
    indexURL: HERE,
    packageBaseUrl: HERE, // otherwise Pyodide would name its own host
    stdLibURL: `${HERE}stdlib.pack`,
  };
  if (memory) {
    try {
      return { pyodide: await loadPyodide({ ...options, _loadSnapshot: memory }), memory: null, fits: true };
    } catch (error) {
      console.warn("Python's snapshot does not fit; starting without it.", error);
    }
  }
  const pyodide = await loadPyodide({ ...options, _makeSnapshot: keep });
  if (!keep) return { pyodide, memory: null, fits: false };
  pyodide.runPython("import wmsite_more; wmsite_more.preload(); del wmsite_more");
  const made = pyodide.makeMemorySnapshot();
  // While a snapshot can be made, `js` is a wrapper that notes each access. This ends it.
  pyodide.runPython("import sys; sys.modules.pop('js', None)");
  pyodide.registerJsModule("js", globalThis);
  return { pyodide, memory: made, fits: false };
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
