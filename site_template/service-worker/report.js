// Reports the state to pages.

let told = 0;

/** @param {number} bytes */
function progress(bytes) {
  now.done += bytes;
  if (Date.now() - told > 100) void tell();
}

/** Send the state to every page of the site. */
async function tell() {
  told = Date.now();
  const { active, ready } = await load();
  const state = {
    type: "offline",
    ...now,
    cut,
    worlds: active?.worlds ?? [],
    kept: Object.values(active?.files ?? {}).reduce((sum, entry) => sum + entry.bytes, 0),
    version: active?.version ?? null,
    ready: ready?.version ?? null,
  };
  for (const client of await worker.clients.matchAll({ type: "window", includeUncontrolled: true }))
    if (client.url.startsWith(SCOPE)) client.postMessage(state);
}

/** Report an error; the stored files stay as they are. @param {unknown} error */
async function report(error) {
  now.loading = false;
  const { name, message } = /** @type {Error} */ (error);
  if (name === "QuotaExceededError") now.problem = "the browser gives this site too little storage";
  else if (name === "SecurityError" || name === "UnknownError") now.problem = "the browser refuses storage";
  else now.problem = message;
  await tell();
}
