// The service worker: keeps whole, verified versions of this site for use without a network.
//
// A version is what one wm/site.json lists. Its files lie in one cache, each under its own sha256,
// so a new version downloads only what changed. What is kept is told by one small record, written
// in one go: a version is there in whole or it is not. Once something is kept, every file of that
// version comes from here, site.json among them, so pages and scripts always belong together; the
// deployed version is looked for at each navigation and takes over only when all of it has come.
//
// Nothing is kept before a page asks for it (Play, or "Make available offline"), and no page is
// ever reloaded from here.

/**
 * @typedef {{sha256: string, bytes: number}} Entry
 * @typedef {{version: string, site: string, files: Record<string, Entry>, worlds: string[], webgpu: boolean}} Version
 * @typedef {{active: Version | null, previous: Version | null, ready: Version | null}} Kept
 * @typedef {{worlds: string[], webgpu: boolean}} Wanted
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const SCOPE = worker.registration.scope;
const SITE = "wm/site.json";
// Caches belong to the origin, which other sites may share under other paths.
const FILES = `wmsite ${new URL(SCOPE).pathname} files`;
const RECORD = `wmsite ${new URL(SCOPE).pathname} record`;
// Python's memory once it has started, of every site of the origin: pyodide/boot.mjs keeps it.
const PYTHON = "wm-python";
const RECORD_AT = `${SCOPE}wm/record.json`;
/** How long a navigation waits for the deployed version, in ms; then what is kept is shown. */
const WAIT = 2500;
/** After a network that did not answer in time, navigations don't wait for it for so long, in ms. */
const PATIENCE = 60_000;
const AT_ONCE = 6;
/** Whether answers carry the headers that wasm threads need, for hosts that can't send them. */
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

// --- What is kept --------------------------------------------------------------------------------

class Unreachable extends Error {
  /** @param {string} path */
  constructor(path) {
    super(`${path}: the network did not answer`);
  }
}

/** @type {Promise<Kept> | null} */
let record = null;
/** @type {Promise<unknown>} */
let changes = Promise.resolve();
/** @type {Promise<unknown>} */
let downloads = Promise.resolve();
let impatient = 0;
/** What pages are told beside the record. @type {{loading: boolean, done: number, total: number, problem: string}} */
const now = { loading: false, done: 0, total: 0, problem: "" };

/** @returns {Promise<Kept>} */
function load() {
  record ??= (async () => {
    const empty = { active: null, previous: null, ready: null };
    try {
      const found = await caches.match(RECORD_AT, { cacheName: RECORD });
      return found ? await found.json() : empty;
    } catch {
      return empty;
    }
  })();
  return record;
}

/** Change the record: one change after the other, each written in whole. @param {(kept: Kept) => Kept} change */
function write(change) {
  const mine = changes.then(async () => {
    const kept = change(await load());
    await (await caches.open(RECORD)).put(RECORD_AT, new Response(JSON.stringify(kept)));
    record = Promise.resolve(kept);
  });
  changes = mine.catch(() => {});
  return mine;
}

/** Run one download (or clean-up) after the other. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
function alone(work) {
  const mine = downloads.then(work);
  downloads = mine.catch(() => {});
  return mine;
}

/** Name a file's place in the cache. @param {string} path @param {Entry} entry */
const place = (path, entry) => `${SCOPE}wm/kept/${entry.sha256}${/\.\w+$/.exec(path)?.[0] ?? ""}`;

/** Delete what no version needs any more. */
async function sweep() {
  const kept = await load();
  const needed = new Set();
  for (const version of [kept.active, kept.previous, kept.ready])
    for (const [path, entry] of Object.entries(version?.files ?? {})) needed.add(place(path, entry));
  const cache = await caches.open(FILES);
  for (const request of await cache.keys()) if (!needed.has(request.url)) await cache.delete(request);
}

// --- Getting a version ---------------------------------------------------------------------------

/** Keep these worlds too. @param {Wanted} wanted */
function keep({ worlds, webgpu }) {
  return alone(() => bring({ worlds: worlds ?? [], webgpu: Boolean(webgpu) }));
}

/** Bring the deployed version, where anything is kept; without a network, what is kept will do. */
async function update() {
  if (!(await load()).active) return tell();
  await alone(() => bring({ worlds: [], webgpu: false })).catch((error) => {
    if (!(error instanceof Unreachable)) throw error;
    return tell();
  });
}

/** Show the version that is ready from now on. Pages that are open keep finding their own files. */
async function activate() {
  await write((kept) => (kept.ready ? { active: kept.ready, previous: kept.active, ready: null } : kept));
  void alone(sweep).catch(() => {});
  await tell();
}

/** Forget all that is kept, and leave no cache behind. */
async function drop() {
  await alone(async () => {
    await write(() => ({ active: null, previous: null, ready: null }));
    await Promise.all([caches.delete(FILES), caches.delete(RECORD), forgetPython()]);
    now.problem = "";
  });
  await tell();
}

/** Delete this site's part of a cache that the origin's sites share, and the cache once it is empty. */
async function forgetPython() {
  if (!(await caches.has(PYTHON))) return;
  const cache = await caches.open(PYTHON);
  for (const request of await cache.keys()) if (request.url.startsWith(SCOPE)) await cache.delete(request);
  if (!(await cache.keys()).length) await caches.delete(PYTHON);
}

/** Bring the deployed version with what is kept already and what is wanted. @param {Wanted} wanted */
async function bring(wanted) {
  const { active, ready } = await load();
  const base = ready ?? active;
  const next = describe(await deployed(), {
    worlds: [...new Set([...(base?.worlds ?? []), ...wanted.worlds])].sort(),
    webgpu: wanted.webgpu || Boolean(base?.webgpu),
  });
  now.problem = "";
  if (base && next.version === base.version && same(next.worlds, base.worlds) && next.webgpu === base.webgpu)
    return tell();
  await download(next);
  const rollback = active?.version === next.version;
  await write((kept) =>
    !active || rollback ? { ...kept, active: next, ready: null } : { ...kept, ready: next },
  );
  await sweep();
  await tell();
}

/** @returns {Promise<string>} the site.json that the network has now */
async function deployed() {
  const response = await fetch(SCOPE + SITE, { cache: "no-store" }).catch(() => null);
  if (!response) throw new Unreachable(SITE);
  if (!response.ok) throw new Error(`${SITE}: the server answered ${response.status}`);
  return response.text();
}

/** @param {string[]} a @param {string[]} b */
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

/** Read a site.json into what is to be kept of it. @param {string} text @param {Wanted} wanted @returns {Version} */
function describe(text, wanted) {
  let site;
  try {
    site = JSON.parse(text);
  } catch {
    throw new Error(`${SITE}: not JSON`);
  }
  const worlds = wanted.worlds.filter((name) => name in site.worlds);
  /** @type {Record<string, Entry>} */
  const files = {};
  for (const { url, sha256, bytes, group } of site.files) {
    const path = new URL(url, SCOPE + SITE).href.slice(SCOPE.length);
    if (!["page", "runtime", ...worlds].includes(group)) continue;
    // Crawlers' files; and a runtime of 17 MB that only devices with WebGPU load.
    if (/^sitemap\.xml|\.gz$|\.inv$/.test(path) || (!wanted.webgpu && path.includes(".jspi."))) continue;
    files[path] = { sha256, bytes };
  }
  return { version: site.version, site: text, files, worlds, webgpu: wanted.webgpu };
}

/** Fetch, verify and store every file of a version that is not here yet. @param {Version} version */
async function download(version) {
  const cache = await caches.open(FILES);
  const here = new Set((await cache.keys()).map((request) => request.url));
  const missing = Object.entries(version.files).filter(([path, entry]) => !here.has(place(path, entry)));
  now.loading = true;
  now.done = 0;
  now.total = missing.reduce((sum, [, entry]) => sum + entry.bytes, 0);
  await tell();
  let stop = false;
  const lane = async () => {
    for (let next = missing.pop(); next && !stop; next = missing.pop()) await fetchInto(cache, ...next);
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  } finally {
    stop = true;
    now.loading = false;
  }
}

/** @param {Cache} cache @param {string} path @param {Entry} entry */
async function fetchInto(cache, path, entry) {
  const address = SCOPE + path.replace(/(^|\/)index\.html$/, "$1");
  let problem = "";
  // Twice: the browser's own cache may hold what an older deployment sent.
  for (const mode of /** @type {const} */ (["default", "reload"])) {
    const response = await fetch(address, { cache: mode }).catch(() => null);
    if (!response) throw new Unreachable(path);
    const bytes = await counted(response, entry.bytes, path);
    // Only the bytes count: some hosts send 404.html with status 404.
    if (bytes && (await hash(bytes)) === entry.sha256) {
      const headers = new Headers({ "content-length": String(entry.bytes) });
      for (const name of KEPT_HEADERS) {
        const value = response.headers.get(name);
        if (value) headers.set(name, value);
      }
      await cache.put(place(path, entry), new Response(bytes, { headers }));
      return;
    }
    problem = response.ok ? "is not the file that site.json names" : `the server answered ${response.status}`;
  }
  throw new Error(`${path}: ${problem}`);
}

/**
 * Read a response of just so many bytes, else null; pages see them come.
 * @param {Response} response @param {number} expected @param {string} path
 */
async function counted(response, expected, path) {
  const bytes = new Uint8Array(expected);
  const reader = response.body?.getReader();
  let at = 0;
  let fits = true;
  for (;;) {
    const part = await reader?.read().catch(() => {
      throw new Unreachable(path);
    });
    if (!part || part.done) break;
    fits = at + part.value.length <= expected;
    if (!fits) break;
    bytes.set(part.value, at);
    at += part.value.length;
    progress(part.value.length);
  }
  if (fits && at === expected) return bytes;
  void reader?.cancel();
  progress(-at);
  return null;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function hash(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
}

// --- Telling pages -------------------------------------------------------------------------------

let told = 0;

/** @param {number} bytes */
function progress(bytes) {
  now.done += bytes;
  if (Date.now() - told > 100) void tell();
}

/** Tell every page of the site how things stand. */
async function tell() {
  told = Date.now();
  const { active, ready } = await load();
  const state = {
    type: "offline",
    ...now,
    worlds: active?.worlds ?? [],
    kept: Object.values(active?.files ?? {}).reduce((sum, entry) => sum + entry.bytes, 0),
    version: active?.version ?? null,
    ready: ready?.version ?? null,
  };
  for (const client of await worker.clients.matchAll({ type: "window", includeUncontrolled: true }))
    if (client.url.startsWith(SCOPE)) client.postMessage(state);
}

/** Say what went wrong; what was kept before stays as it is. @param {unknown} error */
async function report(error) {
  now.loading = false;
  const { name, message } = /** @type {Error} */ (error);
  if (name === "QuotaExceededError") now.problem = "the browser gives this site too little storage";
  else if (name === "SecurityError" || name === "UnknownError") now.problem = "the browser refuses storage";
  else now.problem = message;
  await tell();
}

// --- Answering -----------------------------------------------------------------------------------

/** @param {FetchEvent} event @returns {Promise<Response>} */
async function answer(event) {
  const { request } = event;
  const path = request.url.slice(SCOPE.length).replace(/[?#].*$/, "");
  if (request.mode === "navigate") await settle(event);
  const kept = await load();
  if (!kept.active) return fetch(request);
  if (path === SITE) return new Response(kept.active.site, { headers: { "content-type": "application/json" } });
  const file = path === "" || path.endsWith("/") ? `${path}index.html` : path;
  // Of a page that is still open with the version before, scripts may be asked for.
  for (const version of [kept.active, kept.previous]) {
    const found = version?.files[file];
    const stored = found && (await caches.match(place(file, found), { cacheName: FILES }));
    if (stored) return stored;
  }
  if (request.mode === "navigate" && `${file}/index.html` in kept.active.files)
    return Response.redirect(`${SCOPE}${file}/`);
  try {
    return await fetch(request);
  } catch (error) {
    const lost = kept.active.files["404.html"];
    const page = lost && request.mode === "navigate" && (await caches.match(place("404.html", lost), { cacheName: FILES }));
    if (!page) throw error;
    return new Response(page.body, { status: 404, headers: page.headers });
  }
}

/** Before a page is shown: let the deployed version take over, if all of it comes within WAIT. @param {FetchEvent} event */
async function settle(event) {
  if (!(await load()).active) return;
  const updating = update().catch(report);
  event.waitUntil(updating);
  // A long download goes on beside the reading.
  if (navigator.onLine && !now.loading && Date.now() > impatient) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, WAIT, "late")));
    if ((await Promise.race([updating, late])) === "late" && !now.loading) impatient = Date.now() + PATIENCE;
    clearTimeout(timer);
  }
  if ((await load()).ready) await activate();
}

/** @param {Response} response */
function isolated(response) {
  if (!ISOLATE || response.type === "opaqueredirect" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  headers.set("cross-origin-resource-policy", "same-origin");
  const empty = [101, 204, 205, 304].includes(response.status);
  return new Response(empty ? null : response.body, { status: response.status, statusText: response.statusText, headers });
}
