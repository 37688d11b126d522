// On every page: register the service worker, offer an offline copy, announce an update.

import { everyWorld, mountOffline, mountUpdate, Offline } from "./offline.js";

/** The shortest time between two checks for a new version, when an open page is shown again, in ms. */
const AGAIN = 10 * 60_000;

const offline = new Offline();
mountUpdate(offline);

for (const stage of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("wm-world"))) {
  const world = stage.getAttribute("world") ?? "";
  const line = document.createElement("div");
  line.className = "wm-offline";
  stage.after(line);
  mountOffline(offline, line, () => [world]);
}
for (const place of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-wm-offline]")))
  mountOffline(offline, place, everyWorld);

// A world is stored only after it plays, so that its own loading goes first.
document.addEventListener(
  "wm-state",
  (event) => {
    const world = /** @type {Element} */ (event.target).getAttribute("world") ?? "";
    if (/** @type {CustomEvent} */ (event).detail?.phase !== "playing" || offline.asked.has(world)) return;
    offline.asked.add(world);
    if (/** @type {any} */ (navigator).connection?.saveData) return;
    setTimeout(() => void offline.keep([world], false), 2000);
  },
  { capture: true },
);

let looked = Date.now();
document.addEventListener("visibilitychange", () => {
  if (document.hidden || Date.now() - looked < AGAIN) return;
  looked = Date.now();
  void offline.update();
});

void offline.start();
