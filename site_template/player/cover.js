// What lies over the stage: the offer to play, the way to the first frame, a pause, the end of a game.

import { format, h, icon, progress } from "./dom.js";
import { canDream, dream, wake } from "./dream.js";
import { STAGES } from "./stages.js";

/** @import {Game} from "./game.js" */
/** @import {StageName} from "./stages.js" */
/** @import {View} from "./view.js" */

export class Cover {
  /** @param {View} view */
  constructor(view) {
    this.view = view;
    this.element = h("div", { class: "wm-cover" });
  }

  /** Offer Play. @param {HTMLButtonElement} button */
  offer(button) {
    this.element.className = "wm-cover wm-idle";
    this.element.replaceChildren(button);
  }

  /** Show the stages on the way to the first frame, each with its bytes. @param {Game} game */
  loading(game) {
    this.view.host.dataset.phase = game.phase;
    const names = /** @type {StageName[]} */ (Object.keys(STAGES)).filter(
      (n) => game.world?.models.length !== 0 || (n !== "runtime" && n !== "model"),
    );
    const known = this.element.querySelectorAll("li");
    if (!this.element.classList.contains("wm-loading") || known.length !== names.length) {
      this.element.className = "wm-cover wm-loading";
      this.element.replaceChildren(
        h(
          "ol",
          { class: "wm-stages", "aria-label": "Loading" },
          ...names.map((n) =>
            h(
              "li",
              { "data-stage": n },
              h("span", { class: "wm-stage-name" }, STAGES[n]),
              h("span", { class: "wm-stage-bytes" }),
              h("progress", { max: 1, value: 0, "aria-label": STAGES[n] }),
            ),
          ),
        ),
      );
    }
    for (const li of this.element.querySelectorAll("li")) {
      const stage = game.stages[/** @type {StageName} */ (li.dataset.stage)];
      li.dataset.phase = stage.phase;
      const [, bytes, bar] = /** @type {[Element, Element, HTMLProgressElement]} */ ([...li.children]);
      const done = stage.phase === "done";
      const size = stage.total ? progress(done ? stage.total : stage.loaded, stage.total) : "";
      const text = stage.phase === "failed" ? "failed" : done && !stage.total ? "done" : stage.phase === "waiting" ? "" : size || "…";
      if (bytes.textContent !== text) bytes.textContent = text;
      bar.value = done ? 1 : stage.total ? stage.loaded / stage.total : 0;
    }
  }

  /** Show why the game does not move, and what moves it on; nothing while it does. @param {Game} game */
  show(game) {
    const { replayState, why } = game;
    /** @type {[string, string, string] | null} */
    let text = null;
    if (game.phase === "loading" || (game.phase === "error" && !game.simFrame)) return this.loading(game);
    if (game.phase === "paused" && (replayState === "matches" || replayState === "differs"))
      text = replayState === "matches"
        ? ["Replay matches", `The same end state after ${game.state.tick} ticks.`, "Play on from here"]
        : ["Replay differs", "The end state is not the one that the link names.", "Play on from here"];
    else if (game.over && game.dream) text = ["Game over", "The model says so, in its dream.", "Back to the sim"];
    else if (game.over) text = ["Game over", score(game), "New game"];
    else if (game.phase === "paused" && why !== "step" && why !== "stopped")
      text = ["Paused", why === "you" ? "" : why, "Play on"];
    /** @type {[string, (game: Game) => unknown] | null} */
    let other = null;
    if (!game.over && game.dream) other = ["Back to the sim", wake];
    else if (canDream(game)) other = ["Dream from here", dream];
    const key = text ? [...text, other?.[0]].join("|") : "";
    const { element } = this;
    if (element.dataset.key === key && !element.classList.contains("wm-loading")) return;
    element.dataset.key = key;
    element.className = text ? "wm-cover wm-over" : "wm-cover";
    if (text) this.view.tell(`${text[0]}. ${text[1]}`);
    else if (game.phase === "playing") this.view.tell(game.replaying ? "Replay is playing." : "Playing.");
    element.replaceChildren(
      ...(text
        ? [
            h("strong", {}, text[0]),
            text[1] ? h("span", {}, text[1]) : "",
            h(
              "div",
              { class: "wm-choices" },
              h("button", { type: "button", class: "wm-text wm-go", "data-do": "go", onclick: () => this.view.go() }, icon("play"), text[2]),
              other &&
                h(
                  "button",
                  { type: "button", class: "wm-text", "data-do": "dream", onclick: () => this.leave(game, other[1]) },
                  icon(game.dream ? "resync" : "moon"),
                  other[0],
                ),
            ),
          ]
        : []),
    );
  }

  /** Do what a button of the cover says; the keys are the game's from then on. @param {Game} game @param {(game: Game) => unknown} work */
  leave(game, work) {
    void work(game);
    this.view.stage.focus({ preventScroll: true });
  }
}

/** @param {Game} game */
const score = (game) =>
  (game.world?.spec.hud ?? []).map((f) => `${f.label} ${format(game.read(`hud.${f.name}`))}`).join(" · ");
