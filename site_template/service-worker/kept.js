// The stored files of this site: the record, the downloads that change it, and the clean-up.

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
/** Whether the network did not answer the last request. */
let cut = false;
/**
 * The data for pages beside the record; `mended`: a stored file that had been changed, as text.
 * @type {{loading: boolean, done: number, total: number, problem: string, mended: string}}
 */
const now = { loading: false, done: 0, total: 0, problem: "", mended: "" };

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

/** Change the record: one change after the other, each written as a whole. @param {(kept: Kept) => Kept} change */
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

/** Return a file's key in the cache. @param {string} path @param {Entry} entry */
const place = (path, entry) => `${SCOPE}wm/kept/${entry.sha256}${/\.\w+$/.exec(path)?.[0] ?? ""}`;

/** Delete everything that no version needs. */
async function sweep() {
  const kept = await load();
  const needed = new Set();
  for (const version of [kept.active, kept.previous, kept.ready])
    for (const [path, entry] of Object.entries(version?.files ?? {})) needed.add(place(path, entry));
  const cache = await caches.open(FILES);
  for (const request of await cache.keys()) if (!needed.has(request.url)) await cache.delete(request);
}
