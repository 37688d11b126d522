// A recording in the form that views read, one row at a time.

/** @import {Axis, Readings, Sensor} from "../../types" */

/** Values of a sensor, one row for each moment, in multiples of `scale` of its unit. @typedef {{rows: ArrayLike<number>[], scale: number}} Rows */

/** @implements {Readings} */
export class Recorded {
  /** @param {Axis[]} axes @param {Record<string, number[]>} lines sensors and axes with one number @param {Record<string, Rows>} arrays those with more */
  constructor(axes, lines, arrays) {
    this.axes = axes;
    this.lines = lines;
    this.arrays = arrays;
    this.at = 0;
  }

  /** @param {string} name */
  read(name) {
    return this.lines[name.split(".")[1]]?.[this.at] ?? 0;
  }

  /** @param {Pick<Sensor, "name">} sensor */
  view({ name }) {
    const { rows, scale } = this.arrays[name] ?? { rows: [], scale: 1 };
    return Float64Array.from(rows[this.at] ?? [], (value) => value * scale);
  }

  get action() {
    return this.axes.map((axis) => this.lines[axis.name]?.[this.at] ?? axis.neutral);
  }
}

/** Split a flat array into one row for each moment. @template {Uint8Array | Uint16Array} T @param {T} values @param {number} size of a row */
export const inRows = (values, size) =>
  Array.from({ length: values.length / size }, (_, row) => values.subarray(row * size, (row + 1) * size));
