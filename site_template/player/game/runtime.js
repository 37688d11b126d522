// One for each page: the site's manifest, and the Python and model workers that its worlds share.

import { provide, startPython } from "../sim/python.js";
import { loadViews } from "../views/registry.js";
import { fetchSurely, loadSite, readJson } from "./manifest.js";
import { Remote } from "./rpc.js";
import { asWorld } from "./world-manifest.js";

/** @import {Backend, File, Site} from "../../types" */
/** @import {Stage} from "./loading-stages.js" */

/** @typedef {{remote: Remote, ready: Promise<any>, listeners: Set<(event: any) => void>}} Booted */

/** @type {Map<string, Runtime>} */
const runtimes = new Map();

/** Return the page's runtime for one site.json. @param {string} src its absolute address */
export function runtimeFor(src) {
  let found = runtimes.get(src);
  if (!found) runtimes.set(src, (found = new Runtime(src)));
  return found;
}

export class Runtime {
  /** @param {string} src */
  constructor(src) {
    this.src = src;
    /** @type {Site | null} */
    this.site = null;
    /** @type {Map<string, File>} */
    this.files = new Map();
    /** @type {Map<string, Booted>} */
    this.workers = new Map();
    /** The active game: starting another one pauses it. @type {{pause(why: string): void} | null} */
    this.active = null;
  }

  /** @param {Stage} stage @param {boolean} fresh fetch site.json again */
  async loadSite(stage, fresh) {
    const site = await stage.run(() => loadSite(this.src, fresh));
    this.site = site;
    this.files.clear();
    for (const file of site.files) {
      const url = new URL(file.url, this.src).href;
      this.files.set(url, { ...file, url });
    }
  }

  /** Fetch, verify and check a world manifest. @param {string} name @param {Stage} stage */
  loadWorld(name, stage) {
    return stage.run(async () => {
      const site = /** @type {Site} */ (this.site);
      if (!(name in site.worlds))
        throw new Error(`the site has no world "${name}" (it has ${Object.keys(site.worlds).join(", ") || "none"})`);
      const url = new URL(site.worlds[name], this.src).href;
      const entry = this.files.get(url);
      if (!entry) throw new Error(`site.json does not list ${site.worlds[name]}`);
      const bytes = await this.fetch(entry, stage);
      const world = asWorld(await readJson(new Response(bytes), "world.json"));
      await loadViews(world.spec, "world.json.spec");
      return { world, url };
    });
  }

  /** @param {File} entry its url absolute @param {Stage} stage @returns {Promise<ArrayBuffer>} */
  async fetch(entry, stage) {
    stage.total += entry.bytes;
    return fetchSurely(entry, (bytes) => stage.add(bytes));
  }

  /** Return the Python worker, and start it if there is none. @param {Stage} stage */
  python(stage) {
    return this.boot("python", stage, "pyodide", (at, tell) => startPython(at, this.files, tell));
  }

  /**
   * Give Python an archive that an import needs.
   * @param {Remote} remote @param {string} name @param {(bytes: number) => void} onBytes
   */
  provide(remote, name, onBytes) {
    return provide(remote, name, this.folder("pyodide"), this.files, onBytes);
  }

  /** Return the worker that runs models on `backend`. @param {Backend} backend @param {Stage} stage */
  model(backend, stage) {
    return this.boot(backend, stage, "ort", (at, tell) => {
      const remote = new Remote(modelWorker(backend), backend);
      const files = [...this.files.values()].filter((f) => f.url.startsWith(at));
      remote.onevent = tell;
      return { remote, ready: remote.call("boot", { at, files, backend }) };
    });
  }

  /** The address of a folder that site.json names. @param {string} name a key of site.runtime */
  folder(name) {
    const site = /** @type {Site} */ (this.site);
    if (!site.runtime[name]) throw new Error(`site.json names no "${name}" runtime`);
    return new URL(site.runtime[name].replace(/\/?$/, "/"), this.src).href;
  }

  /**
   * @param {string} key @param {Stage} stage @param {string} folder a key of site.runtime
   * @param {(at: string, tell: (event: any) => void) => {remote: Remote, ready: Promise<any>}} start @returns {Promise<Booted>}
   */
  async boot(key, stage, folder, start) {
    let booted = this.workers.get(key);
    if (!booted || booted.remote.gone !== null) {
      /** @type {Set<(event: any) => void>} */
      const listeners = new Set();
      booted = { ...start(this.folder(folder), (event) => listeners.forEach((listen) => listen(event))), listeners };
      this.workers.set(key, booted);
    }
    const { remote, listeners, ready } = booted;
    /** @param {{loaded?: number, total?: number, detail?: string}} event */
    const listen = (event) => {
      if (event.total !== undefined) stage.total = event.total;
      if (event.loaded !== undefined) stage.loaded = event.loaded;
      if (event.detail !== undefined) stage.detail = event.detail;
      stage.progress();
    };
    listeners.add(listen);
    try {
      await stage.run(() => ready);
    } catch (error) {
      remote.end(error instanceof Error ? error.message : String(error));
      if (this.workers.get(key)?.remote === remote) this.workers.delete(key);
      throw error;
    } finally {
      listeners.delete(listen);
    }
    return booted;
  }

  /** The player starts `game`: every other game of the page pauses. @param {{pause(why: string): void}} game */
  take(game) {
    if (this.active && this.active !== game) this.active.pause("Another world plays.");
    this.active = game;
  }
}

/** @param {string} name */
function modelWorker(name) {
  try {
    return new Worker(new URL("../model/worker.js", import.meta.url), { type: "module", name });
  } catch {
    throw new Error("a frame that is sandboxed without allow-same-origin may start no model");
  }
}
