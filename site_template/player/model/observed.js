// What a model is shown of its world and what it says of it: the values of sensors, by the name of a model's state.
//
// `state_sensors` holds all sensors of at most one dimension, one after the other; a sensor of several dimensions is
// the state `state_<its name>`. The frame is `state_frame`, and is kept apart.

/** @import {Model, Readings, Sensor, Spec} from "../../types" */

/** Values of sensors, by the name of the state that holds them. @typedef {Record<string, Float32Array<ArrayBuffer>>} Values */

export const FRAME = "state_frame";

/** @param {Pick<Sensor, "name" | "shape">} sensor */
export const stateOf = ({ name, shape }) => (shape.length > 1 ? `state_${name}` : "state_sensors");

/** @param {number[]} shape */
export const elements = (shape) => shape.reduce((a, b) => a * b, 1);

/** The sensors in one state, in their order. @param {Pick<Spec, "sensors">} spec @param {string} state */
export const sensorsIn = ({ sensors }, state) => sensors.filter((s) => stateOf(s) === state);

/** The states, other than the frame, in which any of these models sees the world. @param {Model[]} models */
export const seenBy = (models) => [...new Set(models.flatMap((m) => m.state.filter((s) => s.observed && s.input !== FRAME).map((s) => s.input)))];

/** The outputs in which a model says what sensors measure: by state. @param {Model} model @param {Pick<Spec, "sensors">} spec @returns {Record<string, string>} */
export function saidBy({ state, outputs }, { sensors }) {
  const found = new Map();
  for (const name of new Set(sensors.map(stateOf))) {
    const output = state.find((s) => s.input === name)?.output ?? name.replace("state_", "next_");
    if (outputs.some((t) => t.name === output)) found.set(name, output);
  }
  return Object.fromEntries(found);
}

/** What a model says, in the form that views read. @implements {Readings} */
export class Said {
  /** @param {Sensor[]} sensors of the world @param {Values} values */
  constructor(sensors, values) {
    this.values = values;
    /** The place of each sensor in its state. @type {Map<string, {state: string, first: number, size: number}>} */
    this.places = new Map();
    /** @type {Record<string, number>} */
    const ends = {};
    for (const s of sensors) {
      const [state, size] = [stateOf(s), elements(s.shape)];
      const first = ends[state] ?? 0;
      ends[state] = first + size;
      this.places.set(s.name, { state, first, size });
    }
    /** @type {number[] | null} */
    this.action = null;
  }

  /** @param {Pick<Sensor, "name">} sensor */
  knows({ name }) {
    return (this.places.get(name)?.state ?? "") in this.values;
  }

  /** @param {Pick<Sensor, "name">} sensor */
  view({ name }) {
    const { state, first, size } = this.places.get(name) ?? { state: "", first: 0, size: 0 };
    return Float64Array.from(this.values[state]?.subarray(first, first + size) ?? []);
  }

  /** @param {string} name such as "sensor.speed.0" */
  read(name) {
    const [, sensor, at] = name.split(".");
    return this.view({ name: sensor })[Number(at)] ?? NaN;
  }
}
