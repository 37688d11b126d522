// What the player sees around the picture: controls, notices, figures, panels. Reads a Game, calls a Game.

import { Ahead } from "./ahead.js";
import { MEANING, controls } from "./bar.js";
import { Cover } from "./cover.js";
import { download, format, h, icon } from "./dom.js";
import { Painter } from "./draw.js";
import { canDream, wake } from "./dream.js";
import { DriftLine } from "./drift-line.js";
import { touchPad } from "./input.js";
import { Instruments } from "./instruments.js";
import { loadModel } from "./join.js";
import { ANY, build, figures } from "./panels.js";
import { counted, fileName } from "./recording.js";
import { share, skip } from "./rerun.js";
import { shownAs } from "./scan.js";

/** @import {Spec, World} from "../types" */
/** @import {Game, Notice} from "./game.js" */
/** @import {Input} from "./input.js" */

/** On a stage this narrow, in CSS pixels, the camera that looks ahead lies over the others: as in player.css. */
const NARROW = 600;
let views = 0;

export class View {
  /** @param {HTMLElement} host the element, emptied @param {HTMLImageElement | null} poster @param {string} title */
  constructor(host, poster, title) {
    this.host = host;
    this.id = `wm-${++views}`;
    this.title = title;
    /** @type {Game | null} */
    this.game = null;
    /** @type {Painter | null} */
    this.painter = null;
    this.opacity = 0.5;
    this.frames = { at: 0, count: 0 };
    this.fps = 0;
    // The fields of bar.js and panels.js.
    /** @type {HTMLButtonElement | undefined} */
    this.playButton = undefined;
    /** @type {HTMLElement | undefined} */
    this.blend = undefined;
    /** @type {HTMLButtonElement | undefined} */
    this.dreamButton = undefined;
    /** @type {HTMLButtonElement | undefined} */
    this.pathButton = undefined;
    /** @type {HTMLButtonElement | undefined} */
    this.saveButton = undefined;
    /** @type {HTMLElement | undefined} */
    this.figures = undefined;
    /** @type {HTMLInputElement | undefined} */
    this.seed = undefined;
    /** @type {HTMLInputElement | undefined} */
    this.link = undefined;
    /** @type {HTMLElement | undefined} */
    this.scenario = undefined;
    /** @type {HTMLElement | undefined} */
    this.condition = undefined;
    /** @type {HTMLElement | undefined} */
    this.pilot = undefined;
    /** @type {HTMLElement | undefined} */
    this.saved = undefined;

    this.canvas = h("canvas", { class: "wm-canvas", role: "img", hidden: true });
    this.cover = new Cover(this);
    this.captions = h("div", { class: "wm-captions", hidden: true }, h("span", {}, "Simulator"), h("span", {}, "Model"));
    this.ahead = new Ahead();
    this.instruments = new Instruments();
    this.viewport = h("div", { class: "wm-viewport" }, poster, this.canvas, this.ahead.element, this.captions, this.cover.element);
    this.pad = h("div", { class: "wm-pad", hidden: true });
    this.stage = h(
      "div",
      { class: "wm-stage", role: "application", "aria-roledescription": "game stage", "aria-label": title },
      this.viewport,
      this.instruments.element,
      this.pad,
    );
    this.hud = h("dl", { class: "wm-hud" });
    this.chip = h("span", { class: "wm-chip" });
    this.top = h("div", { class: "wm-top", hidden: true }, this.hud, this.chip);
    this.notice = h("div", { class: "wm-notice", role: "alert" });
    this.status = h("p", { class: "wm-status", role: "status" });
    this.bar = h("div", { class: "wm-bar", hidden: true });
    this.panels = h("div", { class: "wm-panels" });
    this.drift = new DriftLine();
    this.frame = h("div", { class: "wm-frame" }, this.top, this.stage, this.drift.element, this.notice, this.bar, this.panels, this.status);
    host.replaceChildren(this.frame);
  }

  // --- Playing ---------------------------------------------------------------------------------

  /** The game has its first frame: build what it is played with. @param {Game} game @param {Input} input */
  attach(game, input) {
    const world = /** @type {World} */ (game.world);
    this.game = game;
    this.canvas.hidden = false;
    this.viewport.querySelector("img")?.remove();
    this.stage.tabIndex = 0;
    this.stage.setAttribute("aria-describedby", `${this.id}-hint`);
    this.hud.replaceChildren(
      ...world.spec.hud.map((f) => h("div", {}, h("dt", {}, f.label), h("dd", { "data-hud": f.name }, "0"))),
    );
    this.top.hidden = this.bar.hidden = false;
    this.drift.element.hidden = !world.models.length;
    this.bar.replaceChildren(...controls(this, game, world));
    this.panels.replaceChildren(...build(this, game, world));
    this.respec(input.spec);
    new ResizeObserver(() => this.fit()).observe(this.viewport);
    this.update();
  }

  /** Show what a spec tells: cameras, sensors, controls. An edited sim may tell another. @param {Spec} spec */
  respec(spec) {
    this.painter = new Painter(this.canvas, spec);
    this.host.toggleAttribute("data-around", spec.cameras.length > 1);
    this.instruments.build(spec);
    /** What is drawn into the camera views. */
    this.path = spec.cameras.some((c) => c.focal > 0) ? shownAs(spec, "path") : undefined;
    if (this.pathButton) this.pathButton.hidden = !this.path;
    this.showPath(true);
    const { left, right } = touchPad(spec);
    /** @param {typeof left} buttons */
    const group = (buttons) =>
      h(
        "div",
        { class: "wm-thumb" },
        ...buttons.map(({ code, face, name, caption }) =>
          h(
            "button",
            { type: "button", class: "wm-touch", "data-code": code, "aria-label": name, tabindex: -1 },
            face,
            caption ? h("small", {}, caption) : null,
          ),
        ),
      );
    this.pad.replaceChildren(...[left, right].filter((b) => b.length).map(group));
    this.pad.hidden = !left.length && !right.length;
    this.fit();
  }

  /** Lay the cameras out for the room that there is. */
  fit() {
    const { painter } = this;
    if (!painter) return;
    painter.fit(this.viewport.clientWidth < NARROW);
    this.draw();
  }

  /** Draw the points ahead into the views, or not. @param {boolean} shown */
  showPath(shown) {
    this.ahead.element.toggleAttribute("hidden", !shown || !this.path);
    this.pathButton?.setAttribute("aria-pressed", String(shown));
    this.draw();
  }

  /** Give the player the session's recording as a file. */
  async save() {
    const { game } = this;
    const sim = game?.sim;
    if (!game || !sim) return;
    const recording = await game.exclusively(() => game.recorder.recording(sim)).catch(() => null);
    if (!recording) return this.tell("Nothing was played yet.");
    download(fileName(recording), new Blob([JSON.stringify(recording)], { type: "application/json" }));
    this.tell(`Saved ${counted(game.recorder.count(sim))}.`);
  }

  /** Open one panel, or close it; the source's comes with its own code. @param {string} name */
  open(name) {
    for (const panel of /** @type {NodeListOf<HTMLElement>} */ (this.panels.querySelectorAll(":scope > [data-wm-panel]"))) {
      panel.hidden = panel.dataset.wmPanel !== name || !panel.hidden;
      const button = this.bar.querySelector(`[data-opens="${panel.dataset.wmPanel}"]`);
      button?.setAttribute("aria-expanded", String(!panel.hidden));
      if (!panel.hidden && name === "source") this.host.dispatchEvent(new CustomEvent("wm-open-source", { detail: { panel } }));
    }
    this.host.toggleAttribute("data-source-open", !this.panel("source").hidden);
    this.update();
  }

  /** @param {string} name @returns {HTMLElement} */
  panel(name) {
    return /** @type {HTMLElement} */ (this.panels.querySelector(`:scope > [data-wm-panel="${name}"]`));
  }

  async share() {
    const field = this.link;
    if (!this.game || !field) return;
    const url = new URL(location.href);
    url.hash = await share(this.game);
    field.value = url.href;
    field.hidden = false;
    field.select();
    try {
      await navigator.clipboard.writeText(url.href);
      this.tell("Replay link copied.");
    } catch {
      this.tell("Replay link is ready to copy.");
    }
  }

  /** Say something once, to screen readers too. @param {string} text */
  tell(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  draw() {
    const { game, painter } = this;
    if (!game || !painter) return;
    painter.draw(game.shown, this.opacity, game.simFrame, game.modelFrame);
    if (this.path && !this.ahead.element.hasAttribute("hidden")) {
      this.ahead.lay(painter);
      this.ahead.draw(game.view(this.path));
    }
    this.instruments.draw(game);
  }

  /** Show what has changed: phase, mode, notices. */
  update() {
    const { game } = this;
    if (!game) return;
    const { state } = game;
    this.host.dataset.phase = game.phase;
    this.host.dataset.mode = state.shown;
    this.canvas.setAttribute("aria-label", `${this.title}: ${MEANING[state.shown].toLowerCase()}`);
    this.captions.hidden = state.shown !== "split";
    this.captions.toggleAttribute("data-stacked", this.painter?.stacked ?? false);
    if (this.blend) this.blend.hidden = game.mode !== "overlay" || !game.world?.models.length;
    const playing = game.phase === "playing";
    if (this.playButton && this.playButton.dataset.face !== String(playing)) {
      this.playButton.dataset.face = String(playing);
      this.playButton.replaceChildren(icon(playing ? "pause" : "play"));
      this.playButton.setAttribute("aria-label", playing ? "Pause (P)" : "Play on (P)");
      this.playButton.title = playing ? "Pause (P)" : "Play on (P)";
    }
    if (this.dreamButton) {
      const name = game.dream ? "Back to the sim" : "Dream from here: the model alone, from this very state";
      this.dreamButton.disabled = !game.dream && !canDream(game);
      this.dreamButton.setAttribute("aria-label", name);
      this.dreamButton.title = name;
      this.dreamButton.toggleAttribute("data-on", game.dream !== null);
    }
    for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (this.bar.querySelectorAll(".wm-modes input"))) {
      radio.checked = radio.value === game.mode;
      radio.disabled = !game.modelOn && radio.value !== "sim" && radio.value !== game.mode;
    }
    if (this.seed && document.activeElement !== this.seed) this.seed.value = String(state.seed);
    const pilot = this.pilot?.querySelector("select");
    if (pilot) pilot.value = game.behaviour ?? "you";
    const [scenario, condition] = state.scenario.split("/");
    for (const [field, value] of /** @type {const} */ ([[this.scenario, scenario], [this.condition, condition ?? ANY]])) {
      const select = field?.querySelector("select");
      if (select) select.value = value;
    }
    this.showNotice();
    this.cover.show(game);
    this.figure();
  }

  showNotice() {
    const game = /** @type {Game} */ (this.game);
    // Trouble first, then the replay that plays, then what is just worth knowing.
    const { replaying, waiting, state } = game;
    /** @type {Notice | null} */
    const rerun = replaying && {
      text: `Replay of seed ${state.seed}, ${replaying.replay.actions.length} ticks.`,
      offer: "skip",
    };
    /** @type {Notice | null} */
    const dreaming = game.dream && {
      text: `Dreaming since tick ${state.dream}: the model plays alone.`,
      offer: "wake",
    };
    const notice = waiting ?? (game.notice?.offer ? game.notice : (rerun ?? dreaming ?? game.notice));
    const key = notice ? `${notice.text}|${notice.offer}` : "";
    if (this.notice.dataset.key === key) return;
    this.notice.dataset.key = key;
    this.notice.dataset.kind = notice?.offer && !["skip", "wake"].includes(notice.offer) ? "trouble" : "note";
    if (!notice) return this.notice.replaceChildren();
    const act = {
      retry: /** @type {const} */ (["Retry", () => void game.start()]),
      "retry-model": /** @type {const} */ (["Retry", () => void loadModel(game)]),
      stop: /** @type {const} */ (["Stop", () => game.stop()]),
      skip: /** @type {const} */ (["Skip to the end", () => void skip(game)]),
      wake: /** @type {const} */ (["Back to the sim", () => void wake(game)]),
      none: /** @type {const} */ (["Dismiss", () => game.say(null)]),
    }[notice.offer ?? "none"];
    this.notice.replaceChildren(
      h("span", {}, notice.text),
      h("button", { type: "button", class: "wm-text", "data-do": notice.offer ?? "dismiss", onclick: act[1] }, act[0]),
    );
  }

  /** Play on, or anew after the end. */
  go() {
    const game = /** @type {Game} */ (this.game);
    if (game.over && game.dream) void wake(game);
    else if (game.phase === "playing" && game.over) void game.restart();
    else game.resume();
    this.stage.focus({ preventScroll: true });
  }

  /** Say how much there is to save. @param {Game} game */
  showCount(game) {
    const count = game.recorder.count(game.sim);
    const text = count.steps ? `Save recording: ${counted(count)}` : "Save recording: nothing played yet";
    const { saveButton } = this;
    if (!saveButton || saveButton.title === text) return;
    saveButton.title = text;
    saveButton.setAttribute("aria-label", text);
    saveButton.disabled = !count.steps;
    if (this.saved) put(this.saved, `Save ${count.steps ? counted(count) : "recording"}`);
  }

  /** Refresh the figures: four times a second, not a frame. */
  figure() {
    const { game } = this;
    if (!game) return;
    const { state } = game;
    const now = performance.now();
    if (now - this.frames.at > 900) {
      this.fps = ((state.intervals.count - this.frames.count) * 1000) / (now - this.frames.at);
      this.frames = { at: now, count: state.intervals.count };
    }
    for (const dd of /** @type {NodeListOf<HTMLElement>} */ (this.hud.querySelectorAll("dd")))
      put(dd, format(game.read(`hud.${dd.dataset.hud}`)));
    const playing = game.phase === "playing";
    const who = game.replaying ? "replay" : game.behaviour;
    put(this.chip, [game.over ? "game over" : playing ? `${this.fps.toFixed(0)} fps` : game.phase, who, state.edited ? "edited sim" : null, state.backend && state.variant].filter(Boolean).join(" · "));
    this.drift.draw(game.drifts, state.drift, playing);
    this.instruments.tell();
    this.showCount(game);
    if (!this.figures || this.panel("figures").hidden) return;
    const rows = figures(state, playing ? this.fps : null);
    if (this.figures.children.length !== Object.keys(rows).length)
      this.figures.replaceChildren(...Object.keys(rows).map((name) => h("div", {}, h("dt", {}, name), h("dd", {}))));
    Object.values(rows).forEach((value, i) => put(/** @type {HTMLElement} */ (this.figures?.children[i].lastElementChild), value));
  }
}

/** @param {HTMLElement} element @param {string} text */
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
