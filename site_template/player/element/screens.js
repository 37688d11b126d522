// The layers over the stage: the offer to play, the loading stages, a pause, the end of a game.

import { STAGES } from "../game/loading-stages.js";
import { canDream, dream, field, wake } from "../game/neural-game.js";
import { format, h, icon, progress } from "./dom.js";

/** @import {Game} from "../game/game.js" */
/** @import {StageName} from "../game/loading-stages.js" */
/** @import {PlayerUI} from "./ui.js" */

export class Screens {
  /** @param {PlayerUI} ui */
  constructor(ui) {
    this.ui = ui;
    this.element = h("div", { class: "wm-cover" });
  }

  /** Offer Play. @param {HTMLButtonElement} button */
  offer(button) {
    this.element.className = "wm-cover wm-idle";
    this.element.replaceChildren(button);
    const { poster } = this.ui;
    if (poster instanceof HTMLPictureElement) this.element.append(pauser(poster));
  }

  /** Show the stages up to the first frame, each with its bytes. @param {Game} game */
  loading(game) {
    this.ui.host.dataset.phase = game.phase;
    const names = /** @type {StageName[]} */ (Object.keys(STAGES)).filter(
      (n) => !(game.options.recorded ? ["python", "sim"] : game.world?.models.length === 0 ? ["runtime", "model"] : []).includes(n),
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

  /** Show why the game does not run, and what continues it; nothing while it runs. @param {Game} game */
  show(game) {
    const { replayState, why } = game;
    /** @type {[string, string, string] | null} */
    let text = null;
    if (game.phase === "loading" || (game.phase === "error" && !game.simFrame)) return this.loading(game);
    if (game.phase === "paused" && why === "replay" && (replayState === "matches" || replayState === "differs"))
      text = replayState === "matches"
        ? ["Replay matches", `The same end state after ${game.state.tick} ticks.`, "Play on from here"]
        : ["Replay differs", "The end state is not the one that the link names.", "Play on from here"];
    else if (game.over && game.dream) text = ["Game over", "The model says so, in its dream.", "Back to the sim"];
    else if (game.over && game.following) text = ["The recording ends here", "In Neural, you play on from a recorded moment.", "Next recording"];
    else if (game.over) text = ["Game over", [game.shown === "neural" ? "The model says so." : "", score(game)].filter(Boolean).join(" "), "New game"];
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
    if (text) this.ui.tell(`${text[0]}. ${text[1]}`);
    else if (game.phase === "playing") this.ui.tell(game.replaying ? "Replay is playing." : "Playing.");
    const had = element.contains(document.activeElement);
    element.replaceChildren(
      ...(text
        ? [
            h("strong", {}, text[0]),
            text[1] ? h("span", {}, text[1]) : "",
            h(
              "div",
              { class: "wm-choices" },
              h("button", { type: "button", class: "wm-text wm-go", "data-do": "go", onclick: () => this.ui.go() }, icon("play"), text[2]),
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
    if (had) (element.querySelector("button") ?? this.ui.stage).focus({ preventScroll: true });
  }

  /** Run the action of a button on the cover; then the game has the keys. @param {Game} game @param {(game: Game) => unknown} work */
  leave(game, work) {
    void work(game);
    this.ui.stage.focus({ preventScroll: true });
  }
}

/** A button that stops and resumes a film: nobody should have to watch motion. @param {HTMLPictureElement} picture */
function pauser(picture) {
  const calm = "(prefers-reduced-motion: reduce)";
  const button = h("button", { type: "button", class: "wm-button wm-still" });
  let still = false;
  const face = () => {
    button.replaceChildren(icon(still ? "play" : "pause"));
    button.setAttribute("aria-label", still ? "Let the picture move" : "Stop the picture");
  };
  button.addEventListener("click", () => {
    still = !still;
    // Stills are for people who want no motion anywhere.
    for (const source of picture.querySelectorAll("source"))
      source.media = still ? source.media.replace(calm, "all") : source.media.replace("all", calm);
    face();
  });
  face();
  return button;
}

/** The HUD's values, without those that a model playing alone does not know. @param {Game} game */
const score = (game) =>
  (game.sim?.spec.hud ?? [])
    .map((f) => ({ label: f.label, value: field(game, f.name) }))
    .filter(({ value }) => value !== null)
    .map(({ label, value }) => `${label} ${format(Number(value))}`)
    .join(" · ");
