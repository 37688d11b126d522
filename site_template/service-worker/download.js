// Downloading a version: each missing file is fetched, verified and stored.

/** Store these worlds too. @param {Wanted} wanted */
function keep({ worlds, webgpu }) {
  return alone(() => bring({ worlds: worlds ?? [], webgpu: Boolean(webgpu) }));
}

/** Fetch the deployed version, if there is an offline copy; without a network, the copy is enough. */
async function update() {
  if (!(await load()).active) return tell();
  await alone(() => bring({ worlds: [], webgpu: false })).catch((error) => {
    if (!(error instanceof Unreachable)) throw error;
    return tell();
  });
}

/** Show the ready version from now on. Open pages still find their own files. */
async function activate() {
  await write((kept) => (kept.ready ? { active: kept.ready, previous: kept.active, ready: null } : kept));
  void alone(sweep).catch(() => {});
  await tell();
}

/** Delete the offline copy and its caches. */
async function drop() {
  await alone(async () => {
    await write(() => ({ active: null, previous: null, ready: null }));
    await Promise.all([caches.delete(FILES), caches.delete(RECORD), forgetPython()]);
    now.problem = now.mended = "";
  });
  await tell();
}

/** Delete this site's part of a cache that all sites of the origin share, and the cache if it is then empty. */
async function forgetPython() {
  if (!(await caches.has(PYTHON))) return;
  const cache = await caches.open(PYTHON);
  for (const request of await cache.keys()) if (request.url.startsWith(SCOPE)) await cache.delete(request);
  if (!(await cache.keys()).length) await caches.delete(PYTHON);
}

/** Fetch the deployed version with the stored worlds and the wanted ones. @param {Wanted} wanted */
async function bring(wanted) {
  const { active, ready } = await load();
  const base = ready ?? active;
  const next = describe(await deployed(), {
    worlds: [...new Set([...(base?.worlds ?? []), ...wanted.worlds])].sort(),
    webgpu: wanted.webgpu || Boolean(base?.webgpu),
  });
  now.problem = "";
  // The whole record, not only its version: it is in the same place as the files.
  if (base && JSON.stringify(next) === JSON.stringify(base) && !(await missing(next)).length) return tell();
  await download(next);
  const rollback = active?.version === next.version;
  await write((kept) =>
    !active || rollback ? { ...kept, active: next, ready: null } : { ...kept, ready: next },
  );
  await sweep();
  await tell();
}

/** @returns {Promise<string>} the network's current site.json */
async function deployed() {
  const response = await fetch(SCOPE + SITE, { cache: "no-store" }).catch(() => null);
  cut = !response;
  if (!response) throw new Unreachable(SITE);
  if (!response.ok) throw new Error(`${SITE}: the server answered ${response.status}`);
  return response.text();
}

/** Read from a site.json the entries to store. @param {string} text @param {Wanted} wanted @returns {Version} */
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
    // Not the files for crawlers, and not the runtime of 17 MB that only devices with WebGPU load.
    if (/^sitemap\.xml|\.gz$|\.inv$/.test(path) || (!wanted.webgpu && path.includes(".jspi."))) continue;
    files[path] = { sha256, bytes };
  }
  return { version: site.version, site: text, files, worlds, webgpu: wanted.webgpu };
}

/** The files of a version that are missing here. @param {Version} version */
async function missing({ files }) {
  const here = new Set((await (await caches.open(FILES)).keys()).map((request) => request.url));
  return Object.entries(files).filter(([path, entry]) => !here.has(place(path, entry)));
}

/** Fetch, verify and store each missing file of a version. @param {Version} version */
async function download(version) {
  const cache = await caches.open(FILES);
  const wanted = await missing(version);
  now.loading = true;
  now.done = 0;
  now.total = wanted.reduce((sum, [, entry]) => sum + entry.bytes, 0);
  await tell();
  let stop = false;
  const lane = async () => {
    for (let next = wanted.pop(); next && !stop; next = wanted.pop()) await fetchInto(cache, ...next);
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
  // Twice, because the browser's own cache may hold a file of an older deployment.
  for (const mode of /** @type {const} */ (["default", "reload"])) {
    const response = await fetch(address, { cache: mode }).catch(() => null);
    if (!response) throw new Unreachable(path);
    const bytes = await counted(response, entry.bytes, path);
    // Only the bytes count: some hosts send 404.html with status 404.
    if (bytes && (await hash(bytes)) === entry.sha256) {
      await cache.put(place(path, entry), new Response(bytes, { headers: headersOf(response, entry) }));
      return;
    }
    problem = response.ok ? "is not the file that site.json names" : `the server answered ${response.status}`;
  }
  throw new Error(`${path}: ${problem}`);
}

/**
 * Read a response of exactly this many bytes, otherwise null; pages see the progress.
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
