// One tick: the sim takes an action, and the model takes the same one.

import { keepPace } from "../model/join.js";
import { stepped } from "../replay/link.js";
import { endReplay } from "../replay/play-link.js";
import { GROUNDED } from "./modes.js";
import { scored } from "./neural-game.js";
import { modelFailed, recover } from "./recover.js";

/** @import {SimLink} from "../sim/sim-link.js" */
/** @import {Starts} from "../sim/starts.js" */
/** @import {Game} from "./game.js" */

/** Step the sim, and the model with it. @param {Game} game @returns {Promise<boolean>} whether there is a new frame */
export async function advance(game) {
  const sim = /** @type {SimLink} */ (game.sim);
  if (game.over || game.phase === "loading" || game.phase === "error") return false;
  try {
    // The sim's game ends at its own end, even if the model plays on: saved games end there too.
    const rests = game.ended && !game.replaying;
    let action = null;
    if (game.replaying) {
      const { replay, at } = game.replaying;
      if (at >= replay.actions.length) {
        await endReplay(game);
        return false;
      }
      action = replay.actions[game.replaying.at++];
    }
    if (game.following) {
      action = /** @type {Starts} */ (sim).follow();
      if (!action) {
        game.end();
        return false;
      }
    }
    if (!rests) sim.drive(action ? "replay" : (game.behaviour ?? "person"));
    // A behaviour is limited to the same steps of an axis as a player: links and saved games hold no others.
    if (!action && game.behaviour) action = stepped(sim.spec, game.nextAction ?? (await sim.act(game.behaviour)));
    action ??= game.options.sample();
    game.action = action;
    const left = { action, chance: game.world?.models.length ? game.chance() : [], values: game.values() };
    const predicting = predict(game, action);
    const stepping = rests ? null : sim.step(action, game.replaying ? null : game.behaviour, game.pool.pop());
    const [shown, predicted] = await Promise.all([stepping, predicting]);
    if (shown) {
      game.take(shown, left);
      game.simMs.push(shown.ms ?? 0);
    }
    game.nextAction = shown?.next ?? null;
    if (predicted) {
      if (game.modelFrame) game.pool.push(game.modelFrame.buffer);
      game.modelFrame = new Uint8ClampedArray(predicted.frame.buffer);
      game.drift = game.alone ? null : predicted.drift;
      game.modelFrames++;
      game.modelMs.push(predicted.ms);
      keepPace(game, predicted.ms);
    }
    game.drifts.push(game.drift ?? NaN);
    const alone = game.mode === "neural" && game.model?.settled ? predicted : null;
    if (alone ? game.model?.ended(alone) : game.ended && !game.replaying) game.end();
    return true;
  } catch (error) {
    await recover(game, error);
    return false;
  }
}

/** Step the model beside the sim; null if there is none, or if it is not shown. @param {Game} game @param {number[]} action */
async function predict(game, action) {
  if (!game.modelOn || !game.model || !game.simFrame || game.mode === "sim") return null;
  const buffer = game.pool.pop() ?? new ArrayBuffer(game.simFrame.length);
  const frame = new Uint8Array(buffer);
  frame.set(game.simFrame);
  const { model, past } = game;
  try {
    const enough = !model.settled && past.length >= model.reach;
    const values = game.values();
    const age = /** @type {SimLink} */ (game.sim).now.actions.length;
    if (enough) await model.start({ frame: game.simFrame, values }, past, age);
    // If only the model plays on, the page draws the chance.
    const chance = game.ended || game.alone ? model.spec.chance.map(Math.random) : game.chance();
    const again = game.resyncEvery > 0 && !game.dream && !game.ended && age % game.resyncEvery === 0;
    const grounded = again || (GROUNDED.has(game.mode) && !game.alone) || !model.settled;
    const simScore = grounded ? scored(game) : null;
    const predicted = await model.step(frame, values, action, chance, grounded, game.noise);
    const reward = model.rewarded(predicted);
    game.score = (simScore ?? game.score) + reward;
    game.rewards.model.push(reward);
    if (game.said) game.said.values = predicted.values;
    return predicted;
  } catch (error) {
    modelFailed(game, error);
    return null;
  }
}
