// Injected by `wmsite serve` alone: show what is wrong with an edit and how training comes on, let the
// games that are on go on with what was edited, and reload where none is.

const script = /** @type {HTMLScriptElement} */ (document.currentScript);
const home = new URL(".", script.src);
let mine = script.dataset.version;

/** @typedef {{title: string, share: number, left: number | null, said: string}} Training */

/** One box at the foot of the page. @param {string} role @param {string} colours */
function box(role, colours) {
  /** @type {HTMLElement | null} */
  let element = null;
  return (/** @type {string} */ text) => {
    if (!element && text) {
      element = document.createElement("pre");
      element.id = `wmsite-${role}`;
      element.setAttribute("role", role);
      element.style.cssText =
        "position:fixed;right:1rem;bottom:1rem;left:1rem;z-index:9999;margin:0;padding:.75rem 1rem;" +
        "white-space:pre-wrap;border:1px solid;border-radius:4px;font:14px/1.5 monospace;" +
        `max-height:50vh;overflow:auto;${colours}`;
      document.body.append(element);
    }
    if (!element) return;
    if (element.textContent !== text) element.textContent = text;
    element.hidden = !text;
  };
}
const alarm = box("alert", "background:#2b0d12;color:#ffd7dc;border-color:#ff4878;z-index:10000");
const report = box("status", "background:#0d1b2b;color:#d7ecff;border-color:#4890ff;left:auto;max-width:40rem");

/** @param {Training} training */
function progress({ title, share, left, said }) {
  const clock = left === null ? "" : `, ${Math.floor(left / 60)}:${String(Math.floor(left % 60)).padStart(2, "0")} left`;
  return `${title}: ${(100 * share).toFixed(0)} %${clock} ${said}`;
}

// A service worker that keeps the old site must bring the new one first.
async function renewed() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return;
  await new Promise((done) => {
    navigator.serviceWorker.addEventListener("message", ({ data }) => {
      if (data?.type !== "offline" || data.loading) return;
      if (data.ready) worker.postMessage({ type: "activate" });
      else done(null);
    });
    navigator.serviceWorker.startMessages();
    worker.postMessage({ type: "update" });
    setTimeout(done, 10000, null);
  });
}

/** @returns {any[]} */
const worlds = () => [...document.querySelectorAll("wm-world")];

/** Games that are being played take over what is new; false where there are none, or one of them can't. */
async function takenOver() {
  const taken = await Promise.all(worlds().map((world) => world.renew?.()));
  return taken.some(Boolean) && !taken.includes(false);
}

/** Games that are being played go on with the sims as they are on the disk, before any build. */
async function edited() {
  const playing = worlds().filter((world) => ["playing", "paused"].includes(world.state?.phase));
  if (!playing.length) return;
  const sims = await (await fetch(new URL("sims.json", home), { cache: "no-store" })).json();
  await Promise.all(playing.map((world) => sims[world.getAttribute("world")] && world.follow(sims[world.getAttribute("world")])));
}

/** How many edits were told of; null before the first word. @type {number | null} */
let edits = null;
// An edit does not wait for a site that is on its way.
let [played, renewal] = [Promise.resolve(), Promise.resolve()];

new EventSource(new URL("events", home)).onmessage = (event) => {
  /** @type {{version: string, error: string | null, training: Training | null, edits: number}} */
  const news = JSON.parse(event.data);
  report(news.training ? progress(news.training) : "");
  if (edits !== null && edits !== news.edits) played = played.then(edited).catch(() => {});
  edits = news.edits;
  // What stands over the stage need not be told again at the foot of the page.
  void played.then(() => alarm(news.error && !document.querySelector("wm-world .wm-fault:not([hidden])") ? news.error : ""));
  renewal = renewal.then(() => renew(news.version)).catch(() => {});
};

/** @param {string} version what is served now */
async function renew(version) {
  // Once for each version: a page that stays old must not reload for ever.
  if (version === mine || sessionStorage.getItem("wmsite-live") === version) return;
  sessionStorage.setItem("wmsite-live", version);
  await renewed();
  if (await takenOver().catch(() => false)) mine = version;
  else location.reload();
}
