// One world being played: sim and model stepped side by side, modes, pauses, replays and recovery. No DOM.

import { joinModel } from "./join.js";
import { load } from "./load.js";
import { Samples } from "./loop.js";
import { Recorder } from "./recording.js";
import { modelFailed, recover } from "./recover.js";
import { stepped } from "./replay.js";
import { endReplay } from "./rerun.js";
import { Stage, STAGES } from "./stages.js";

/** @import {Mode, PlayerState, Replay, World} from "../types" */
/** @import {Loop} from "./loop.js" */
/** @import {Dream} from "./dream.js" */
/** @import {Choice, ModelLink, Moment} from "./model.js" */
/** @import {Runtime} from "./runtime.js" */
/** @import {Shown, SimLink} from "./sim.js" */
/** @import {StageName} from "./stages.js" */

/** One clear line for the page, with what the player can do about it. @typedef {{text: string, offer?: "retry" | "retry-model" | "stop" | "skip" | "wake"}} Notice */

const GROUNDED = new Set(["overlay", "split", "difference"]);
const ZERO = { p50: 0, p95: 0 };

export class Game extends EventTarget {
  /**
   * @param {Runtime} runtime
   * @param {{world: string, family: string | null, mode: Mode | null, choice: Choice, fragment: string | null, sample: () => number[]}} options
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
    /** In neural mode the model is brought back to the sim after so many ticks; 0: never. */
    this.resyncEvery = 0;
    /** The share of pixels that are spoilt in what the model sees. */
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
    /** What the last step was given; null before the first. @type {number[] | null} */
    this.action = null;
    this.recorder = new Recorder();
    /** @type {{replay: Replay, at: number} | null} */
    this.replaying = null;
    /** @type {PlayerState["replay"]} */
    this.replayState = "none";
    /** @type {Uint8ClampedArray<ArrayBuffer> | null} */
    this.simFrame = null;
    /** @type {Uint8ClampedArray<ArrayBuffer> | null} */
    this.modelFrame = null;
    /** What led to `simFrame`: the newest moment last, as many as any model of the world starts from. @type {Moment[]} */
    this.past = [];
    /** @type {Dream | null} */
    this.dream = null;
    /** @type {Float64Array} */
    this.status = new Float64Array();
    /** @type {number | null} */
    this.drift = null;
    /** The drift of each tick of the last seconds, NaN where there was none. */
    this.drifts = new Samples(1);
    this.simFrames = 0;
    this.modelFrames = 0;
    this.simMs = new Samples(300);
    this.modelMs = new Samples(300);
    /** @type {ArrayBuffer[]} */
    this.pool = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.restarting = undefined;
    /** Work that must not meet a tick, one after the other. @type {Promise<unknown>} */
    this.turn = Promise.resolve();
    this.closed = false;
  }

  /** @param {string} type @param {unknown} [detail] */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Load all that is not here yet, and play. A second call retries what failed. */
  start() {
    return load(this);
  }

  /** Python has worked on one call for `waited` ms, or (0) has answered. @param {number} waited */
  slow(waited) {
    const seconds = Math.floor(waited / 1000);
    const text = seconds && this.phase !== "loading" ? `The sim has not answered for ${seconds} s.` : "";
    if (text === (this.waiting?.text ?? "")) return;
    this.waiting = text ? { text, offer: "stop" } : null;
    this.changed();
  }

  /** Stop a sim that does not answer: its worker ends, and the last good game comes back. */
  stop() {
    this.sim?.remote?.end("stopped");
  }

  /** Show one line. @param {Notice | null} notice */
  say(notice) {
    this.notice = notice;
    this.changed();
  }

  // --- Playing -------------------------------------------------------------------------------

  /** Show the first frame of a game, or of one brought back with what led to it. @param {Shown} shown @param {Moment[]} [past] */
  begin(shown, past = []) {
    clearTimeout(this.restarting);
    this.over = false;
    this.nextAction = null;
    this.action = null;
    this.drift = null;
    if (this.dream) this.mode = this.dream.mode;
    this.dream = null;
    this.take(shown);
    this.past = past;
    this.modelFrame = this.modelOn ? new Uint8ClampedArray(/** @type {any} */ (this.simFrame)) : null;
    this.emit("first");
    this.emit("frame");
    if (this.modelOn || this.model?.ready) void this.resync();
  }

  /** Show the sim's next frame; `left`: what led to it, if that was one step. @param {Shown} shown @param {Omit<Moment, "frame">} [left] */
  take({ frame, status }, left) {
    if (!left) this.past = [];
    else if (this.simFrame) this.past.push({ frame: this.simFrame, ...left });
    const reach = Math.max(0, ...(this.world?.models ?? []).map((m) => m.history - 1));
    const old = left ? this.past.splice(0, this.past.length - reach).map((m) => m.frame) : this.simFrame ? [this.simFrame] : [];
    this.pool.push(...old.map((frame) => frame.buffer));
    this.pool.length = Math.min(this.pool.length, 4);
    this.simFrame = new Uint8ClampedArray(frame);
    this.status = status;
    this.simFrames++;
  }

  /** The status by name, as `layout` names it. @param {string} name */
  read(name) {
    return this.status[this.sim?.places.get(name) ?? -1] ?? 0;
  }

  /** What a sensor says now, without a copy. @param {{name: string, shape: number[]}} sensor */
  view({ name, shape }) {
    const first = this.sim?.places.get(`sensor.${name}.0`) ?? this.status.length;
    return this.status.subarray(first, first + shape.reduce((a, b) => a * b, 1));
  }

  /** The chance of the coming step. @returns {number[]} */
  chance() {
    const first = this.sim?.places.get("chance.0");
    return first === undefined ? [] : [...this.status.slice(first, first + /** @type {SimLink} */ (this.sim).spec.chance.length)];
  }

  /** What the sim's sensors say now, one after the other. @returns {number[]} */
  sensors() {
    const sensor = this.sim?.spec.sensors[0]?.name;
    const first = this.sim?.places.get(`sensor.${sensor}.0`);
    return first === undefined ? [] : [...this.status.slice(first)];
  }

  /** The mode that can be shown now. @returns {Mode} */
  get shown() {
    return this.modelOn && this.modelFrame ? this.mode : "sim";
  }

  /** One tick. @returns {Promise<boolean>} whether there is a new frame */
  tick() {
    const { replaying } = this;
    // A replay that was skipped while this tick waited has come to its end.
    return this.exclusively(async () => this.replaying === replaying && this.advance());
  }

  async advance() {
    const sim = /** @type {SimLink} */ (this.sim);
    if (this.over || this.phase === "loading" || this.phase === "error") return false;
    try {
      let action = null;
      if (this.replaying) {
        const { replay, at } = this.replaying;
        if (at >= replay.actions.length) {
          await endReplay(this);
          return false;
        }
        action = replay.actions[this.replaying.at++];
      }
      sim.drive(action ? "replay" : (this.behaviour ?? "person"));
      // A script is held to the same steps of an axis as a hand: links and recordings carry no others.
      if (!action && this.behaviour) action = stepped(sim.spec, this.nextAction ?? (await sim.act(this.behaviour)));
      action ??= this.options.sample();
      this.action = action;
      // Of many sensors this is much: without a model nobody asks.
      const modelled = Boolean(this.world?.models.length);
      const left = { action, chance: modelled ? this.chance() : [], sensors: modelled ? this.sensors() : [] };
      const predicting = this.predict(action);
      const stepping = sim.step(action, this.replaying ? null : this.behaviour, this.pool.pop());
      const [shown, predicted] = await Promise.all([stepping, predicting]);
      this.take(shown, left);
      this.nextAction = shown.next ?? null;
      this.simMs.push(shown.ms ?? 0);
      if (predicted) {
        if (this.modelFrame) this.pool.push(this.modelFrame.buffer);
        this.modelFrame = new Uint8ClampedArray(predicted.frame.buffer);
        this.drift = predicted.drift;
        this.modelFrames++;
        this.modelMs.push(predicted.ms);
      }
      this.drifts.push(this.drift ?? NaN);
      const alone = this.mode === "neural" && predicted;
      const ended = this.read("terminated") || this.read("truncated");
      if (alone ? predicted.terminated > 0.5 : ended && !this.replaying) this.end();
      return true;
    } catch (error) {
      await recover(this, error);
      return false;
    }
  }

  /** Step the model beside the sim; null when there is none, or nobody looks. @param {number[]} action */
  async predict(action) {
    if (!this.modelOn || !this.model || !this.simFrame || this.mode === "sim") return null;
    const buffer = this.pool.pop() ?? new ArrayBuffer(this.simFrame.length);
    const frame = new Uint8Array(buffer);
    frame.set(this.simFrame);
    const { model, past } = this;
    try {
      const enough = !model.settled && past.length >= model.reach;
      const sensors = this.sensors();
      const age = /** @type {SimLink} */ (this.sim).now.actions.length;
      if (enough) await model.start({ frame: this.simFrame, sensors }, past, age);
      // A game that only the model still plays has its chance from the page.
      const chance = this.read("terminated") ? this.chance().map(Math.random) : this.chance();
      const again = this.resyncEvery > 0 && !this.dream && age % this.resyncEvery === 0;
      const grounded = again || GROUNDED.has(this.mode) || !model.settled;
      return await model.step(frame, sensors, action, chance, grounded, this.noise);
    } catch (error) {
      modelFailed(this, error);
      return null;
    }
  }

  /** Run `work` when no tick and no other such work is under way. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  exclusively(work) {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }

  end() {
    this.over = true;
    this.changed();
    // With reduced motion nothing starts by itself, and a dream has the game that it left to go back to.
    if (!this.dream && !matchMedia("(prefers-reduced-motion: reduce)").matches)
      this.restarting = setTimeout(() => this.phase === "playing" && void this.restart(), 3000);
  }

  resume() {
    if (!this.loop || this.phase === "error") return;
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
    // The tick under way is the last one: the picture is to be the state that the sim is paused in.
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
        return await sim.reset(seed ?? sim.now.seed + 1, scenario ?? sim.now.scenario);
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
    if (mode !== "neural") this.dream = null;
    const again = before === "sim" || (GROUNDED.has(mode) && before === "neural");
    if (this.modelOn && again) void this.resync();
    this.emit("frame");
    this.changed();
  }

  /** Bring the model back to what the sim shows, between ticks. */
  resync() {
    return this.exclusively(() => joinModel(this)).catch((error) => modelFailed(this, error));
  }

  /** Let a scripted behaviour play; null: the player. @param {string | null} behaviour */
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
