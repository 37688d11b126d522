// The page's side of sw.js: what is kept for use without a network, and the buttons that say so.

import { h, megabytes } from "./dom.js";
import { loadSite } from "./manifest.js";

/**
 * What sw.js tells.
 * @typedef {{
 *   loading: boolean, done: number, total: number, problem: string, worlds: string[], kept: number,
 *   version: string | null, ready: string | null,
 * }} Kept
 */

const ROOT = new URL("../../", import.meta.url);
const THREADS = document.querySelector('meta[name="wm-threads"]') !== null;

/** @returns {Promise<boolean>} whether this device may run the WebGPU files */
const webgpu = async () => {
  const gpu = /** @type {any} */ (navigator).gpu;
  return Boolean(await gpu?.requestAdapter?.().catch(() => null));
};

/** Speaks with the service worker: "state" events, and why there can be none. */
export class Offline extends EventTarget {
  constructor() {
    super();
    /** @type {Kept | null} */
    this.kept = null;
    /** Why nothing can be kept in this browser, in words. */
    this.refused = "";
    /** @type {ServiceWorkerRegistration | null} */
    this.registration = null;
    /** @type {Set<string>} */
    this.asked = new Set();
  }

  /** Register sw.js; where that is refused, `refused` says why and the page works on. */
  async start() {
    if (!("serviceWorker" in navigator)) {
      this.refuse(isSecureContext ? "this browser has no service workers" : "that needs https");
      return;
    }
    const { serviceWorker } = navigator;
    serviceWorker.addEventListener("message", ({ data }) => {
      if (data?.type !== "offline") return;
      this.kept = data;
      this.changed();
    });
    try {
      const script = new URL(`sw.js${THREADS ? "?isolate" : ""}`, ROOT);
      this.registration = await serviceWorker.register(script, { updateViaCache: "none" });
      await this.post({ type: "status" });
      if (THREADS && !crossOriginIsolated && !serviceWorker.controller)
        console.info("wmsite: threads are there from the next page on");
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      const denied = ["SecurityError", "NotSupportedError", "InvalidStateError"].includes(name);
      this.refuse(denied ? "this browser refuses storage" : `the service worker did not start (${name})`);
    }
  }

  /** @param {string} why */
  refuse(why) {
    this.refused = why;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("state"));
  }

  /** @param {Record<string, unknown>} message */
  async post(message) {
    const { active } = await navigator.serviceWorker.ready;
    active?.postMessage(message);
  }

  /** Keep the pages and these worlds. @param {string[]} worlds @param {boolean} asked by a button, not by Play */
  async keep(worlds, asked) {
    if (this.refused) return;
    for (const world of worlds) this.asked.add(world);
    // Asked outright, the browser may promise not to clear what is kept.
    if (asked) void navigator.storage?.persist?.().catch(() => {});
    await this.post({ type: "keep", worlds, webgpu: await webgpu() });
  }

  /** Forget all that is kept. */
  async drop() {
    await this.post({ type: "drop" });
  }

  /** Look for a newer version. */
  async update() {
    if (this.registration) await this.post({ type: "update" });
  }

  /** Show the version that is ready: the one place that reloads, and only when asked. */
  async activate() {
    const reload = new Promise((resolve) => {
      this.addEventListener("state", () => this.kept?.ready || resolve(undefined));
    });
    await this.post({ type: "activate" });
    await reload;
    location.reload();
  }
}

const site = () => loadSite(new URL("wm/site.json", ROOT).href);

/** Say what keeping `worlds` takes, with and without what WebGPU needs. @param {string[]} worlds */
async function weigh(worlds) {
  const { files } = await site();
  const wanted = files.filter((f) => ["page", "runtime", ...worlds].includes(f.group));
  /** @param {boolean} gpu */
  const sum = (gpu) => wanted.reduce((total, f) => total + (gpu || !f.url.includes(".jspi.") ? f.bytes : 0), 0);
  const [low, high] = [sum(false), sum("gpu" in navigator)].map((bytes) => (bytes / 1e6).toFixed(0));
  return low === high ? `${low} MB` : `${low} to ${high} MB`;
}

/**
 * Put the line and button for keeping `worlds` into `place`.
 * @param {Offline} offline @param {HTMLElement} place @param {() => string[] | Promise<string[]>} which
 */
export function mountOffline(offline, place, which) {
  const text = h("span", { class: "wm-offline-text", role: "status" });
  const bar = h("progress", { class: "wm-offline-bar", "aria-label": "Download for offline use", hidden: true });
  const button = h("button", { type: "button", class: "wm-offline-do" });
  /** @type {string[] | null} */
  let worlds = null;
  let size = "";
  let spoken = "";
  const show = () => {
    const { kept, refused } = offline;
    const here = Boolean(kept?.version && worlds?.every((name) => kept.worlds.includes(name)));
    /** @type {"refused" | "loading" | "failed" | "kept" | "none"} */
    let state = "none";
    if (refused) state = "refused";
    else if (kept?.loading) state = "loading";
    else if (here) state = "kept";
    else if (kept?.problem) state = "failed";
    place.dataset.state = state;
    place.dataset.bytes = String(kept?.done ?? 0);
    bar.hidden = state !== "loading";
    button.hidden = state === "refused" || state === "loading";
    let line = "";
    if (state === "refused") line = `No offline copy: ${refused}. Everything else works.`;
    if (state === "kept" && kept) {
      line = `Complete offline (${megabytes(kept.kept)} MB).`;
      if (kept.problem) line += ` A newer version could not be taken over whole: ${kept.problem}. You have the one from before.`;
    }
    if (state === "failed" && kept) line = `Not available offline: ${kept.problem}. Playing works without it.`;
    if (state === "loading" && kept) {
      bar.max = kept.total || 1;
      bar.value = kept.done;
      line = `${megabytes(kept.done)} of ${megabytes(kept.total)} MB for offline use`;
      // Read out at its start; the bar has the rest.
      text.setAttribute("aria-live", spoken === "loading" ? "off" : "polite");
    } else text.setAttribute("aria-live", "polite");
    spoken = state;
    if (text.textContent !== line) text.textContent = line;
    const label = { none: `Make available offline${size}`, failed: "Try again", kept: "Remove", refused: "", loading: "" }[state];
    if (button.textContent !== label) button.textContent = label;
    if (state === "kept") button.setAttribute("aria-label", "Remove the offline copy");
    else button.removeAttribute("aria-label");
  };
  button.addEventListener("click", async () => {
    if (place.dataset.state === "kept") return offline.drop();
    worlds ??= await which();
    await offline.keep(worlds, true);
  });
  place.replaceChildren(text, bar, button);
  offline.addEventListener("state", show);
  show();
  void (async () => {
    worlds = await which();
    size = ` (${await weigh(worlds)})`;
    show();
  })().catch(() => {});
}

/** Every world of the site. */
export const everyWorld = async () => Object.keys((await site()).worlds);

/** Offer a version that is ready, at the foot of the window; nothing reloads by itself. @param {Offline} offline */
export function mountUpdate(offline) {
  const line = h("div", { class: "wm-update", role: "status" });
  document.body.append(line);
  let dismissed = "";
  offline.addEventListener("state", () => {
    const ready = offline.kept?.ready ?? "";
    const shown = Boolean(ready) && ready !== dismissed;
    line.toggleAttribute("data-ready", shown);
    if (!shown) return line.replaceChildren();
    if (line.childElementCount) return;
    const later = () => {
      dismissed = ready;
      line.removeAttribute("data-ready");
      line.replaceChildren();
    };
    line.append(
      h("span", {}, "Update ready: a new version of this site is here in whole."),
      h("button", { type: "button", class: "wm-update-do", onclick: () => void offline.activate() }, "Show it"),
      h("button", { type: "button", class: "wm-update-later", onclick: later }, "Later"),
    );
  });
}
