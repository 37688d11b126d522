// Keys, touch pad and gamepad to one action a tick, by the bindings of the world's spec.

import { stepped } from "./replay.js";

/** @import {AxisSpec, Spec} from "../types" */

const BUTTONS = {
  south: 0, east: 1, west: 2, north: 3, l1: 4, r1: 5, l2: 6, r2: 7, select: 8, start: 9,
  l3: 10, r3: 11, "dpad-up": 12, "dpad-down": 13, "dpad-left": 14, "dpad-right": 15,
}; // prettier-ignore
/** How far a stick must be pushed to count as pressed. */
const PRESSED = 0.35;
/** How far from its middle a stick, and how far down a trigger, still counts as let go. */
const DEAD_ZONE = 0.1;

/** @param {Gamepad} pad @param {string} name "dpad-left", "axis0-" @returns {number} how far it is pushed, 0 to 1; an axis without a sign -1 to 1 */
function pushed(pad, name) {
  const axis = /^axis(\d)([+-]?)$/.exec(name);
  if (!axis) return pad.buttons[BUTTONS[/** @type {keyof typeof BUTTONS} */ (name)]]?.value ?? 0;
  return (pad.axes[Number(axis[1])] ?? 0) * (axis[2] === "-" ? -1 : 1);
}

/** The whole way of a stick or trigger, without its dead zone. @param {number} way */
const eased = (way) => (Math.abs(way) <= DEAD_ZONE ? 0 : (way - Math.sign(way) * DEAD_ZONE) / (1 - DEAD_ZONE));

/** Is more of it to the left? @param {AxisSpec} a */
export const turned = (a) => a.increase.includes("ArrowLeft");

/** @param {AxisSpec} a @returns {("+" | "-")[]} the directions that its touch buttons have, in the order of its labels */
const directions = (a) => (a.touch.length > 1 ? ["-", "+"] : a.touch.length ? [a.neutral < a.high ? "+" : "-"] : []);

/**
 * The touch pad's buttons: what the left thumb holds, and the right. What goes both ways is the left
 * one's; pedals, the last axis first, are the right one's; so are actions.
 * @typedef {{code: string, face: string, name: string, caption: string}} Button
 * @param {Spec} spec @returns {{left: Button[], right: Button[]}}
 */
export function touchPad({ actions, axes }) {
  /** @param {AxisSpec} a @returns {Button[]} */
  const buttons = (a) => {
    const made = directions(a).map((way, i) => ({
      code: `touch:${a.name}${way}`,
      face: a.touch[i],
      name: `${a.name} ${way === "+" ? "up" : "down"}`,
      caption: a.touch.length > 1 ? "" : a.name,
    }));
    return turned(a) ? made.reverse() : made;
  };
  const pedals = axes.filter((a) => a.touch.length === 1).reverse();
  return {
    left: axes.filter((a) => a.touch.length > 1).flatMap(buttons),
    right: [
      ...pedals.flatMap(buttons),
      ...actions.flatMap((a) => (a.touch ? [{ code: `touch:${a.name}`, face: a.touch, name: a.name, caption: "" }] : [])),
    ],
  };
}

export class Input {
  /** @param {Spec} spec */
  constructor(spec) {
    /** What is held, the newest last: key codes and touch buttons. @type {string[]} */
    this.held = [];
    /** Pressed and let go between two ticks: still counts once. @type {Set<string>} */
    this.tapped = new Set();
    this.spec = spec;
    /** @type {Map<string, number>} */
    this.actions = new Map();
    /** @type {Map<string, {axis: number, sign: 1 | -1}>} */
    this.axes = new Map();
    /** Where each axis is: keys move it at its pace. @type {number[]} */
    this.values = [];
    this.bind(spec);
  }

  /** Take the bindings of a spec. @param {Spec} spec */
  bind(spec) {
    this.spec = spec;
    this.actions.clear();
    this.axes.clear();
    spec.actions.forEach((a, i) => {
      for (const code of a.keys) this.actions.set(code, i);
      this.actions.set(`touch:${a.name}`, i);
    });
    spec.axes.forEach((a, axis) => {
      for (const code of [...a.increase, `touch:${a.name}+`]) this.axes.set(code, { axis, sign: 1 });
      for (const code of [...a.decrease, `touch:${a.name}-`]) this.axes.set(code, { axis, sign: -1 });
    });
    this.settle();
  }

  /** Every axis back to neutral at once, as a new game begins. */
  settle() {
    this.values = this.spec.axes.map((a) => a.neutral);
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
      const found = this.spec.actions.findIndex((a) => a.gamepad.some((name) => pushed(pad, name) > PRESSED));
      if (found > 0) index = found;
    }
    // The key pressed last wins.
    for (const code of now) index = this.actions.get(code) ?? index;
    return [index];
  }

  /** @param {string[]} now @param {Gamepad | undefined} pad */
  steer(now, pad) {
    this.spec.axes.forEach((a, i) => {
      let push = 0;
      for (const code of now) {
        const bound = this.axes.get(code);
        if (bound?.axis === i) push = bound.sign;
      }
      const way = pad && a.gamepad ? eased(pushed(pad, a.gamepad)) : 0;
      // A stick is where the hand has put it; a key moves the axis there.
      const [target, pace] = push || !way ? [push, a.pace] : [way, 0];
      const wanted = a.neutral + target * (target > 0 ? a.high - a.neutral : a.neutral - a.low);
      const far = pace > 0 ? pace / this.spec.rate : Infinity;
      this.values[i] += Math.min(far, Math.max(-far, wanted - this.values[i]));
    });
    // Only values that a replay link can carry exactly.
    return stepped(this.spec, this.values);
  }
}
