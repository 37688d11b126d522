// What was played on this page, as a small file: seeds and actions, from which a sim makes everything again.
//
// The file is a Recording of types.d.ts: JSON, one object. `wmsite data import` plays its games in CPython,
// step by step, and must come to the same end states.

/** @import {RecordedGame, Recording, Sources} from "../types" */
/** @import {SimLink} from "./sim.js" */

/** A game with the edited files that it ran on; null: as shipped. @typedef {{game: RecordedGame, sources: Sources | null}} Kept */

export class Recorder {
  constructor() {
    /** The games that are over, or were left. @type {Kept[]} */
    this.kept = [];
  }

  /** Return the game up to now; null where nobody drove. Call it between ticks. @param {SimLink} sim @returns {Promise<Kept | null>} */
  async ended(sim) {
    const { now } = sim;
    if (!driven(sim)) return null;
    const end = await sim.digest();
    const edits = Object.entries(now.sources).filter(([path, text]) => text !== sim.shipped[path]);
    /** @type {RecordedGame} */
    const game = {
      sim: now.edited ? sim.hash : sim.world.sim.hash,
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

  /** Keep the game up to now, before another begins. @param {SimLink} sim */
  async keep(sim) {
    this.add(await this.ended(sim));
  }

  /** What a recording saved now would hold. @param {SimLink | null} sim */
  count(sim) {
    const now = sim && driven(sim) ? sim.now.actions.length : 0;
    const games = this.kept.length + Number(now > 0);
    return { games, steps: this.kept.reduce((sum, { game }) => sum + game.steps.length, now) };
  }

  /** Return the session's recording, the game that is on with it; null where nobody drove. @param {SimLink} sim @returns {Promise<Recording | null>} */
  async recording(sim) {
    const all = [...this.kept, await this.ended(sim)].filter((k) => k !== null);
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

/** Did anyone drive this game, other than a replay? @param {SimLink} sim */
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
