// The games of this page's session as a small file: seeds and actions, from which a sim computes the rest again.
//
// The file is a Recording of types.d.ts: one JSON object. `wmsite data import` plays its games in CPython,
// step by step, and must reach the same end states.

import { WorkerGone } from "../game/rpc.js";

/** @import {RecordedGame, Recording, Sources} from "../../types" */
/** @import {SimLink} from "../sim/sim-link.js" */

/** A game with its edited files; null: the shipped ones. @typedef {{game: RecordedGame, sources: Sources | null}} Kept */

export class Recorder {
  constructor() {
    /** The finished games, also those that were left. @type {Kept[]} */
    this.kept = [];
  }

  /** Return the game so far; null if nobody played. Call it between ticks. @param {SimLink} sim @returns {Promise<Kept | null>} */
  async ended(sim) {
    const { now } = sim;
    if (!driven(sim)) return null;
    let end;
    try {
      end = await sim.digest();
    } catch (error) {
      if (error instanceof WorkerGone) throw error;
      return null; // Without the sim's state, nothing could tell if a second run is the same.
    }
    const edits = Object.entries(now.sources).filter(([path, text]) => text !== sim.shipped[path]);
    /** @type {RecordedGame} */
    const game = {
      sim: now.edited ? sim.hash : sim.source.hash,
      edited: now.edited,
      seed: now.seed,
      scenario: now.scenario,
      begun: now.begun.toISOString(),
      drivers: now.drivers.filter(([step]) => step < now.actions.length),
      steps: now.actions.map((action) => action.map(short)),
      end,
    };
    return { game, sources: now.edited ? Object.fromEntries(edits) : null };
  }

  /** @param {Kept | null} kept */
  add(kept) {
    if (kept) this.kept.push(kept);
  }

  /** Store the game so far, before another begins. @param {SimLink} sim */
  async keep(sim) {
    this.add(await this.ended(sim));
  }

  /** The content of a file saved now. @param {SimLink | null} sim */
  count(sim) {
    const now = sim && driven(sim) ? sim.now.actions.length : 0;
    const games = this.kept.length + Number(now > 0);
    return { games, steps: this.kept.reduce((sum, { game }) => sum + game.steps.length, now) };
  }

  /** Return the session's games as a Recording, with the running one; null if nobody played. @param {SimLink} sim @returns {Promise<Recording | null>} */
  async recording(sim) {
    // The games before need no worker.
    const last = await this.ended(sim).catch(() => null);
    const all = [...this.kept, last].filter((k) => k !== null);
    const { name, rate, axes, actions } = sim.world.spec;
    if (!all.length) return null;
    return {
      format: "wmsite-recording",
      version: 1,
      world: name,
      made: new Date().toISOString(),
      rate,
      axes: axes.map((a) => a.name),
      actions: actions.map((a) => a.name),
      sims: Object.fromEntries(all.map(({ game, sources }) => [game.sim, sources])),
      games: all.map(({ game }) => game),
    };
  }
}

/** Did anyone play this game, other than a replay? @param {SimLink} sim */
const driven = ({ now }) => now.drivers.some(([step, who]) => who !== "replay" && step < now.actions.length);

/** The shortest decimal that stands for the same float32. @param {number} value */
const short = (value) => {
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === Math.fround(value)) return shorter;
  }
  return Number(value.toPrecision(9));
};

/** "3 games, 2,140 steps" @param {{games: number, steps: number}} count */
export const counted = ({ games, steps }) =>
  `${games} ${games === 1 ? "game" : "games"}, ${steps.toLocaleString("en")} ${steps === 1 ? "step" : "steps"}`;

/** The name of a recording's file. @param {Recording} recording */
export const fileName = ({ world, made }) => `${world}-${made.slice(0, 19).replace("T", "-").replaceAll(":", "")}.wmsite.json`;
