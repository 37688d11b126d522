// Answers to pages: from the stored files, each verified, otherwise from the network.

/** @param {FetchEvent} event @returns {Promise<Response>} */
async function answer(event) {
  const { request } = event;
  const path = request.url.slice(SCOPE.length).replace(/[?#].*$/, "");
  if (request.mode === "navigate") await settle(event);
  const kept = await load();
  if (!kept.active) return fetch(request);
  if (path === SITE) return new Response(kept.active.site, { headers: { "content-type": "application/json" } });
  const file = path === "" || path.endsWith("/") ? `${path}index.html` : path;
  // A page that is still open with the previous version may ask for its scripts.
  for (const version of [kept.active, kept.previous]) {
    const found = version?.files[file];
    const stored = found && (await verified(file, found));
    if (stored) return stored;
  }
  if (request.mode === "navigate" && `${file}/index.html` in kept.active.files)
    return Response.redirect(`${SCOPE}${file}/`);
  try {
    return await fetch(request);
  } catch (error) {
    const lost = kept.active.files["404.html"];
    const page = lost && request.mode === "navigate" && (await verified("404.html", lost));
    if (!page) throw error;
    return new Response(page.body, { status: 404, headers: page.headers });
  }
}

/**
 * Return a stored file after verifying it; null if it is not stored. Caches belong to the origin, so any script of
 * it may have written there: a file with another hash is deleted, fetched again and reported. Each answer is
 * hashed, not each file once: hashing takes a millisecond for a megabyte, and the bytes of a good file may be
 * replaced at any time.
 * @param {string} path @param {Entry} entry @returns {Promise<Response | null>}
 */
async function verified(path, entry) {
  const at = place(path, entry);
  const stored = await caches.match(at, { cacheName: FILES });
  if (!stored) return null;
  const bytes = new Uint8Array(await stored.arrayBuffer());
  if ((await hash(bytes)) === entry.sha256) return new Response(bytes, { headers: headersOf(stored, entry) });
  const cache = await caches.open(FILES);
  await cache.delete(at);
  const said = `${path} had been changed in this browser`;
  try {
    await fetchInto(cache, path, entry);
    now.mended = `${said}: it was fetched again.`;
  } catch (error) {
    // The page gets the network's version, or none at all.
    now.mended = `${said} and was dropped (${/** @type {Error} */ (error).message}).`;
    return null;
  } finally {
    void tell();
  }
  return (await caches.match(at, { cacheName: FILES })) ?? null;
}

/** The headers of a stored file, and no others. @param {Response} response @param {Entry} entry */
function headersOf(response, entry) {
  const headers = new Headers({ "content-length": String(entry.bytes) });
  for (const name of KEPT_HEADERS) {
    const value = response.headers.get(name);
    if (value) headers.set(name, value);
  }
  return headers;
}

/** Before a page is shown: let the deployed version take over, if it arrives completely within WAIT. @param {FetchEvent} event */
async function settle(event) {
  if (!(await load()).active) return;
  const updating = update().catch(report);
  event.waitUntil(updating);
  // A long download continues while the page is in use.
  if (navigator.onLine && !now.loading && Date.now() > impatient) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, WAIT, "late")));
    if ((await Promise.race([updating, late])) === "late" && !now.loading) impatient = Date.now() + PATIENCE;
    clearTimeout(timer);
  }
  // If it can't be written, for want of room, the version of before is shown.
  if ((await load()).ready) await activate().catch(report);
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
