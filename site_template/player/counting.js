// In a worker: every fetch of a file that the manifest names is verified and counted.

import { fetchFile } from "./manifest.js";
import { tell } from "./rpc.js";

/** @import {FileEntry} from "../types" */

const TYPES = { wasm: "application/wasm", json: "application/json" };

/**
 * Put a verifying fetch in front of the worker's own and report its bytes as events.
 * @param {FileEntry[]} files absolute addresses @param {number} total bytes expected in all
 */
export function countFetches(files, total) {
  const known = new Map(files.map((file) => [file.url, file]));
  const native = self.fetch.bind(self);
  let loaded = 0;
  let told = 0;
  tell({ total, loaded });
  /** @param {number} bytes */
  const count = (bytes) => {
    loaded += bytes;
    // A hundred events a download are plenty.
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
