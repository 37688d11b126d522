// One per page: the site's manifest, the Python worker and the model workers that its worlds share.

import { asWorld, fetchFile, loadSite, readJson } from "./manifest.js";
import { Remote } from "./rpc.js";

/** @import {Backend, FileEntry, Site} from "../types" */
/** @import {Stage} from "./stages.js" */

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
    /** @type {Map<string, FileEntry>} */
    this.files = new Map();
    /** @type {Map<string, Booted>} */
    this.workers = new Map();
    /** The game that has the player: starting another one pauses it. @type {{pause(why: string): void} | null} */
    this.active = null;
  }

  /** @param {Stage} stage @param {boolean} fresh fetch site.json though it is here already */
  async loadSite(stage, fresh) {
    const site = await stage.run(() => loadSite(this.src, fresh));
    this.site = site;
    this.files.clear();
    for (const file of site.files) {
      const url = new URL(file.url, this.src).href;
      this.files.set(url, { ...file, url });
    }
  }

  /** Fetch, verify and check a world's manifest. @param {string} name @param {Stage} stage */
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
      return { world, url };
    });
  }

  /** @param {FileEntry} entry its url absolute @param {Stage} stage @returns {Promise<ArrayBuffer>} */
  async fetch(entry, stage) {
    stage.total += entry.bytes;
    try {
      return await fetchFile(entry, (bytes) => stage.add(bytes));
    } catch {
      // Once more past the browser's cache, which may hold what an older deployment sent.
      stage.loaded = 0;
      return fetchFile(entry, (bytes) => stage.add(bytes), "reload");
    }
  }

  /** Return the Python worker, booting it if there is none. @param {Stage} stage */
  python(stage) {
    return this.boot("python", stage, "pyodide", {});
  }

  /** Return the worker that runs models on `backend`. @param {Backend} backend @param {Stage} stage */
  model(backend, stage) {
    return this.boot(backend, stage, "ort", { backend });
  }

  /**
   * @param {string} key @param {Stage} stage @param {string} folder a key of site.runtime
   * @param {Record<string, unknown>} extra @returns {Promise<Booted>}
   */
  async boot(key, stage, folder, extra) {
    const site = /** @type {Site} */ (this.site);
    let booted = this.workers.get(key);
    if (!booted || booted.remote.gone !== null) {
      if (!site.runtime[folder]) throw new Error(`site.json names no "${folder}" runtime`);
      const at = new URL(site.runtime[folder].replace(/\/?$/, "/"), this.src).href;
      const files = [...this.files.values()].filter((f) => f.url.startsWith(at));
      const file = key === "python" ? "./sim-worker.js" : "./model-worker.js";
      const remote = new Remote(new URL(file, import.meta.url), key);
      const listeners = new Set();
      remote.onevent = (event) => listeners.forEach((listen) => listen(event));
      booted = { remote, listeners, ready: remote.call("boot", { at, files, ...extra }) };
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

  /** The player starts `game`: any other game of the page pauses. @param {{pause(why: string): void}} game */
  take(game) {
    if (this.active && this.active !== game) this.active.pause("Another world plays.");
    this.active = game;
  }
}
