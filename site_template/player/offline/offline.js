// The page's side of sw.js: the offline copy, and the buttons for it.

import { adapter, serviceWorkers } from "../element/browser-features.js";
import { h, megabytes } from "../element/dom.js";
import { loadSite } from "../game/manifest.js";

/**
 * The messages of sw.js.
 * @typedef {{
 *   loading: boolean, done: number, total: number, problem: string, mended: string, worlds: string[], kept: number,
 *   version: string | null, ready: string | null, cut: boolean,
 * }} Kept
 */

const ROOT = new URL("../../../", import.meta.url);
const THREADS = document.querySelector('meta[name="wm-threads"]') !== null;

/** @returns {Promise<boolean>} whether this device can use the WebGPU files */
const webgpu = () => adapter().then(Boolean, () => false);

/** Talks to the service worker: sends "state" events, and says why there can be none. */
export class Offline extends EventTarget {
  constructor() {
    super();
    /** @type {Kept | null} */
    this.kept = null;
    /** Why this browser can store nothing, as text. */
    this.refused = "";
    /** @type {ServiceWorkerRegistration | null} */
    this.registration = null;
    /** @type {Set<string>} */
    this.asked = new Set();
  }

  /** Register sw.js; if that is refused, `refused` says why, and the page works on. */
  async start() {
    const serviceWorker = serviceWorkers();
    if (!serviceWorker) return this.refuse(isSecureContext ? "there are no service workers here" : "that needs https");
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
      const other = await instead();
      this.refuse(other || (denied ? "this browser refuses storage" : `the service worker did not start (${name})`));
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
    const active = (await serviceWorkers()?.ready)?.active;
    active?.postMessage(message);
  }

  /** Store the pages and these worlds. @param {string[]} worlds @param {boolean} asked by a button, not by Play */
  async keep(worlds, asked) {
    if (this.refused) return;
    for (const world of worlds) this.asked.add(world);
    // After an explicit request, the browser may promise not to clear the stored files.
    if (asked) void navigator.storage?.persist?.().catch(() => {});
    await this.post({ type: "keep", worlds, webgpu: await webgpu() });
  }

  /** Delete the offline copy. */
  async drop() {
    await this.post({ type: "drop" });
  }

  /** Look for a newer version. */
  async update() {
    if (this.registration) await this.post({ type: "update" });
  }

  /** Show the version that is ready: the only place that reloads, and only on request. */
  async activate() {
    const reload = new Promise((resolve) => {
      this.addEventListener("state", () => this.kept?.ready || resolve(undefined));
    });
    await this.post({ type: "activate" });
    await reload;
    location.reload();
  }
}

/** Describe what the host sends instead of sw.js; empty if it sends a script. @returns {Promise<string>} */
async function instead() {
  const response = await fetch(new URL("sw.js", ROOT), { cache: "no-store", redirect: "manual" }).catch(() => null);
  if (!response) return "sw.js: the network did not answer";
  if (response.type === "opaqueredirect") return "the host redirects sw.js, as to a login page";
  if (!response.ok) return `sw.js: the host answered ${response.status}`;
  const type = response.headers.get("content-type") ?? "no type";
  return /javascript/.test(type) ? "" : `the host sends sw.js as ${type}, not as a script: a login page?`;
}

const site = () => loadSite(new URL("wm/site.json", ROOT).href);

/** Return the size of a copy of `worlds`, with and without the files for WebGPU. @param {string[]} worlds */
async function weigh(worlds) {
  const { files } = await site();
  const wanted = files.filter((f) => ["page", "runtime", ...worlds].includes(f.group));
  /** @param {boolean} gpu */
  const sum = (gpu) => wanted.reduce((total, f) => total + (gpu || !f.url.includes(".jspi.") ? f.bytes : 0), 0);
  const [low, high] = [sum(false), sum("gpu" in navigator)].map((bytes) => (bytes / 1e6).toFixed(0));
  return low === high ? `${low} MB` : `${low} to ${high} MB`;
}

/**
 * Put the line and the button for an offline copy of `worlds` into `place`.
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
    // Without a network now, nothing can be played that is not stored.
    const cut = !navigator.onLine || Boolean(kept?.cut);
    /** @type {"refused" | "loading" | "failed" | "kept" | "absent" | "none"} */
    let state = "none";
    if (refused) state = "refused";
    else if (kept?.loading) state = "loading";
    else if (here) state = "kept";
    else if (kept && cut) state = "absent";
    else if (kept?.problem) state = "failed";
    place.dataset.state = state;
    place.dataset.bytes = String(kept?.done ?? 0);
    bar.hidden = state !== "loading";
    button.hidden = state === "refused" || state === "loading";
    let line = "";
    if (state === "refused") line = `No offline copy: ${refused}. Everything else works.`;
    if (state === "kept" && kept) {
      line = `Complete offline (${megabytes(kept.kept)} MB).`;
      if (kept.problem && !cut) line += ` A newer version could not be taken over whole: ${kept.problem}. You have the one from before.`;
      if (kept.mended) line += ` ${kept.mended}`;
    }
    if (state === "absent") line = "Not kept for offline use, and the network does not answer now.";
    if (state === "failed" && kept) line = `Not available offline: ${kept.problem}. Playing works without it.`;
    if (state === "loading" && kept) {
      bar.max = kept.total || 1;
      bar.value = kept.done;
      line = `${megabytes(kept.done)} of ${megabytes(kept.total)} MB for offline use`;
      // Read aloud at its start; the bar shows the rest.
      text.setAttribute("aria-live", spoken === "loading" ? "off" : "polite");
    } else text.setAttribute("aria-live", "polite");
    spoken = state;
    if (text.textContent !== line) text.textContent = line;
    const label = { none: `Make available offline${size}`, failed: "Try again", absent: "Try again", kept: "Remove", refused: "", loading: "" }[state];
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
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
  void (async () => {
    worlds = await which();
    size = ` (${await weigh(worlds)})`;
    show();
  })().catch(() => {});
}

/** All worlds of the site. */
export const everyWorld = async () => Object.keys((await site()).worlds);

/** Offer a ready version at the bottom of the window; nothing reloads by itself. @param {Offline} offline */
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
