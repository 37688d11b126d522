// A game as a link: its sim's hash, seed, scenario, run-length-encoded actions and end state. A link that
// `wmsite attack` made also names a model, and the mode in which to watch it.

import { MODES } from "../game/modes.js";

/** @import {Replay, Spec} from "../../types" */

/** The most ticks a link may carry: about nine hours at 30 Hz. */
const MOST_TICKS = 1_000_000;

/** The field of a game without actions, because an empty field means a damaged link. */
const NO_ACTIONS = "0";

/** Thrown for a link that is damaged, or not of this game. */
export class ReplayError extends Error {}

/**
 * Return a 64-bit digest of bytes as 16 hex digits: it tells states apart, and protects no secret.
 * @param {Uint8Array} bytes
 */
export function digest(bytes) {
  let a = 0xdeadbeef ^ bytes.length;
  let b = 0x41c6ce57 ^ bytes.length;
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 2654435761);
    b = Math.imul(b ^ byte, 1597334677);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return [a, b].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** @param {Uint8Array} bytes */
const toBase64Url = (bytes) =>
  btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

/** Decode the result of `toBase64Url`; null for anything else. @param {string} text */
function fromBase64Url(text) {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return toBase64Url(bytes) === text ? bytes : null;
  } catch {
    return null;
  }
}

/** Steps of an axis between its low and its high: they fit in a byte, so that a replay is exact. */
export const AXIS_STEPS = 254;

/**
 * Return the action with each axis at its nearest step: players and behaviours alike are limited to these.
 * @param {Spec} spec @param {number[]} action @returns {number[]}
 */
export const stepped = (spec, action) => (spec.actions.length ? action : fromBytes(spec, toBytes(spec, action)));

/** Is this one of the world's scenarios, alone or as "scenario/condition"? @param {Spec} spec @param {string} scenario */
export function hasScenario({ scenarios, conditions }, scenario) {
  const [name, condition, ...more] = scenario.split("/");
  return scenarios.includes(name) && !more.length && (condition === undefined || conditions.includes(condition));
}

/** Return the action's bytes: its index, or each axis as a step number. @param {Spec} spec @param {number[]} action */
const toBytes = (spec, action) =>
  spec.actions.length
    ? action
    : spec.axes.map(({ low, high }, i) => {
        const step = Math.round(((action[i] - low) / (high - low)) * AXIS_STEPS);
        return Math.min(AXIS_STEPS, Math.max(0, step));
      });

/** @param {Spec} spec @param {number[]} bytes @returns {number[]} the action in the sim's form */
const fromBytes = (spec, bytes) =>
  spec.actions.length
    ? bytes
    : spec.axes.map(({ low, high }, i) => Math.fround(low + ((high - low) * bytes[i]) / AXIS_STEPS));

/**
 * Return the replay as a URL fragment (without the #).
 * @param {Replay} replay @param {Spec} spec
 */
export function toFragment(replay, spec) {
  /** @type {number[]} */
  const out = [];
  for (let i = 0; i < replay.actions.length; ) {
    const now = toBytes(spec, replay.actions[i]);
    let run = 1;
    while (i + run < replay.actions.length && toBytes(spec, replay.actions[i + run]).join() === now.join()) run++;
    out.push(...now);
    // The run's length as a little-endian base-128 number.
    for (let left = run; ; left = Math.floor(left / 128)) {
      out.push(left >= 128 ? (left % 128) + 128 : left);
      if (left < 128) break;
    }
    i += run;
  }
  return new URLSearchParams({
    replay: replay.world,
    sim: replay.sim.slice(0, 16),
    seed: String(replay.seed),
    scenario: replay.scenario,
    actions: out.length ? toBase64Url(Uint8Array.from(out)) : NO_ACTIONS,
    // Last, and of fixed length, so that a cut link is always detected.
    end: replay.end,
  }).toString();
}

/** Return the family of the model that a fragment names, or null. @param {string} fragment */
export const modelOf = (fragment) => new URLSearchParams(fragment.replace(/^#/, "")).get("model");

/** Return the world of a fragment's replay, or null if it is no replay. @param {string} fragment */
export const replayedWorld = (fragment) => new URLSearchParams(fragment.replace(/^#/, "")).get("replay");

/** The model and the mode that a fragment names, if it does. @param {string} fragment @returns {Pick<Replay, "model" | "mode">} */
export function watched(fragment) {
  const found = new URLSearchParams(fragment.replace(/^#/, ""));
  const model = modelOf(fragment) ?? undefined;
  const mode = found.get("mode") ?? undefined;
  const known = MODES.find((one) => one === mode);
  if (mode !== undefined && !known) throw broken("mode");
  return { model, mode: known };
}

/**
 * Read the result of `toFragment`; throw a ReplayError if it is damaged.
 * @param {string} fragment @param {Spec} spec @returns {Replay}
 */
export function fromFragment(fragment, spec) {
  const found = new URLSearchParams(fragment.replace(/^#/, ""));
  /** @param {string} name @param {RegExp} form */
  const field = (name, form) => {
    const value = found.get(name) ?? "";
    if (!form.test(value)) throw broken(name);
    return value;
  };
  const scenario = field("scenario", /^.+$/);
  if (!hasScenario(spec, scenario))
    throw new ReplayError(`this replay link names a scenario this world does not have: "${scenario}"`);
  return {
    world: field("replay", /^.+$/),
    sim: field("sim", /^[0-9a-f]{16}$/),
    seed: Number(field("seed", /^\d{1,15}$/)),
    scenario,
    actions: readRuns(field("actions", /^[\w-]+$/), spec),
    end: field("end", /^[0-9a-f]{16}$/),
    ...watched(fragment),
  };
}

/** @param {string} name */
const broken = (name) => new ReplayError(`this replay link is not whole: "${name}" is missing or damaged`);

/** @param {string} text @param {Spec} spec */
function readRuns(text, spec) {
  const bytes = text === NO_ACTIONS ? new Uint8Array() : fromBase64Url(text);
  if (!bytes) throw broken("actions");
  const size = spec.actions.length ? 1 : spec.axes.length;
  const most = spec.actions.length ? spec.actions.length - 1 : AXIS_STEPS;
  /** @type {number[][]} */
  const actions = [];
  for (let i = 0; i < bytes.length; ) {
    const now = [...bytes.slice(i, i + size)];
    i += size;
    let run = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[i++];
      run += (byte % 128) * scale;
      if (!(byte >= 128)) break;
    }
    if (now.some((b) => b > most) || !(run >= 1 && actions.length + run <= MOST_TICKS))
      throw broken("actions");
    const action = fromBytes(spec, now);
    for (let k = 0; k < run; k++) actions.push(action);
  }
  return actions;
}
