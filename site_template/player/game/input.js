// Converts keys, touch pad and gamepad to one action a tick, by the bindings of the world's spec.

import { gamepads } from "../element/browser-features.js";
import { stepped } from "../replay/link.js";

/** @import {Axis, Spec} from "../../types" */

const BUTTONS = {
  south: 0, east: 1, west: 2, north: 3, l1: 4, r1: 5, l2: 6, r2: 7, select: 8, start: 9,
  l3: 10, r3: 11, "dpad-up": 12, "dpad-down": 13, "dpad-left": 14, "dpad-right": 15,
}; // prettier-ignore
const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
/** How far a stick must move to count as pressed. */
const PRESSED = 0.35;
/** How far from its middle a stick, and how far down a trigger, still counts as released. */
const DEAD_ZONE = 0.1;

/** @param {Gamepad} pad @param {string} name "dpad-left", "axis0-" @returns {number} its position, 0 to 1; for an axis without a sign, -1 to 1 */
function pushed(pad, name) {
  const axis = /^axis(\d)([+-]?)$/.exec(name);
  if (!axis) return pad.buttons[BUTTONS[/** @type {keyof typeof BUTTONS} */ (name)]]?.value ?? 0;
  return (pad.axes[Number(axis[1])] ?? 0) * (axis[2] === "-" ? -1 : 1);
}

/** The position of a stick or trigger, corrected for its dead zone. @param {number} way */
const eased = (way) => (Math.abs(way) <= DEAD_ZONE ? 0 : (way - Math.sign(way) * DEAD_ZONE) / (1 - DEAD_ZONE));

/** What is on a key. @param {string} code */
export const keyName = (code) => KEY_NAMES[/** @type {keyof typeof KEY_NAMES} */ (code)] ?? code.replace(/^(Key|Digit)/, "");

/** Does its value grow to the left? @param {Axis} a */
export const turned = (a) => a.increase.includes("ArrowLeft");

/** @param {Axis} a @returns {("+" | "-")[]} the directions of its touch buttons, in the order of its labels */
const directions = (a) => (a.touch.length > 1 ? ["-", "+"] : a.touch.length ? [a.neutral < a.high ? "+" : "-"] : []);

/**
 * The touch pad's buttons, for the left and the right thumb. The left thumb has axes with two directions.
 * The right thumb has pedals, the last axis first, and actions. If all buttons would be on one side, each
 * side gets some, in their order.
 * @typedef {{code: string, face: string, name: string, caption: string}} Button
 * Where a recording names no buttons, its first two axes get some.
 * @param {Spec} spec @param {boolean} recorded @returns {{left: Button[], right: Button[]}}
 */
export function touchPad({ actions, axes: given }, recorded) {
  const unnamed = recorded && !given.some((a) => a.touch.length);
  const axes = unnamed ? given.map((a, i) => (i < 2 ? { ...a, touch: ["−", "+"] } : a)) : given;
  const several = axes.filter((a) => a.touch.length > 1).length > 1;
  /** @param {Axis} a @returns {Button[]} */
  const buttons = (a) => {
    const made = directions(a).map((way, i) => ({
      code: `touch:${a.name}${way}`,
      face: a.touch[i],
      name: `${a.name} ${way === "+" ? "up" : "down"}`,
      caption: a.touch.length > 1 && !several ? "" : a.name,
    }));
    return turned(a) ? made.reverse() : made;
  };
  const left = axes.filter((a) => a.touch.length > 1).flatMap(buttons);
  const pedals = axes.filter((a) => a.touch.length === 1);
  if (left.length) pedals.reverse();
  const right = [
    ...pedals.flatMap(buttons),
    ...actions.flatMap((a) => (a.touch ? [{ code: `touch:${a.name}`, face: a.touch, name: a.name, caption: "" }] : [])),
  ];
  const all = [...left, ...right];
  const half = left.length && right.length ? left.length : Math.ceil(all.length / 2);
  return { left: all.slice(0, half), right: all.slice(half) };
}

export class Input {
  /** @param {Spec} spec */
  constructor(spec) {
    /** The held key codes and touch buttons, the newest last. @type {string[]} */
    this.held = [];
    /** Pressed and released between two ticks: these still count once. @type {Set<string>} */
    this.tapped = new Set();
    this.spec = spec;
    /** @type {Map<string, number>} */
    this.actions = new Map();
    /** @type {Map<string, {axis: number, sign: 1 | -1}>} */
    this.axes = new Map();
    /** The value of each axis: keys move it at its pace. @type {number[]} */
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

  /** Reset every axis to neutral at once, when a new game begins. */
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

  /** Return the action of the coming tick in the sim's form: [index], or one value for each axis. @returns {number[]} */
  sample() {
    const now = [...this.tapped, ...this.held];
    this.tapped.clear();
    const pads = gamepads().filter((pad) => pad?.mapping === "standard");
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
    // The last pressed key wins.
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
      // A stick sets the axis to its own position; a key moves the axis.
      const [target, pace] = push || !way ? [push, a.pace] : [way, 0];
      const wanted = a.neutral + target * (target > 0 ? a.high - a.neutral : a.neutral - a.low);
      const far = pace > 0 ? pace / this.spec.rate : Infinity;
      this.values[i] += Math.min(far, Math.max(-far, wanted - this.values[i]));
    });
    // Use only values that a replay link can hold exactly.
    return stepped(this.spec, this.values);
  }
}
