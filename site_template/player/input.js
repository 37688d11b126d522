// Keys, touch pad and gamepad to one action a tick, by the bindings of the world's spec.

import { AXIS_STEPS } from "./replay.js";

/** @import {Spec} from "../types" */

const BUTTONS = {
  south: 0, east: 1, west: 2, north: 3, l1: 4, r1: 5, l2: 6, r2: 7, select: 8, start: 9,
  l3: 10, r3: 11, "dpad-up": 12, "dpad-down": 13, "dpad-left": 14, "dpad-right": 15,
}; // prettier-ignore
const DEAD_ZONE = 0.35;

/** @param {Gamepad} pad @param {string} name "dpad-left", "axis0-" @returns {number} how far it is pressed, 0 to 1 */
function pressed(pad, name) {
  const axis = /^axis(\d)([+-]?)$/.exec(name);
  if (axis) {
    const value = (pad.axes[Number(axis[1])] ?? 0) * (axis[2] === "-" ? -1 : 1);
    return value > DEAD_ZONE ? value : 0;
  }
  return pad.buttons[BUTTONS[/** @type {keyof typeof BUTTONS} */ (name)]]?.value ?? 0;
}

export class Input {
  /** @param {Spec} spec */
  constructor(spec) {
    this.spec = spec;
    /** What is held, the newest last: key codes and touch buttons. @type {string[]} */
    this.held = [];
    /** Pressed and let go between two ticks: still counts once. @type {Set<string>} */
    this.tapped = new Set();
    /** @type {Map<string, number>} */
    this.actions = new Map();
    spec.actions.forEach((a, i) => {
      for (const code of a.keys) this.actions.set(code, i);
      this.actions.set(`touch:${a.name}`, i);
    });
    /** @type {Map<string, {axis: number, sign: 1 | -1}>} */
    this.axes = new Map();
    spec.axes.forEach((a, axis) => {
      for (const code of [...a.increase, `touch:${a.name}+`]) this.axes.set(code, { axis, sign: 1 });
      for (const code of [...a.decrease, `touch:${a.name}-`]) this.axes.set(code, { axis, sign: -1 });
    });
  }

  /** Is this key or button bound to the world? @param {string} code */
  bound = (code) => this.actions.has(code) || this.axes.has(code);

  /** @param {string} code */
  press(code) {
    if (this.held.includes(code)) return;
    this.held.push(code);
    this.tapped.add(code);
  }

  /** @param {string} code */
  release(code) {
    this.held = this.held.filter((other) => other !== code);
  }

  releaseAll() {
    this.held = [];
    this.tapped.clear();
  }

  /** Return the action of the coming tick as the sim takes it: [index], or a value an axis. @returns {number[]} */
  sample() {
    const now = [...this.tapped, ...this.held];
    this.tapped.clear();
    const pads = (navigator.getGamepads?.() ?? []).filter((pad) => pad?.mapping === "standard");
    const pad = /** @type {Gamepad | undefined} */ (pads[0] ?? undefined);
    return this.spec.actions.length ? this.choose(now, pad) : this.steer(now, pad);
  }

  /** @param {string[]} now @param {Gamepad | undefined} pad */
  choose(now, pad) {
    let index = 0;
    if (pad) {
      const found = this.spec.actions.findIndex((a) => a.gamepad.some((name) => pressed(pad, name) > 0));
      if (found > 0) index = found;
    }
    // The key pressed last wins.
    for (const code of now) index = this.actions.get(code) ?? index;
    return [index];
  }

  /** @param {string[]} now @param {Gamepad | undefined} pad */
  steer(now, pad) {
    return this.spec.axes.map((a, i) => {
      let push = 0;
      const name = a.gamepad?.replace(/[+-]$/, "");
      if (pad && name) push = pressed(pad, `${name}+`) - pressed(pad, `${name}-`) || pressed(pad, name);
      for (const code of now) {
        const bound = this.axes.get(code);
        if (bound?.axis === i) push = bound.sign;
      }
      const value = a.neutral + push * (push > 0 ? a.high - a.neutral : a.neutral - a.low);
      // Only values that a replay link can carry exactly.
      const step = Math.round(((value - a.low) / (a.high - a.low)) * AXIS_STEPS);
      return Math.fround(a.low + ((a.high - a.low) * step) / AXIS_STEPS);
    });
  }
}
