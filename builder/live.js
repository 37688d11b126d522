// Injected by `wmsite serve` alone: show what is wrong with an edit and how training comes on, take
// over a new model, and reload when more than that is new.

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

/** Games that are being played take over what is new, if that is their model alone. */
async function takenOver() {
  /** @type {any[]} */
  const worlds = [...document.querySelectorAll("wm-world")];
  const taken = await Promise.all(worlds.map((world) => world.renew?.()));
  return taken.length > 0 && taken.every(Boolean);
}

new EventSource(new URL("events", home)).onmessage = async (event) => {
  const { version, error, training } = JSON.parse(event.data);
  alarm(error ?? "");
  report(training ? progress(training) : "");
  // Once for each version: a page that stays old must not reload for ever.
  if (version === mine || sessionStorage.getItem("wmsite-live") === version) return;
  sessionStorage.setItem("wmsite-live", version);
  await renewed();
  if (await takenOver().catch(() => false)) mine = version;
  else location.reload();
};
