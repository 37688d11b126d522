// <wm-world>: the poster and Play button that the server sent become a world to play.
//
// Attributes: world, src (site.json), mode, model, backend (auto, wasm, webgpu), variant.
// Properties: state, sources, shippedSources. Methods: play(), pause(), renew(), runSource(files), resetSource().
// Events: wm-state, wm-error {stage, message}, wm-sim-error {message, file, line}.

import { h } from "./dom.js";
import { Game } from "./game.js";
import { Input } from "./input.js";
import { renew } from "./join.js";
import { runSource } from "./recover.js";
import { replayedWorld } from "./replay.js";
import { rerun } from "./rerun.js";
import { runtimeFor } from "./runtime.js";
import { View } from "./view.js";

/** @import {Mode, PlayerState, Sources, World} from "../types" */

/** @type {Mode[]} */
const MODES = ["sim", "overlay", "split", "neural", "difference"];

/** Keys that scroll a page: not while the stage has the focus. */
const SCROLLS = new Set(["Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);

export class WorldElement extends HTMLElement {
  constructor() {
    super();
    /** @type {Game | null} */
    this.game = null;
    /** @type {Input | null} */
    this.input = null;
    /** @type {View | null} */
    this.view = null;
    this.cleanups = new AbortController();
    this.timer = 0;
  }

  connectedCallback() {
    if (this.game) return;
    this.cleanups = new AbortController();
    const world = this.getAttribute("world") ?? "";
    const poster = this.querySelector("img");
    const title = poster?.alt.split(":")[0] || world;
    const button = this.querySelector("button") ?? h("button", { type: "button", class: "wm-play" }, `Play ${title}`);
    const view = (this.view = new View(this, poster, title));
    const game = (this.game = new Game(runtimeFor(new URL(this.getAttribute("src") ?? "wm/site.json", document.baseURI).href), {
      world,
      family: this.getAttribute("model"),
      mode: MODES.find((mode) => mode === this.getAttribute("mode")) ?? null,
      choice: {
        backend: /** @type {any} */ (this.getAttribute("backend") ?? "auto"),
        variant: /** @type {any} */ (this.getAttribute("variant") ?? "auto"),
        evaluations: null,
      },
      fragment: replayedWorld(location.hash) === world ? location.hash : null,
      sample: () => this.input?.sample() ?? [0],
    }));
    this.dataset.phase = "idle";
    view.cover.offer(button);
    if (game.options.fragment !== null) button.replaceChildren("Play the replay");
    const { signal } = this.cleanups;
    button.addEventListener("click", () => this.play(), { signal });
    this.listen(game, view, signal);
    this.watch(game, view, signal);
  }

  disconnectedCallback() {
    // Moved within the page is not gone.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.cleanups.abort();
      clearInterval(this.timer);
      this.game?.close();
      this.game = null;
    });
  }

  /** @param {Game} game @param {View} view @param {AbortSignal} signal */
  listen(game, view, signal) {
    const update = () => {
      if (game.phase === "loading" || (game.phase === "error" && !game.simFrame)) view.cover.loading(game);
      view.game ??= game;
      view.update();
      this.dispatchEvent(new CustomEvent("wm-state", { detail: this.state }));
    };
    let asked = false;
    game.addEventListener("stages", () => {
      if (asked || (game.phase !== "loading" && game.simFrame)) return;
      asked = true;
      setTimeout(() => {
        asked = false;
        if (game.phase === "loading") view.cover.loading(game);
      }, 50);
    });
    game.addEventListener("state", update);
    game.addEventListener("frame", () => view.draw());
    game.addEventListener("first", () => {
      const { input } = this;
      const spec = game.sim?.spec;
      if (!input || !spec) return;
      if (spec === input.spec) return input.settle();
      input.bind(spec);
      view.respec(spec);
    });
    game.addEventListener("ready", () => {
      if (view.painter) return;
      this.input = new Input(game.sim?.spec ?? /** @type {World} */ (game.world).spec);
      view.attach(game, this.input);
      this.control(game, view, this.input, signal);
      if (this.contains(document.activeElement) || document.activeElement === document.body)
        view.stage.focus({ preventScroll: true });
      this.timer = window.setInterval(() => game.phase === "playing" && view.figure(), 250);
    });
    for (const type of ["error", "sim-error"])
      game.addEventListener(type, (event) =>
        this.dispatchEvent(new CustomEvent(`wm-${type}`, { detail: /** @type {CustomEvent} */ (event).detail })),
      );
  }

  /** Pause when nobody can see the stage; only the player resumes. @param {Game} game @param {View} view @param {AbortSignal} signal */
  watch(game, view, signal) {
    document.addEventListener("visibilitychange", () => document.hidden && game.pause("The page was hidden."), { signal });
    const seen = new IntersectionObserver(([entry]) => !entry.isIntersecting && game.pause("The stage was out of sight."));
    seen.observe(view.viewport);
    signal.addEventListener("abort", () => seen.disconnect());
    window.addEventListener(
      "hashchange",
      () => replayedWorld(location.hash) === this.getAttribute("world") && void rerun(game, location.hash),
      { signal },
    );
    this.addEventListener("wm-open-source", (event) => void this.openSource(/** @type {CustomEvent} */ (event).detail.panel), { signal });
  }

  /** @param {HTMLElement} panel */
  async openSource(panel) {
    if (panel.childElementCount) return;
    const wait = h("p", { class: "wm-hint" }, "Loading the editor…");
    panel.append(wait);
    try {
      const editor = await import(new URL("./editor-panel.js", import.meta.url).href);
      await editor.open(this, panel);
      wait.remove();
    } catch (error) {
      const again = h("button", { type: "button", class: "wm-text" }, "Retry");
      again.addEventListener("click", () => {
        panel.replaceChildren();
        void this.openSource(panel);
      });
      panel.replaceChildren(h("p", { class: "wm-hint" }, `The editor did not load: ${error instanceof Error ? error.message : error}. `, again));
    }
  }

  /** Keys on the stage, touch on the pad. @param {Game} game @param {View} view @param {Input} input @param {AbortSignal} signal */
  control(game, view, input, signal) {
    const { stage, pad } = view;
    /** @type {Record<string, () => void>} */
    const keys = {
      Escape: () => {
        game.pause("you");
        view.playButton?.focus({ preventScroll: true });
      },
      KeyP: () => (game.phase === "playing" ? game.pause("you") : game.resume()),
      Enter: () => (game.over || game.phase === "paused") && view.go(),
      Period: () => void game.single(),
      KeyN: () => void game.restart(),
      KeyR: () => void game.resync(),
      KeyM: () => {
        if (game.modelOn) game.setMode(MODES[(MODES.indexOf(game.mode) + 1) % MODES.length]);
      },
    };
    stage.addEventListener(
      "keydown",
      (event) => {
        if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
        const { code } = event;
        if (input.bound(code)) {
          // Stepping by hand uses the keys that are held.
          if (!event.repeat) input.press(code);
        } else if (keys[code]) {
          if (!event.repeat || code === "Period") keys[code]();
        } else if (!SCROLLS.has(code)) return;
        event.preventDefault();
        // The theme has keys of its own: S would open its search, P and N turn its pages.
        event.stopPropagation();
      },
      { signal },
    );
    stage.addEventListener("keyup", (event) => input.release(event.code), { signal });
    stage.addEventListener("blur", () => input.releaseAll(), { signal });
    view.viewport.addEventListener("pointerdown", () => stage.focus({ preventScroll: true }), { signal });

    /** Which button each finger is on. @type {Map<number, string>} */
    const fingers = new Map();
    /** @param {PointerEvent} event */
    const move = (event) => {
      const under = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-code]");
      const code = under && pad.contains(under) ? /** @type {HTMLElement} */ (under).dataset.code : undefined;
      const before = fingers.get(event.pointerId);
      if (code === before) return;
      if (before) input.release(before);
      fingers.delete(event.pointerId);
      if (code) {
        input.press(code);
        fingers.set(event.pointerId, code);
      }
      for (const button of /** @type {NodeListOf<HTMLElement>} */ (pad.querySelectorAll("[data-code]")))
        button.toggleAttribute("data-held", [...fingers.values()].includes(button.dataset.code ?? ""));
    };
    /** @param {PointerEvent} event */
    const lift = (event) => {
      const before = fingers.get(event.pointerId);
      fingers.delete(event.pointerId);
      if (!before || [...fingers.values()].includes(before)) return;
      input.release(before);
      for (const button of pad.querySelectorAll("[data-code]"))
        if (/** @type {HTMLElement} */ (button).dataset.code === before) button.removeAttribute("data-held");
    };
    pad.addEventListener(
      "pointerdown",
      (event) => {
        event.preventDefault();
        if (event.target instanceof Element && pad.hasPointerCapture(event.pointerId) === false) pad.setPointerCapture(event.pointerId);
        if (game.phase === "paused") game.resume();
        move(event);
      },
      { signal },
    );
    pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && move(event), { signal });
    for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) pad.addEventListener(type, lift, { signal });
    pad.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
    window.addEventListener(
      "pointerdown",
      (event) => event.pointerType === "touch" && this.toggleAttribute("data-touch", true),
      { signal, capture: true },
    );
  }

  /** Load what is missing and play. */
  play() {
    return this.game?.start();
  }

  /** Pause; only the player (or `play`) resumes. */
  pause() {
    this.game?.pause("you");
  }

  /** The site is new: take over what is, if the game can go on. @returns {Promise<boolean>} whether it does */
  async renew() {
    return this.game !== null && renew(this.game);
  }

  /** @returns {PlayerState | null} */
  get state() {
    return this.game?.state ?? null;
  }

  /** The editable sources that run now, by path. @returns {Sources} */
  get sources() {
    return this.editable(this.game?.sim?.now.sources ?? {});
  }

  /** The editable sources as the site ships them. @returns {Sources} */
  get shippedSources() {
    return this.editable(this.game?.sim?.shipped ?? {});
  }

  /** @param {Sources} all @returns {Sources} */
  editable(all) {
    const open = (this.game?.world?.sim.sources ?? []).filter((s) => s.editable && s.path in all);
    return Object.fromEntries(open.map((s) => [s.path, all[s.path]]));
  }

  /** Restart the game from edited sources, by path. @param {Sources} files */
  async runSource(files) {
    if (!this.game) return { ok: false, error: { message: "the world has left the page", file: null, line: null } };
    return runSource(this.game, files);
  }

  /** Restart the game from the shipped sources. */
  resetSource() {
    return this.runSource({});
  }
}

customElements.define("wm-world", WorldElement);
