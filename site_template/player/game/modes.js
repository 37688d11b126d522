// The modes: what a page shows of a world's simulator and of its model.

/** @import {Mode, World} from "../../types" */

/** @type {Mode[]} */
export const MODES = ["sim", "overlay", "split", "neural", "difference"];

/** Modes with the model's next frame from the sim's state: the model starts from that state at every tick. */
export const GROUNDED = new Set(["overlay", "split", "difference"]);

/** The modes that a world has. A recorded game stands in for a simulator in one of them. @param {World} world @returns {Mode[]} */
export function modesOf(world) {
  if (!world.models.length) return ["sim"];
  if (world.sim) return MODES;
  return world.starts?.ahead ? ["split", "neural"] : ["neural"];
}
