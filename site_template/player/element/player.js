// <wm-world>: turns the server's poster and Play button into a playable world.
//
// Attributes: world, src (site.json), mode, recorded (the world has no simulator), model, backend (auto, wasm, webgpu), variant.
// Properties: state, sources, shippedSources. Methods: play(), pause(), renew(), follow(files), runSource(files), resetSource().
// Events: wm-state, wm-error {stage, message}, wm-sim-error {message, file, line}.

import { Game } from "../game/game.js";
import { Input } from "../game/input.js";
import { follow, renew } from "../game/live-edits.js";
import { reason } from "../game/loading-stages.js";
import { load } from "../game/manifest.js";
import { MODES, modesOf } from "../game/modes.js";
import { runSource } from "../game/recover.js";
import { runtimeFor } from "../game/runtime.js";
import { modelOf, replayedWorld } from "../replay/link.js";
import { playLink } from "../replay/play-link.js";
import { onSight } from "./browser-features.js";
import { h } from "./dom.js";
import { PlayerUI } from "./ui.js";

/** @import {PlayerState, Sources, World} from "../../types" */

/** Keys that scroll a page, but not while the stage has the focus. */
const SCROLLS = new Set(["Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);

export class WorldElement extends HTMLElement {
  constructor() {
    super();
    /** @type {Game | null} */
    this.game = null;
    /** @type {Input | null} */
    this.input = null;
    /** @type {PlayerUI | null} */
    this.ui = null;
    this.cleanups = new AbortController();
    this.timer = 0;
    /** The server's picture and Play button. @type {HTMLImageElement | null} */
    this.poster = null;
    /** @type {HTMLButtonElement | null} */
    this.offer = null;
    this.unseen = false;
  }

  connectedCallback() {
    if (this.game) return;
    this.cleanups = new AbortController();
    const world = this.getAttribute("world") ?? "";
    const poster = (this.poster ??= this.querySelector("img"));
    const title = poster?.alt.split(":")[0] || world;
    // An element that was taken out and put back has the buttons of its last game.
    const button = (this.offer ??= this.querySelector("button") ?? h("button", { type: "button", class: "wm-play" }, `Play ${title}`));
    for (const name of ["data-open", "data-full", "data-mode"]) this.removeAttribute(name);
    const ui = (this.ui = new PlayerUI(this, poster, title));
    const game = (this.game = new Game(runtimeFor(new URL(this.getAttribute("src") ?? "wm/site.json", document.baseURI).href), {
      world,
      family: (this.linked() && modelOf(location.hash)) || this.getAttribute("model"),
      mode: MODES.find((mode) => mode === this.getAttribute("mode")) ?? null,
      recorded: this.hasAttribute("recorded"),
      choice: {
        backend: /** @type {any} */ (this.getAttribute("backend") ?? "auto"),
        variant: /** @type {any} */ (this.getAttribute("variant") ?? "auto"),
        evaluations: null,
      },
      fragment: this.linked() ? location.hash : null,
      sample: () => this.input?.sample() ?? [0],
      away: () => (document.hidden ? "The page was hidden." : this.unseen ? "The stage was out of sight." : ""),
    }));
    this.dataset.phase = "idle";
    ui.screens.offer(button);
    if (game.options.fragment !== null) button.replaceChildren("Play the replay");
    const { signal } = this.cleanups;
    button.addEventListener("click", () => this.play(), { signal });
    this.listen(game, ui, signal);
    this.watch(game, ui, signal);
    ui.fullScreen.watch(signal);
  }

  disconnectedCallback() {
    // A move within the page is no removal.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.cleanups.abort();
      clearInterval(this.timer);
      this.game?.close();
      this.game = null;
    });
  }

  /** @param {Game} game @param {PlayerUI} ui @param {AbortSignal} signal */
  listen(game, ui, signal) {
    const update = () => {
      if (game.phase === "loading" || (game.phase === "error" && !game.simFrame)) ui.screens.loading(game);
      ui.game ??= game;
      ui.update();
      this.dispatchEvent(new CustomEvent("wm-state", { detail: this.state }));
    };
    let asked = false;
    game.addEventListener("stages", () => {
      if (asked || (game.phase !== "loading" && game.simFrame)) return;
      asked = true;
      setTimeout(() => {
        asked = false;
        if (game.phase === "loading") ui.screens.loading(game);
      }, 50);
    });
    game.addEventListener("state", update);
    game.addEventListener("frame", () => ui.draw());
    game.addEventListener("first", () => {
      const { input } = this;
      const spec = game.sim?.spec;
      if (!input || !spec) return;
      if (spec === input.spec) return input.settle();
      input.bind(spec);
      ui.respec(spec);
    });
    game.addEventListener("ready", () => {
      if (ui.painter) return;
      this.input = new Input(game.sim?.spec ?? /** @type {World} */ (game.world).spec);
      ui.attach(game, this.input);
      this.control(game, ui, this.input, signal);
      if (this.contains(document.activeElement) || document.activeElement === document.body)
        ui.stage.focus({ preventScroll: true });
      this.timer = window.setInterval(() => game.phase === "playing" && ui.figure(), 250);
    });
    for (const type of ["error", "sim-error"])
      game.addEventListener(type, (event) =>
        this.dispatchEvent(new CustomEvent(`wm-${type}`, { detail: /** @type {CustomEvent} */ (event).detail })),
      );
  }

  /** Pause when the stage is out of sight; only the player resumes. @param {Game} game @param {PlayerUI} ui @param {AbortSignal} signal */
  watch(game, ui, signal) {
    document.addEventListener("visibilitychange", () => document.hidden && game.pause("The page was hidden."), { signal });
    const seen = (/** @type {boolean} */ is) => {
      this.toggleAttribute("data-seen", is);
      this.unseen = !is;
      if (!is) game.pause("The stage was out of sight.");
    };
    onSight(ui.viewport, seen, signal);
    window.addEventListener(
      "hashchange",
      () => {
        if (!this.linked()) return;
        // The link may stand far below the stage.
        (this.querySelector(".wm-frame") ?? this).scrollIntoView({ block: "start", behavior: "instant" });
        if (game.phase === "idle") {
          game.options.family = modelOf(location.hash) ?? game.options.family;
          this.querySelector(".wm-play")?.replaceChildren("Play the replay");
        }
        void playLink(game, location.hash);
      },
      { signal },
    );
    this.addEventListener("wm-open-source", (event) => void this.openSource(/** @type {CustomEvent} */ (event).detail.panel), { signal });
  }

  /** Is the page's address a replay for this world? The first world of the page refuses replays of unknown worlds. */
  linked() {
    const named = replayedWorld(location.hash);
    const worlds = [...document.querySelectorAll("wm-world")];
    const there = worlds.some((world) => world.getAttribute("world") === named);
    return named !== null && (there ? this.getAttribute("world") === named : worlds[0] === this);
  }

  /** @param {HTMLElement} panel */
  async openSource(panel) {
    if (panel.childElementCount) return;
    const wait = h("p", { class: "wm-hint" }, "Loading the editor…");
    panel.append(wait);
    try {
      const editor = await load(new URL("../panels/source.js", import.meta.url).href);
      await editor.open(this, panel);
      wait.remove();
    } catch (error) {
      const again = h("button", { type: "button", class: "wm-text" }, "Retry");
      again.addEventListener("click", () => {
        panel.replaceChildren();
        void this.openSource(panel);
      });
      panel.replaceChildren(h("p", { class: "wm-hint" }, `The editor did not load: ${reason(error)}. `, again));
    }
  }

  /** Keys on the stage, touch on the pad. @param {Game} game @param {PlayerUI} ui @param {Input} input @param {AbortSignal} signal */
  control(game, ui, input, signal) {
    const { stage, pad } = ui;
    /** @type {Record<string, () => void>} */
    const keys = {
      Escape: () => {
        if (ui.fullScreen.on) return ui.fullScreen.leave();
        game.pause("you");
        ui.playButton?.focus({ preventScroll: true });
      },
      KeyP: () => (game.phase === "playing" ? game.pause("you") : game.resume()),
      Enter: () => (game.over || game.phase === "paused") && ui.go(),
      Period: () => void game.single(),
      KeyN: () => void game.restart(),
      KeyR: () => !game.alone && void game.resync(),
      KeyF: () => ui.fullScreen.toggle(),
      KeyM: () => {
        const modes = game.world ? modesOf(game.world) : [];
        if (game.modelOn && modes.length > 1) game.setMode(modes[(modes.indexOf(game.mode) + 1) % modes.length]);
      },
    };
    stage.addEventListener(
      "keydown",
      (event) => {
        if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
        const { code } = event;
        if (input.bound(code)) {
          // Single steps use the held keys.
          if (!event.repeat) input.press(code);
        } else if (keys[code]) {
          if (!event.repeat || code === "Period") keys[code]();
        } else if (!SCROLLS.has(code)) return;
        event.preventDefault();
        // The theme has its own keys: S would open its search, P and N would turn its pages.
        event.stopPropagation();
      },
      { signal },
    );
    // While Meta is held, macOS tells of no other key that is let go.
    stage.addEventListener("keyup", ({ key, code }) => (key === "Meta" ? input.releaseAll() : input.release(code)), { signal });
    stage.addEventListener("blur", () => input.releaseAll(), { signal });
    ui.viewport.addEventListener("pointerdown", () => stage.focus({ preventScroll: true }), { signal });

    /** The button under each finger. @type {Map<number, string>} */
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

  /** Load everything missing and play; go on if it was paused. */
  play() {
    const { game } = this;
    this.ui?.place();
    if (game?.phase === "playing") return;
    return game?.phase === "paused" ? game.resume() : game?.start();
  }

  /** Pause; only the player (or `play`) resumes. */
  pause() {
    this.game?.pause("you");
  }

  /** The site has a new version: take it over. @returns {Promise<boolean | null>} whether the game can go on; null: there is no game */
  async renew() {
    return this.game && renew(this.game);
  }

  /** The sim's files on disk have changed: play them. @param {Sources} sources all of them, by path */
  async follow(sources) {
    if (this.game) await follow(this.game, sources);
  }

  /** @returns {PlayerState | null} */
  get state() {
    return this.game?.state ?? null;
  }

  /** The running editable sources, by path. @returns {Sources} */
  get sources() {
    return this.editable(this.game?.sim?.now.sources ?? {});
  }

  /** The editable sources as the site ships them. @returns {Sources} */
  get shippedSources() {
    return this.editable(this.game?.sim?.shipped ?? {});
  }

  /** @param {Sources} all @returns {Sources} */
  editable(all) {
    const open = (this.game?.world?.sim?.sources ?? []).filter((s) => s.editable && s.path in all);
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
