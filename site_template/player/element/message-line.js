// The line below the stage: what is wrong, what runs, and one button for it.

import { take } from "../game/live-edits.js";
import { wake } from "../game/neural-game.js";
import { loadModel } from "../model/join.js";
import { skip } from "../replay/play-link.js";
import { h } from "./dom.js";

/** @import {Game, Notice} from "../game/game.js" */
/** @import {PlayerUI} from "./ui.js" */

/** Show the one line that matters most now, with what the player can do. @param {PlayerUI} ui @param {Game} game */
export function showMessage(ui, game) {
  // Problems first, then the running replay, then other news.
  const { replaying, skipping, waiting, state } = game;
  /** @type {Notice | null} */
  const skipped = skipping && { text: "On the way to the end of the replay.", offer: "stop" };
  /** @type {Notice | null} */
  const rerun = replaying && {
    text: `Replay of seed ${state.seed}, ${replaying.replay.actions.length} ticks.`,
    offer: "skip",
  };
  /** @type {Notice | null} */
  const dreaming = game.dream && {
    text: `Dreaming since tick ${state.dream}: the model plays alone${game.model?.tellsEnds ? "" : ", and does not know when a game ends"}.`,
    offer: "wake",
  };
  const notice = skipped ?? waiting ?? (game.notice?.offer ? game.notice : (rerun ?? dreaming ?? game.notice));
  const key = notice ? `${notice.text}|${notice.offer}` : "";
  if (ui.notice.dataset.key === key) return;
  ui.notice.dataset.key = key;
  ui.notice.dataset.kind = notice?.offer && !["skip", "wake", "take"].includes(notice.offer) ? "trouble" : "note";
  const offer = notice?.offer ?? "dismiss";
  const [text, button] = ui.notice.children;
  // The button of the same offer stays, with the focus that it may have.
  if (notice && button?.getAttribute("data-do") === offer) return void (text.textContent = notice.text);
  if (ui.notice.contains(document.activeElement)) ui.stage.focus({ preventScroll: true });
  if (!notice) return ui.notice.replaceChildren();
  const act = {
    retry: /** @type {const} */ (["Retry", () => void game.start()]),
    "retry-model": /** @type {const} */ (["Retry", () => void loadModel(game)]),
    stop: /** @type {const} */ (["Stop", () => game.stop()]),
    skip: /** @type {const} */ (["Skip to the end", () => void skip(game)]),
    reload: /** @type {const} */ (["Load the page again", () => location.reload()]),
    take: /** @type {const} */ (["Take it", () => void take(game)]),
    wake: /** @type {const} */ (["Back to the sim", () => void wake(game)]),
    dismiss: /** @type {const} */ (["Dismiss", () => game.say(null)]),
  }[offer];
  ui.notice.replaceChildren(
    h("span", {}, notice.text),
    h("button", { type: "button", class: "wm-text", "data-do": offer, onclick: act[1] }, act[0]),
  );
}
