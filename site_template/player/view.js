// What the player sees around the picture: loading, controls, figures, settings. Reads a Game, calls a Game.

import { h, icon, progress } from "./dom.js";
import { Painter } from "./draw.js";
import { STAGES } from "./stages.js";

/** @import {ActionSpec, Mode, World} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {Input} from "./input.js" */
/** @import {StageName} from "./stages.js" */

/** @type {Record<Mode, string>} */
const MODES = { sim: "Sim", overlay: "Overlay", split: "Split", neural: "Neural", difference: "Difference" };
/** @type {Record<Mode, string>} */
const MEANING = {
  sim: "The simulator alone",
  overlay: "The model's next frame over the simulator's",
  split: "Simulator left, model right",
  neural: "The model alone, on its own frames",
  difference: "Where model and simulator differ, four times as bright",
};
const BITS = { fp32: 32, fp16: 16, int8: 8 };
const KEYS = /** @type {const} */ ([
  ["P", "Pause or play on"],
  [".", "One tick"],
  ["N", "New game"],
  ["M", "Next mode"],
  ["R", "Bring the model back to the sim"],
  ["Esc", "Pause and leave the stage"],
]);
const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Space: "Space" };

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

    this.canvas = h("canvas", { class: "wm-canvas", role: "img", hidden: true });
    this.cover = h("div", { class: "wm-cover" });
    this.captions = h("div", { class: "wm-captions", hidden: true }, h("span", {}, "Simulator"), h("span", {}, "Model"));
    this.viewport = h("div", { class: "wm-viewport" }, poster, this.canvas, this.captions, this.cover);
    this.pad = h("div", { class: "wm-pad", hidden: true });
    this.stage = h(
      "div",
      { class: "wm-stage", role: "application", "aria-roledescription": "game stage", "aria-label": title },
      this.viewport,
      this.pad,
    );
    this.hud = h("dl", { class: "wm-hud" });
    this.chip = h("span", { class: "wm-chip" });
    this.top = h("div", { class: "wm-top", hidden: true }, this.hud, this.chip);
    this.notice = h("div", { class: "wm-notice", role: "alert" });
    this.status = h("p", { class: "wm-status", role: "status" });
    this.bar = h("div", { class: "wm-bar", hidden: true });
    this.panels = h("div", { class: "wm-panels" });
    this.frame = h("div", { class: "wm-frame" }, this.top, this.stage, this.notice, this.bar, this.panels, this.status);
    host.replaceChildren(this.frame);
  }

  // --- Before and while loading ---------------------------------------------------------------

  /** Offer Play. @param {HTMLButtonElement} button */
  offer(button) {
    this.cover.className = "wm-cover wm-idle";
    this.cover.replaceChildren(button);
  }

  /** Show the stages on the way to the first frame, each with its bytes. @param {Game} game */
  loading(game) {
    this.host.dataset.phase = game.phase;
    const names = /** @type {StageName[]} */ (Object.keys(STAGES)).filter(
      (n) => game.world?.models.length !== 0 || (n !== "runtime" && n !== "model"),
    );
    const known = this.cover.querySelectorAll("li");
    if (!this.cover.classList.contains("wm-loading") || known.length !== names.length) {
      this.cover.className = "wm-cover wm-loading";
      this.cover.replaceChildren(
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
    for (const li of this.cover.querySelectorAll("li")) {
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

  // --- Playing ---------------------------------------------------------------------------------

  /** The game has its first frame: build what it is played with. @param {Game} game @param {Input} input */
  attach(game, input) {
    const world = /** @type {World} */ (game.world);
    this.game = game;
    this.painter = new Painter(this.canvas, game.sim?.spec ?? world.spec);
    this.canvas.hidden = false;
    this.viewport.querySelector("img")?.remove();
    this.stage.tabIndex = 0;
    this.stage.setAttribute("aria-describedby", `${this.id}-keys`);
    this.hud.replaceChildren(
      ...world.spec.hud.map((f) => h("div", {}, h("dt", {}, f.label), h("dd", { "data-hud": f.name }, "0"))),
    );
    this.top.hidden = this.bar.hidden = false;
    this.buildPad(input);
    this.buildBar(game, world);
    this.buildPanels(game, world);
    this.update();
  }

  /** @param {Input} input */
  buildPad(input) {
    const { actions, axes } = input.spec;
    /** @type {[string, string, string][]} */
    const buttons = [
      ...actions.filter((a) => a.touch).map((a) => /** @type {[string, string, string]} */ ([`touch:${a.name}`, a.touch, a.name])),
      ...axes.flatMap((a) => /** @type {[string, string, string][]} */ ([
        [`touch:${a.name}-`, `${a.name} −`, `${a.name} down`],
        [`touch:${a.name}+`, `${a.name} +`, `${a.name} up`],
      ])),
    ];
    this.pad.replaceChildren(
      ...buttons.map(([code, face, name]) =>
        h("button", { type: "button", class: "wm-touch", "data-code": code, "aria-label": name, tabindex: -1 }, face),
      ),
    );
    this.pad.hidden = !buttons.length;
  }

  /** @param {Game} game @param {World} world */
  buildBar(game, world) {
    /** @param {string} action @param {Parameters<typeof icon>[0]} face @param {string} name @param {() => void} onclick */
    const button = (action, face, name, onclick) =>
      h("button", { type: "button", class: "wm-button", "data-do": action, "aria-label": name, title: name, onclick }, icon(face));
    this.playButton = button("play", "pause", "Pause", () => (game.phase === "playing" ? game.pause("you") : game.resume()));
    const modes = world.models.length
      ? h(
          "fieldset",
          { class: "wm-modes" },
          h("legend", {}, "View"),
          .../** @type {Mode[]} */ (Object.keys(MODES)).map((mode) =>
            h(
              "label",
              { title: MEANING[mode] },
              h("input", { type: "radio", name: `${this.id}-mode`, value: mode, onchange: () => game.setMode(mode) }),
              h("span", {}, MODES[mode]),
            ),
          ),
        )
      : null;
    const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: this.opacity, "data-do": "opacity" });
    slider.addEventListener("input", () => {
      this.opacity = Number(slider.value);
      this.draw();
    });
    this.blend = h("label", { class: "wm-blend" }, h("span", {}, "Sim"), slider, h("span", {}, "Model"));
    slider.setAttribute("aria-label", "Opacity of the model over the sim");
    /** @param {string} panel @param {Parameters<typeof icon>[0]} face @param {string} name */
    const opens = (panel, face, name) =>
      h(
        "button",
        {
          type: "button", class: "wm-button wm-opens", "data-opens": panel, "aria-expanded": "false",
          "aria-controls": `${this.id}-${panel}`, onclick: () => this.open(panel),
        },
        icon(face), h("span", {}, name),
      ); // prettier-ignore
    const resync = button("resync", "resync", "Bring the model back to the sim (R)", () => void game.resync());
    this.bar.replaceChildren(
      h(
        "div",
        { class: "wm-group" },
        this.playButton,
        button("step", "step", "One tick (.)", () => void game.single()),
        button("restart", "restart", "New game (N)", () => void game.restart()),
        world.models.length ? resync : null,
      ),
      h("div", { class: "wm-group wm-viewing" }, modes, this.blend),
      h(
        "div",
        { class: "wm-group" },
        opens("source", "code", "Source"),
        opens("figures", "chart", "Figures"),
        opens("settings", "tune", "Game"),
        opens("keys", "keys", "Keys"),
      ),
    );
  }

  /** @param {Game} game @param {World} world */
  buildPanels(game, world) {
    const { spec } = world;
    /** @param {string} name @param {string} label @param {...Node} children */
    const panel = (name, label, ...children) =>
      h("section", { class: "wm-panel", id: `${this.id}-${name}`, "data-wm-panel": name, "aria-label": label, hidden: true }, ...children);
    /** @param {string} label @param {string[]} options @param {(value: string) => void} onpick @param {string} [value] */
    const select = (label, options, onpick, value = options[0]) => {
      const field = h("select", { onchange: () => onpick(field.value) }, ...options.map((o) => h("option", { value: o, selected: o === value }, o)));
      return h("label", { class: "wm-field" }, h("span", {}, label), field);
    };
    this.figures = h("dl", { class: "wm-figures" });
    const seed = (this.seed = h("input", { type: "number", min: 0, max: 999999999999999, step: 1, inputmode: "numeric" }));
    const begin = () => void game.restart(Math.max(0, Math.floor(Number(seed.value) || 0)));
    seed.addEventListener("keydown", (event) => event.key === "Enter" && begin());
    const models = world.models;
    const variants = [...new Set(models.flatMap((m) => m.variants.map((v) => v.name)))];
    const backends = [...new Set(models.flatMap((m) => m.variants.flatMap((v) => v.backends)))];
    this.linkField = h("input", { type: "text", readonly: true, "aria-label": "Replay link", hidden: true });
    this.panels.replaceChildren(
      panel("source", "Source of the simulator"),
      panel("figures", "Figures", this.figures),
      panel(
        "settings",
        "Game",
        h(
          "div",
          { class: "wm-fields" },
          h("label", { class: "wm-field" }, h("span", {}, "Seed"), seed),
          (this.scenario = select("Start", spec.scenarios, (scenario) => void game.restart(game.sim?.now.seed, scenario))),
          spec.behaviours.length
            ? (this.pilot = select("Who plays", ["you", ...spec.behaviours], (who) => game.autoplay(who === "you" ? null : who)))
            : "",
          variants.length > 1
            ? select("Precision", ["auto", ...variants], (v) => void game.choose({ variant: /** @type {any} */ (v) }), game.choice.variant)
            : "",
          backends.length
            ? select("Model runs on", ["auto", ...backends], (b) => void game.choose({ backend: /** @type {any} */ (b) }), game.choice.backend)
            : "",
        ),
        h(
          "div",
          { class: "wm-group wm-actions" },
          h("button", { type: "button", class: "wm-text", "data-do": "begin", onclick: begin }, icon("restart"), "Play this seed"),
          h("button", { type: "button", class: "wm-text", "data-do": "share", onclick: () => void this.share() }, icon("link"), "Copy replay link"),
          this.linkField,
        ),
      ),
      panel("keys", "Keys", this.keyList(spec.actions, spec.axes)),
    );
  }

  /** @param {ActionSpec[]} actions @param {World["spec"]["axes"]} axes */
  keyList(actions, axes) {
    /** @param {string} code */
    const face = (code) => KEY_NAMES[/** @type {keyof typeof KEY_NAMES} */ (code)] ?? code.replace(/^(Key|Digit)/, "");
    /** @type {(readonly [string[], string])[]} */
    const rows = [
      ...actions.filter((a) => a.keys.length).map((a) => /** @type {const} */ ([a.keys.map(face), a.name])),
      ...axes.flatMap((a) => [
        /** @type {const} */ ([a.decrease.map(face), `${a.name} down`]),
        /** @type {const} */ ([a.increase.map(face), `${a.name} up`]),
      ]),
      ...KEYS.map(([key, what]) => /** @type {[string[], string]} */ ([[key], what])),
    ];
    return h(
      "div",
      { id: `${this.id}-keys-list` },
      h("p", { id: `${this.id}-keys`, class: "wm-hint" }, "Keys work while the stage has the focus; Tab leaves it. A gamepad works too."),
      h(
        "dl",
        { class: "wm-keys" },
        ...rows.map(([keys, what]) => h("div", {}, h("dt", {}, ...keys.map((k) => h("kbd", {}, k))), h("dd", {}, what))),
      ),
    );
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
    const field = this.linkField;
    if (!this.game || !field) return;
    const url = new URL(location.href);
    url.hash = await this.game.share();
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
    if (game && painter) painter.draw(game.shown, this.opacity, game.simFrame, game.modelFrame);
  }

  /** After an edit the sim may show frames of another size. */
  respec() {
    const spec = this.game?.sim?.spec;
    const size = spec?.cameras[0];
    const { painter } = this;
    if (!spec || !size || !painter) return;
    if (size.width !== painter.width || size.height !== painter.height || spec.cameras.length !== painter.cameras)
      this.painter = new Painter(this.canvas, spec);
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
    if (this.blend) this.blend.hidden = game.mode !== "overlay" || !game.world?.models.length;
    const playing = game.phase === "playing";
    if (this.playButton && this.playButton.dataset.face !== String(playing)) {
      this.playButton.dataset.face = String(playing);
      this.playButton.replaceChildren(icon(playing ? "pause" : "play"));
      this.playButton.setAttribute("aria-label", playing ? "Pause (P)" : "Play on (P)");
      this.playButton.title = playing ? "Pause (P)" : "Play on (P)";
    }
    for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (this.bar.querySelectorAll(".wm-modes input"))) {
      radio.checked = radio.value === game.mode;
      radio.disabled = !game.modelOn && radio.value !== "sim" && radio.value !== game.mode;
    }
    if (this.seed && document.activeElement !== this.seed) this.seed.value = String(state.seed);
    const pilot = this.pilot?.querySelector("select");
    if (pilot) pilot.value = game.behaviour ?? "you";
    const start = this.scenario?.querySelector("select");
    if (start) start.value = state.scenario;
    this.showNotice();
    this.showCover();
    this.figure();
  }

  showNotice() {
    const game = /** @type {Game} */ (this.game);
    const notice = game.waiting ?? game.notice;
    const key = notice ? `${notice.text}|${notice.offer}` : "";
    if (this.notice.dataset.key === key) return;
    this.notice.dataset.key = key;
    if (!notice) return this.notice.replaceChildren();
    const act = {
      retry: /** @type {const} */ (["Retry", () => void game.start()]),
      "retry-model": /** @type {const} */ (["Retry", () => void (game.world && game.loadModel(game.world))]),
      stop: /** @type {const} */ (["Stop", () => game.stop()]),
      none: /** @type {const} */ (["Dismiss", () => game.say(null)]),
    }[notice.offer ?? "none"];
    this.notice.replaceChildren(
      h("span", {}, notice.text),
      h("button", { type: "button", class: "wm-text", "data-do": notice.offer ?? "dismiss", onclick: act[1] }, act[0]),
    );
  }

  showCover() {
    const game = /** @type {Game} */ (this.game);
    const { replayState, why } = game;
    /** @type {[string, string, string] | null} */
    let text = null;
    if (game.phase === "loading" || (game.phase === "error" && !game.simFrame)) return this.loading(game);
    if (game.phase === "paused" && (replayState === "matches" || replayState === "differs"))
      text = replayState === "matches"
        ? ["Replay matches", `The same end state after ${game.state.tick} ticks.`, "Play on from here"]
        : ["Replay differs", "The end state is not the one that the link names.", "Play on from here"];
    else if (game.over) text = ["Game over", this.score(), "New game"];
    else if (game.phase === "paused" && why !== "step" && why !== "stopped")
      text = ["Paused", why === "you" ? "" : `Paused: ${why}.`, "Play on"];
    const key = text?.join("|") ?? "";
    if (this.cover.dataset.key === key && !this.cover.classList.contains("wm-loading")) return;
    this.cover.dataset.key = key;
    this.cover.className = text ? "wm-cover wm-over" : "wm-cover";
    if (text) this.tell(`${text[0]}. ${text[1]}`);
    else if (game.phase === "playing") this.tell(game.replaying ? "Replay is playing." : "Playing.");
    this.cover.replaceChildren(
      ...(text
        ? [
            h("strong", {}, text[0]),
            text[1] ? h("span", {}, text[1]) : "",
            h("button", { type: "button", class: "wm-text wm-go", "data-do": "go", onclick: () => this.go() }, icon("play"), text[2]),
          ]
        : []),
    );
  }

  go() {
    const game = /** @type {Game} */ (this.game);
    if (game.phase === "playing" && game.over) void game.restart();
    else game.resume();
    this.stage.focus({ preventScroll: true });
  }

  score() {
    const game = /** @type {Game} */ (this.game);
    return (game.world?.spec.hud ?? []).map((f) => `${f.label} ${format(game.read(`hud.${f.name}`))}`).join(" · ");
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
    put(this.chip, [playing ? `${this.fps.toFixed(0)} fps` : game.phase, who, state.edited ? "edited sim" : null, state.backend && state.variant].filter(Boolean).join(" · "));
    if (!this.figures || this.panel("figures").hidden) return;
    /** @param {{p50: number, p95: number}} p */
    const ms = (p) => (p.p95 ? `${p.p50.toFixed(1)} / ${p.p95.toFixed(1)} ms` : "–");
    const rows = {
      "Frames a second": playing ? this.fps.toFixed(1) : "–",
      "Frame interval, p50 / p95": ms(state.intervals),
      "Sim step, p50 / p95": ms(state.stepMs.sim),
      "Model step, p50 / p95": ms(state.stepMs.model),
      "Model runs on": state.backend ?? "–",
      Bits: state.variant ? String(BITS[state.variant]) : "–",
      "Drift against the sim": state.drift === null ? "–" : `${state.drift.toFixed(2)} levels rms`,
      Seed: String(state.seed),
      Tick: String(state.tick),
    };
    if (this.figures.children.length !== Object.keys(rows).length)
      this.figures.replaceChildren(...Object.keys(rows).map((name) => h("div", {}, h("dt", {}, name), h("dd", {}))));
    Object.values(rows).forEach((value, i) => put(/** @type {HTMLElement} */ (this.figures?.children[i].lastElementChild), value));
  }
}

/** @param {HTMLElement} element @param {string} text */
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

/** @param {number} value */
const format = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2));
