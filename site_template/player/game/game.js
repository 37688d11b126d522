// A game of one world: sim and model stepped side by side, modes, pauses, replays and recovery. No DOM.

import { calm } from "../element/browser-features.js";
import { joinModel } from "../model/join.js";
import { elements, seenBy, sensorsIn } from "../model/observed.js";
import { Recorder } from "../replay/recorder.js";
import { Stage, STAGES } from "./loading-stages.js";
import { start } from "./loading.js";
import { Samples } from "./loop.js";
import { GROUNDED } from "./modes.js";
import { tellEndless } from "./neural-game.js";
import { modelFailed, recover } from "./recover.js";
import { advance } from "./tick.js";

/** @import {Mode, PlayerState, Replay, Sources, World} from "../../types" */
/** @import {Choice, ModelLink, Moment} from "../model/model-link.js" */
/** @import {Said, Values} from "../model/observed.js" */
/** @import {Shown, SimLink} from "../sim/sim-link.js" */
/** @import {StageName} from "./loading-stages.js" */
/** @import {Loop} from "./loop.js" */
/** @import {Dream} from "./neural-game.js" */
/** @import {Runtime} from "./runtime.js" */

/** A running replay, and its next step. @typedef {{replay: Replay, at: number}} Replaying */

/** One clear line for the page, with an action for the player. @typedef {{text: string, offer?: "retry" | "retry-model" | "stop" | "skip" | "wake" | "take" | "reload" | "dismiss"}} Notice */

const ZERO = { p50: 0, p95: 0 };

export class Game extends EventTarget {
  /**
   * @param {Runtime} runtime
   * @param {{world: string, family: string | null, mode: Mode | null, recorded: boolean, choice: Choice, fragment: string | null, sample: () => number[], away: () => string}} options
   */
  constructor(runtime, options) {
    super();
    this.runtime = runtime;
    this.options = options;
    /** @type {PlayerState["phase"]} */
    this.phase = "idle";
    /** @type {Mode} */
    this.mode = options.mode ?? "overlay";
    this.choice = options.choice;
    /** In neural mode, the model is brought back to the sim after this many ticks; 0: never. */
    this.resyncEvery = 0;
    /** The share of pixels that are changed in the model's input. */
    this.noise = 0;
    const changed = () => this.emit("stages");
    /** @type {Record<StageName, Stage>} */
    this.stages = /** @type {any} */ (
      Object.fromEntries(Object.keys(STAGES).map((n) => [n, new Stage(/** @type {StageName} */ (n), changed)]))
    );
    /** @type {World | null} */
    this.world = null;
    this.base = "";
    /** @type {SimLink | null} */
    this.sim = null;
    /** @type {ModelLink | null} */
    this.model = null;
    this.modelOn = false;
    /** @type {Promise<void> | null} */
    this.modelLoading = null;
    /** @type {Loop | null} */
    this.loop = null;
    /** @type {Notice | null} */
    this.notice = null;
    /** @type {Notice | null} */
    this.waiting = null;
    /** The error of the sim as edited on disk; shown over the stage. */
    this.fault = "";
    /** The sim's files on disk, from `wmsite serve`, once it has sent them. @type {Sources | null} */
    this.disk = null;
    /** @type {string | null} */
    this.error = null;
    /** @type {StageName | null} */
    this.failedStage = null;
    this.why = "";
    this.over = false;
    /** @type {string | null} */
    this.behaviour = null;
    /** @type {number[] | null} */
    this.nextAction = null;
    /** The action of the last step; null before the first. @type {number[] | null} */
    this.action = null;
    this.recorder = new Recorder();
    /** @type {Replaying | null} */
    this.replaying = null;
    /** A replay is being skipped to its end. @type {{stop: () => void} | null} */
    this.skipping = null;
    /** @type {PlayerState["replay"]} */
    this.replayState = "none";
    /** @type {Uint8ClampedArray<ArrayBuffer> | null} */
    this.simFrame = null;
    /** @type {Uint8ClampedArray<ArrayBuffer> | null} */
    this.modelFrame = null;
    /** The moments before `simFrame`, the newest last: as many as any model of the world needs to start. @type {Moment[]} */
    this.past = [];
    /** @type {Dream | null} */
    this.dream = null;
    /** @type {Float64Array} */
    this.status = new Float64Array();
    /** The score of the model's own game: the sim's when it was last brought back, plus the model's rewards since. */
    this.score = 0;
    /** The rewards of the last second. */
    this.rewards = { sim: new Samples(1), model: new Samples(1) };
    /** What the model says of the sensors; null: there is no model. @type {Said | null} */
    this.said = null;
    /** @type {number | null} */
    this.drift = null;
    /** The drift of each tick of the last seconds; NaN if there was none. */
    this.drifts = new Samples(1);
    this.simFrames = 0;
    this.modelFrames = 0;
    this.simMs = new Samples(300);
    this.modelMs = new Samples(300);
    /** @type {ArrayBuffer[]} */
    this.pool = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.restarting = undefined;
    /** Work that must not overlap a tick, one after the other. @type {Promise<unknown>} */
    this.turn = Promise.resolve();
    this.closed = false;
  }

  /** @param {string} type @param {unknown} [detail] */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Load everything missing, and play. A second call retries what failed. */
  start() {
    return start(this);
  }

  /** Python has worked on one call for `waited` ms; 0: it has answered. @param {number} waited */
  slow(waited) {
    const seconds = Math.floor(waited / 1000);
    const text = seconds && this.phase !== "loading" ? `The sim has not answered for ${seconds} s.` : "";
    if (text === (this.waiting?.text ?? "")) return;
    this.waiting = text ? { text, offer: "stop" } : null;
    this.changed();
  }

  /** Stop a sim that does not answer: its worker ends, and the last good game is restored. */
  stop() {
    if (this.skipping) return this.skipping.stop();
    this.sim?.remote?.end("stopped");
  }

  /** Show one line. @param {Notice | null} notice */
  say(notice) {
    this.notice = notice;
    this.changed();
  }

  // --- Playing -------------------------------------------------------------------------------

  /** Show the first frame of a new game, or of a restored one with the moments before it. @param {Shown} shown @param {Moment[]} [past] */
  begin(shown, past = shown.past ?? []) {
    clearTimeout(this.restarting);
    this.over = false;
    this.nextAction = null;
    this.action = null;
    this.drift = null;
    if (this.dream) this.mode = this.dream.mode;
    this.dream = null;
    // A tick may come before the model joins: what it carries is of the game before.
    if (this.model && !this.alone) this.model.settled = false;
    if (this.model && this.sim && !this.model.fits(this.sim.spec)) this.modelOn = false;
    if (this.sim) this.loop?.pace(this.sim.spec.rate);
    this.take(shown);
    const second = Math.max(1, Math.round(/** @type {SimLink} */ (this.sim).spec.rate));
    this.rewards = { sim: new Samples(second), model: new Samples(second) };
    this.past = past;
    this.modelFrame = this.modelOn ? new Uint8ClampedArray(/** @type {any} */ (this.simFrame)) : null;
    this.emit("first");
    this.emit("frame");
    if (this.modelOn || this.model?.ready) void this.resync();
  }

  /** Show the sim's next frame; `left`: the moment before it, if it was one step. @param {Shown} shown @param {Omit<Moment, "frame">} [left] */
  take({ frame, status }, left) {
    if (!left) this.past = [];
    else if (this.simFrame) this.past.push({ frame: this.simFrame, ...left });
    const reach = Math.max(0, ...(this.world?.models ?? []).map((m) => m.history - 1));
    const old = left ? this.past.splice(0, this.past.length - reach).map((m) => m.frame) : this.simFrame ? [this.simFrame] : [];
    this.pool.push(...old.map((frame) => frame.buffer));
    this.simFrame = new Uint8ClampedArray(frame);
    const size = this.simFrame.byteLength;
    this.pool = this.pool.filter((buffer) => buffer.byteLength === size).slice(0, 4);
    this.status = status;
    this.simFrames++;
    if (left) this.rewards.sim.push(this.read("reward"));
  }

  /** A status value by its name in `layout`. @param {string} name */
  read(name) {
    return this.status[this.sim?.places.get(name) ?? -1] ?? 0;
  }

  /** Does the model play without any simulator, from a recorded start? */
  get alone() {
    return this.world !== null && this.world.sim === null;
  }

  /** Does a recorded game go on beside the model, under its own actions? */
  get following() {
    return this.alone && this.mode === "split";
  }

  /** Is the sim's own game over? */
  get ended() {
    return Boolean(this.read("terminated") || this.read("truncated"));
  }

  /** The current value of a sensor, without a copy. @param {{name: string, shape: number[]}} sensor */
  view({ name, shape }) {
    const first = this.sim?.places.get(`sensor.${name}.0`) ?? this.status.length;
    return this.status.subarray(first, first + elements(shape));
  }

  /** The chance of the coming step. @returns {number[]} */
  chance() {
    const first = this.sim?.places.get("chance.0");
    return first === undefined ? [] : [...this.status.slice(first, first + /** @type {SimLink} */ (this.sim).spec.chance.length)];
  }

  /** The current values of the sensors that models of the world read: many are costly to copy. @returns {Values} */
  values() {
    /** @param {string} state */
    const read = (state) => Float32Array.from(sensorsIn(/** @type {SimLink} */ (this.sim).spec, state).flatMap((s) => [...this.view(s)]));
    return Object.fromEntries(seenBy(this.world?.models ?? []).map((state) => [state, read(state)]));
  }

  /** The mode that can be shown at present. @returns {Mode} */
  get shown() {
    return this.modelOn && this.modelFrame ? this.mode : "sim";
  }

  /** One tick. @returns {Promise<boolean>} whether there is a new frame */
  tick() {
    const { replaying } = this;
    // The replay was skipped to its end while this tick waited.
    return this.exclusively(async () => this.replaying === replaying && advance(this));
  }

  /** Run `work` while no tick and no other such work is running. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  exclusively(work) {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }

  end() {
    this.over = true;
    this.changed();
    // With reduced motion nothing starts by itself; and a dream can still return to the game that it left.
    if (!this.dream && !calm())
      this.restarting = setTimeout(() => this.phase === "playing" && void this.restart(), 3000);
  }

  /** All is loaded: play, or wait where nobody would see it. */
  enter() {
    this.why = this.options.away();
    if (this.why) this.set("paused");
    else this.resume();
  }

  resume() {
    if (!this.loop || this.phase === "error" || this.closed) return;
    this.runtime.take(this);
    this.why = "";
    if (this.replayState === "matches" || this.replayState === "differs") this.replayState = "none";
    this.set("playing");
    this.loop.start();
    if (this.over) void this.restart();
  }

  /** @param {string} why */
  pause(why) {
    if (this.phase !== "playing") return;
    clearTimeout(this.restarting);
    this.loop?.stop();
    this.why = why;
    this.set("paused");
    // The running tick is the last one: the picture must show the state in which the sim is paused.
    void this.exclusively(async () => {
      this.emit("frame");
      this.changed();
    });
  }

  /** One tick while paused. */
  async single() {
    if (this.phase === "playing") this.pause("step");
    if (this.phase !== "paused" || !this.loop) return;
    await this.loop.once();
    this.loop.ready = false;
    this.emit("frame");
    this.changed();
  }

  /** Start a new game, by default from the next seed. @param {number} [seed] @param {string} [scenario] */
  async restart(seed, scenario) {
    const sim = this.sim;
    if (!sim || this.phase === "loading") return;
    if (this.phase === "error") return this.start();
    this.replaying = null;
    this.replayState = "none";
    const shown = await this.exclusively(async () => {
      try {
        await this.recorder.keep(sim);
        return await sim.reset(seed ?? sim.next, scenario ?? sim.now.scenario);
      } catch (error) {
        await recover(this, error);
        return null;
      }
    });
    if (shown) this.begin(shown);
    this.changed();
  }

  /** @param {Mode} mode */
  setMode(mode) {
    const before = this.mode;
    this.mode = mode;
    this.drift = null;
    // The recorded game and the model's begin together.
    if (this.alone && mode !== before) return void this.restart(this.sim?.now.seed);
    if (mode !== "neural") this.dream = null;
    tellEndless(this);
    const again = before === "sim" || (GROUNDED.has(mode) && before === "neural");
    if (this.modelOn && again) void this.resync();
    this.emit("frame");
    this.changed();
  }

  /** Bring the model back to the sim's state, between ticks. */
  resync() {
    return this.exclusively(() => joinModel(this)).catch((error) => modelFailed(this, error));
  }

  /** Let a behaviour play; null: the player. @param {string | null} behaviour */
  autoplay(behaviour) {
    this.behaviour = behaviour;
    this.nextAction = null;
    this.changed();
  }

  // --- State ---------------------------------------------------------------------------------

  /** @param {PlayerState["phase"]} phase */
  set(phase) {
    this.phase = phase;
    this.changed();
  }

  changed() {
    this.emit("state");
  }

  /** @returns {PlayerState} */
  get state() {
    return {
      phase: this.phase,
      stage: this.failedStage ?? Object.values(this.stages).find((s) => s.phase === "running")?.name ?? null,
      error: this.error,
      over: this.over,
      simFrames: this.simFrames,
      modelFrames: this.modelFrames,
      mode: this.mode,
      shown: this.shown,
      backend: this.modelOn ? (this.model?.backend ?? null) : null,
      variant: this.modelOn ? (this.model?.variant?.name ?? null) : null,
      tick: this.sim?.now.actions.length ?? 0,
      seed: this.sim?.now.seed ?? 0,
      scenario: this.sim?.now.scenario ?? "",
      drift: this.drift,
      replay: this.replayState,
      dream: this.dream?.save.actions.length ?? null,
      edited: this.sim?.now.edited ?? false,
      intervals: { ...(this.loop?.intervals.percentiles() ?? ZERO), count: this.loop?.intervals.count ?? 0 },
      stepMs: { sim: this.simMs.percentiles(), model: this.modelMs.percentiles() },
    };
  }

  close() {
    this.closed = true;
    clearTimeout(this.restarting);
    this.loop?.stop();
    this.sim?.close();
    this.model?.release();
    if (this.runtime.active === this) this.runtime.active = null;
  }
}
