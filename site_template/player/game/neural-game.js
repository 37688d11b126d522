// The model alone: a dream from a state of the sim that the player chose, and the way back to it; the score and
// the lives of its own game, and whether it can tell when that game is over.

import { joinModel } from "../model/join.js";
import { modelFailed, recover } from "./recover.js";

/** @import {Mode, Readings, Spec, World} from "../../types" */
/** @import {Moment} from "../model/model-link.js" */
/** @import {Save, SimLink} from "../sim/sim-link.js" */
/** @import {Game} from "./game.js" */

/** A dream's start: the sim's game, the moments before it, and the mode. @typedef {{save: Save, past: Moment[], mode: Mode}} Dream */

/** Can the model go on alone from the sim's current state? @param {Game} game */
export const canDream = (game) => game.modelOn && !game.alone && !game.over && !game.dream;

/** Let the model play on alone from the sim's state; a replay ends here. @param {Game} game */
export async function dream(game) {
  const sim = /** @type {SimLink} */ (game.sim);
  try {
    await game.exclusively(async () => {
      if (!canDream(game)) return;
      const save = await sim.save();
      // Copies, because the game transfers its old frames.
      const past = game.past.map((m) => ({ ...m, frame: m.frame.slice() }));
      game.dream = { save, past, mode: game.mode };
      Object.assign(game, { mode: "neural", drift: null, replaying: null, replayState: "none" });
      await joinModel(game).catch((error) => modelFailed(game, error));
    });
    game.resume();
  } catch (error) {
    await recover(game, error);
  }
}

/** Restore the sim at the dream's start, paused: from there the player can play on, or dream again. @param {Game} game */
export async function wake(game) {
  const sim = /** @type {SimLink} */ (game.sim);
  game.pause("you");
  try {
    await game.exclusively(async () => {
      if (!game.dream) return;
      const { save, past } = game.dream;
      game.begin(await sim.bringBack(save), past);
      game.why = "you";
    });
    game.changed();
  } catch (error) {
    await recover(game, error);
  }
}

/** The notice for a model that plays alone and could not tell in its evaluation when a game ends. */
export const ENDLESS = "This model does not know when a game ends: alone it plays on.";

/** Show that notice while such a model plays alone, and remove it afterwards. @param {Game} game */
export function tellEndless(game) {
  const endless = game.mode === "neural" && game.modelOn && !game.model?.tellsEnds;
  if (endless ? !game.notice : game.notice?.text === ENDLESS) game.say(endless ? { text: ENDLESS } : null);
}

/** The sim's score: a HUD field that is the sum of the rewards. @param {Game} game */
export function scored(game) {
  const name = Object.entries(game.world?.hud ?? {}).find(([, source]) => source === "reward")?.[0];
  return name === undefined ? 0 : game.read(`hud.${name}`);
}

/** The field that the page adds to the HUD of a world with models, if no field of the world is the sum of the rewards. */
export const REWARD = { name: "+reward", label: "Reward/s" };

/** The HUD's fields. @param {World} world @param {Spec} spec the running one */
export const fields = ({ models, hud }, spec) =>
  // A recording without rewards teaches that there is only one.
  models.some((m) => m.rewards.length !== 1) && !Object.values(hud).includes("reward") ? [...spec.hud, REWARD] : spec.hud;

/**
 * The HUD's value of a field: if the model plays alone, of its game. Null if the model does not know it: if it is
 * neither the sum of rewards that the model predicts reliably, nor follows from one of its sensors.
 * @param {Game} game @param {string} name @returns {number | null}
 */
export const field = (game, name) => (game.shown === "neural" || game.alone ? modelField(game, name) : simField(game, name));

/** @param {Game} game @param {string} name */
export const simField = (game, name) => (name === REWARD.name ? game.rewards.sim.sum() : game.read(`hud.${name}`));

/** @param {Game} game @param {string} name @returns {number | null} */
function modelField({ model, said, score, rewards, sim, world }, name) {
  const source = world?.hud[name];
  if (name === REWARD.name) return rewards.model.sum();
  if (source === "reward") return model?.variant?.scores ? score : null;
  // "sensor.lives.0", or a multiple of one in whole numbers, as in "sensor.speed.0 * 3.6".
  const [value, factor] = source?.split(" * ") ?? [];
  const sensor = sim?.spec.sensors.find((s) => s.name === value?.split(".")[1]);
  if (!sensor || !said?.knows(sensor)) return null;
  const found = said.read(value) * Number(factor ?? 1);
  return factor || sensor.dtype.startsWith("int") ? Math.round(found) : found;
}

/**
 * Who says what the instruments show, and who says what they show faintly beside it.
 * @param {Game} game @returns {{readings: Readings, beside: Readings | null, label: string}} `label`: that, in words
 */
export function speakers(game) {
  const { said, shown } = game;
  if (said) said.action = game.action;
  if (shown === "sim" || !said) return { readings: game, beside: null, label: "" };
  if (shown !== "neural") return { readings: game, beside: said, label: `${game.alone ? "Recording" : "Simulator"}; faint: the model` };
  if (game.alone) return { readings: said, beside: null, label: "Model" };
  return { readings: said, beside: game, label: "Model; faint: the simulator" };
}
