// The player's controls, notices, figures and panels around the picture. Reads a Game, calls a Game.

import { touchPad } from "../game/input.js";
import { reason } from "../game/loading-stages.js";
import { canDream, field, fields, simField, speakers, wake } from "../game/neural-game.js";
import { ANY, build, figures } from "../panels/panels.js";
import { share } from "../replay/play-link.js";
import { counted, fileName } from "../replay/recorder.js";
import { Painter } from "../views/cameras.js";
import { DriftLine } from "../views/drift.js";
import { Instruments } from "../views/registry.js";
import { onResize } from "./browser-features.js";
import { controls, meaning } from "./control-bar.js";
import { download, format, h, icon } from "./dom.js";
import { FullScreen } from "./full-screen.js";
import { showMessage } from "./message-line.js";
import { Screens } from "./screens.js";

/** @import {Spec, World} from "../../types" */
/** @import {Game} from "../game/game.js" */
/** @import {Input} from "../game/input.js" */

let players = 0;

export class PlayerUI {
  /** @param {HTMLElement} host the element, emptied @param {HTMLImageElement | null} poster @param {string} title */
  constructor(host, poster, title) {
    this.host = host;
    this.id = `wm-${++players}`;
    this.title = title;
    /** @type {Game | null} */
    this.game = null;
    /** @type {Painter | null} */
    this.painter = null;
    this.opacity = 0.5;
    this.frames = { at: 0, count: 0 };
    this.fps = 0;
    // The fields of control-bar.js and panels.js.
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
    this.screens = new Screens(this);
    this.captions = h("div", { class: "wm-captions", hidden: true }, h("span", {}, "Simulator"), h("span", {}, "Model"));
    this.instruments = new Instruments();
    this.poster = poster?.closest("picture") ?? poster;
    this.fault = h("pre", { class: "wm-fault", role: "alert", hidden: true });
    this.viewport = h("div", { class: "wm-viewport" }, this.poster, this.canvas, this.instruments.over, this.captions, this.screens.element, this.fault);
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
    this.by = h("span", { class: "wm-by", title: "The model says these, not the simulator", hidden: true }, "Model");
    this.top = h("div", { class: "wm-top", hidden: true }, this.by, this.hud, this.chip);
    this.notice = h("div", { class: "wm-notice", role: "alert" });
    this.status = h("p", { class: "wm-status", role: "status" });
    this.bar = h("div", { class: "wm-bar", hidden: true });
    this.panels = h("div", { class: "wm-panels" });
    this.drift = new DriftLine();
    /** Everything visible during play: never higher than the window. */
    this.deck = h("div", { class: "wm-deck" }, this.top, this.stage, this.drift.element, this.notice, this.bar);
    this.frame = h("div", { class: "wm-frame" }, this.deck, this.panels, this.status);
    this.fullScreen = new FullScreen(this);
    host.replaceChildren(this.frame);
    if (poster && this.poster !== poster) this.film(poster);
  }

  /** The poster is a film of sim and model: label its halves. @param {HTMLImageElement} poster */
  film(poster) {
    const name = () => {
      if (this.game?.simFrame) return;
      this.captions.hidden = !poster.naturalWidth;
      this.captions.toggleAttribute("data-stacked", poster.naturalHeight > poster.naturalWidth);
    };
    poster.addEventListener("load", name);
    name();
  }

  // --- Playing ---------------------------------------------------------------------------------

  /** The game has its first frame: build its controls. @param {Game} game @param {Input} input */
  attach(game, input) {
    const world = /** @type {World} */ (game.world);
    this.game = game;
    this.canvas.hidden = false;
    this.poster?.remove();
    this.stage.tabIndex = 0;
    this.stage.setAttribute("aria-describedby", `${this.id}-hint`);
    this.top.hidden = this.bar.hidden = false;
    this.drift.element.hidden = !world.models.length;
    this.bar.replaceChildren(...controls(this, game, world));
    if (this.blend) this.drift.element.after(this.blend);
    if (game.alone) {
      this.drift.element.replaceWith(h("p", { class: "wm-drift wm-learned" }, "Learned from recordings: there is no simulator, and all that you play is the model's."));
      put(/** @type {HTMLElement} */ (this.captions.firstElementChild), "Recording");
    }
    this.panels.replaceChildren(...build(this, game, world));
    this.respec(input.spec);
    onResize(this.viewport, () => this.fit());
    this.update();
  }

  /** Show a spec's cameras, sensors and controls. An edited sim may have another spec. @param {Spec} spec */
  respec(spec) {
    this.painter = new Painter(this.canvas, spec);
    this.host.toggleAttribute("data-around", spec.cameras.length > 1);
    this.instruments.build(spec);
    this.host.toggleAttribute("data-instruments", !this.instruments.element.hidden);
    const shown = fields(/** @type {World} */ (this.game?.world), spec);
    this.hud.replaceChildren(
      ...shown.map((f) => h("div", {}, h("dt", {}, f.label), h("dd", { "data-hud": f.name }, "0"), h("dd", { "data-sim": f.name, title: "The simulator", hidden: true }))),
    );
    if (this.pathButton) this.pathButton.hidden = !this.instruments.over.childElementCount;
    this.showPath(true);
    const { left, right } = touchPad(spec, this.game?.alone ?? false);
    this.fullScreen.wide = this.painter.layout.width > 1.5 * this.painter.layout.height;
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
            caption ? h("small", {}, caption.replaceAll("_", " ")) : null,
          ),
        ),
      );
    this.pad.replaceChildren(...[left, right].filter((b) => b.length).map(group));
    this.pad.hidden = !left.length && !right.length;
    this.fit();
  }

  /** Lay out the cameras for the available room. */
  fit() {
    const { painter } = this;
    if (!painter) return;
    painter.room = { width: this.viewport.clientWidth, height: this.viewport.clientHeight };
    this.draw();
  }

  /** Scroll the whole stage and its controls into view, if they are not. */
  place() {
    const { top, bottom } = this.frame.getBoundingClientRect();
    const under = parseFloat(getComputedStyle(this.frame).scrollMarginTop) || 0;
    if (this.fullScreen.on || (top >= under && bottom <= document.documentElement.clientHeight)) return;
    this.frame.scrollIntoView({ block: "start" });
  }

  /** Show or hide the points ahead in the views. @param {boolean} shown */
  showPath(shown) {
    this.instruments.over.hidden = !shown || !this.instruments.over.childElementCount;
    this.pathButton?.setAttribute("aria-pressed", String(shown));
    this.draw();
  }

  /** Give the player the session's saved games as a file. */
  async save() {
    const { game } = this;
    const sim = game?.sim;
    if (!game || !sim) return;
    const recording = await game.exclusively(() => game.recorder.recording(sim));
    if (!recording) return game.say({ text: "There is no game that can be saved now.", offer: "dismiss" });
    download(fileName(recording), new Blob([JSON.stringify(recording)], { type: "application/json" }));
    const steps = recording.games.reduce((sum, { steps }) => sum + steps.length, 0);
    this.tell(`Saved ${counted({ games: recording.games.length, steps })}.`);
  }

  /** Open or close one panel; the source panel loads its own code. @param {string} name */
  open(name) {
    for (const panel of /** @type {NodeListOf<HTMLElement>} */ (this.panels.querySelectorAll(":scope > [data-wm-panel]"))) {
      panel.hidden = panel.dataset.wmPanel !== name || !panel.hidden;
      const button = this.bar.querySelector(`[data-opens="${panel.dataset.wmPanel}"]`);
      button?.setAttribute("aria-expanded", String(!panel.hidden));
      if (!panel.hidden && name === "source") this.host.dispatchEvent(new CustomEvent("wm-open-source", { detail: { panel } }));
    }
    const shown = /** @type {HTMLElement | null} */ (this.panels.querySelector(":scope > [data-wm-panel]:not([hidden])"));
    if (shown) this.host.dataset.open = shown.dataset.wmPanel;
    else delete this.host.dataset.open;
    this.place();
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
    try {
      url.hash = await share(this.game);
    } catch (error) {
      return this.game.say({ text: `No replay link: ${reason(error)}.`, offer: "dismiss" });
    }
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

  /** Announce a text once, to screen readers too. @param {string} text */
  tell(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  draw() {
    const { game, painter } = this;
    if (!game || !painter) return;
    painter.draw(game.shown, this.opacity, game.simFrame, game.modelFrame);
    const { over } = this.instruments;
    const { readings, beside, label } = speakers(game);
    if (!over.hidden) {
      Object.assign(over.style, { width: this.canvas.style.width, height: this.canvas.style.height });
      this.instruments.drawOver(readings, painter.layout, this.canvas, beside);
    }
    this.instruments.draw(readings, beside, label);
  }

  /** Show the changed phase, mode and notices. */
  update() {
    const { game } = this;
    if (!game) return;
    const { state } = game;
    this.host.dataset.phase = game.phase;
    this.host.dataset.mode = state.shown;
    this.canvas.setAttribute("aria-label", `${this.title}: ${meaning(state.shown, game.alone).toLowerCase()}`);
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
    const [scenario, condition] = game.alone ? [`moment ${state.seed + 1}`] : state.scenario.split("/");
    for (const [field, value] of /** @type {const} */ ([[this.scenario, scenario], [this.condition, condition ?? ANY]])) {
      const select = field?.querySelector("select");
      if (select) select.value = value;
    }
    showMessage(this, game);
    this.screens.show(game);
    put(this.fault, game.fault);
    this.fault.hidden = !game.fault;
    this.figure();
  }

  /** Continue, or start again after the end. */
  go() {
    const game = /** @type {Game} */ (this.game);
    if (game.over && game.dream) void wake(game);
    else if (game.phase === "playing" && game.over) void game.restart();
    else game.resume();
    this.place();
    this.stage.focus({ preventScroll: true });
  }

  /** Show the amount of play to save. @param {Game} game */
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

  /** Update the figures: four times a second, not every frame. */
  figure() {
    const { game } = this;
    if (!game) return;
    const { state } = game;
    const now = performance.now();
    if (now - this.frames.at > 900) {
      this.fps = ((state.intervals.count - this.frames.count) * 1000) / (now - this.frames.at);
      this.frames = { at: now, count: state.intervals.count };
    }
    for (const dd of /** @type {NodeListOf<HTMLElement>} */ (this.hud.querySelectorAll("[data-hud]")))
      showField(dd, field(game, dd.dataset.hud ?? ""));
    const alone = state.shown === "neural";
    this.by.hidden = !alone;
    for (const dd of /** @type {NodeListOf<HTMLElement>} */ (this.hud.querySelectorAll("[data-sim]"))) {
      dd.hidden = !alone || game.alone;
      if (!dd.hidden) put(dd, format(simField(game, dd.dataset.sim ?? "")));
    }
    const playing = game.phase === "playing";
    const who = game.replaying ? "replay" : game.following ? "recorded actions" : game.behaviour;
    put(this.chip, [game.over ? "game over" : alone && game.ended ? "over in the sim" : playing ? `${this.fps.toFixed(0)} fps` : game.phase, who, state.edited ? "edited sim" : null, state.backend && state.variant].filter(Boolean).join(" · "));
    this.drift.draw(game.drifts, state.drift, playing);
    this.instruments.tell();
    this.showCount(game);
    if (!this.figures || this.panel("figures").hidden) return;
    const rows = figures(state, playing ? this.fps : null, game.alone);
    if (this.figures.children.length !== Object.keys(rows).length)
      this.figures.replaceChildren(...Object.keys(rows).map((name) => h("div", {}, h("dt", {}, name), h("dd", {}))));
    Object.values(rows).forEach((value, i) => put(/** @type {HTMLElement} */ (this.figures?.children[i].lastElementChild), value));
  }
}

/** A field of the HUD; it is blank if the model that plays alone does not know it. @param {HTMLElement} dd @param {number | null} value */
const showField = (dd, value) => {
  put(dd, value === null ? "–" : format(value));
  dd.title = value === null ? "Only the simulator knows this: the model that plays here does not say it" : "";
};

/** @param {HTMLElement} element @param {string} text */
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
