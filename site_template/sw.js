// The service worker: stores complete, verified versions of this site for use without a network.
//
// A version is the list of files in one wm/site.json. Its files are in one cache, each under its own sha256, so
// a new version downloads only the changed files. One small record lists the stored versions, and it is written
// as a whole: a version is there completely or not at all. Once a version is stored, all its files come from here,
// including site.json, so pages and scripts always belong together. Each navigation looks for the deployed
// version, which takes over only when all of it has arrived.
//
// Nothing is stored before a page asks for it (Play, or "Make available offline"), and the service worker never
// reloads a page.

/**
 * @typedef {{sha256: string, bytes: number}} Entry
 * @typedef {{version: string, site: string, files: Record<string, Entry>, worlds: string[], webgpu: boolean}} Version
 * @typedef {{active: Version | null, previous: Version | null, ready: Version | null}} Kept
 * @typedef {{worlds: string[], webgpu: boolean}} Wanted
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const SCOPE = worker.registration.scope;
const SITE = "wm/site.json";
// Caches belong to the origin, which may have other sites under other paths.
const FILES = `wmsite ${new URL(SCOPE).pathname} files`;
const RECORD = `wmsite ${new URL(SCOPE).pathname} record`;
// Snapshots of Python's memory, for all sites of the origin: player/sim/python.js stores them.
const PYTHON = "wm-python";
const RECORD_AT = `${SCOPE}wm/record.json`;
/** How long a navigation waits for the deployed version, in ms; then the stored version is shown. */
const WAIT = 2500;
/** After a time-out of the network, navigations don't wait for it for this long, in ms. */
const PATIENCE = 60_000;
const AT_ONCE = 6;
/** Whether answers have the headers that wasm threads need, for hosts that can't send them. */
const ISOLATE = new URL(location.href).searchParams.has("isolate");
const KEPT_HEADERS = ["content-type", "content-security-policy", "permissions-policy", "referrer-policy"];

worker.addEventListener("install", () => void worker.skipWaiting());
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(SCOPE)) return;
  if (request.headers.get("accept") === "text/event-stream") return; // Live reload of `wmsite serve`.
  event.respondWith(answer(event).then(isolated));
});
worker.addEventListener("message", (event) => {
  const work = { keep, update, activate, drop, status: tell }[/** @type {string} */ (event.data?.type)];
  if (work) event.waitUntil(work(event.data).catch(report));
});

// The rest of this script; the build replaces these lines with their files, so that a browser loads one file.
importScripts("./service-worker/kept.js");
importScripts("./service-worker/download.js");
importScripts("./service-worker/report.js");
importScripts("./service-worker/answer.js");
