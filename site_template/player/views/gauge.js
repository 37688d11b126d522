// One number as a dial, and the meters for dials and controls.

import { h, svg } from "../element/dom.js";

/** @import {Readings, Sensor} from "../../types" */

/** A dial's arc: from lower left over the top to lower right, three quarters of a circle. */
const ARC = "M 18.2 81.8 A 45 45 0 1 1 81.8 81.8";

/** A dial's mark, at the top: across the arc. */
const MARK = "M 50 -1 V 15";

/** "lead_distance": "Lead distance" @param {string} name */
const titled = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

/** Format a value with the decimals that suit its range. @param {number} value @param {number} range */
const inWords = (value, range) => value.toFixed(range >= 100 ? 0 : range >= 10 ? 1 : 2).replace(/^-(0(\.0+)?)$/, "$1");

/** A unit in the form for display. @param {string} unit */
const written = (unit) => (unit.startsWith("share") ? "%" : unit.split(",")[0].replace("^2", "²").replace("^3", "³"));

/** Does its value grow to the left, like the angles of a vehicle? @param {Sensor} sensor */
const leftward = ({ unit, low }) => unit.startsWith("rad") && low < 0;

/** One number of the world as a meter: for eyes in every frame, for screen readers now and then. */
class Meter {
  /**
   * @param {{name: string, low: number, high: number, unit: string, neutral?: number}} what
   * @param {boolean} leftward whether its value grows to the left @param {string} [meaning]
   */
  constructor({ name, low, high, unit, neutral }, leftward, meaning) {
    this.low = low;
    this.high = high;
    this.unit = written(unit);
    /** Shares are shown in percent. */
    this.scale = this.unit === "%" ? 100 : 1;
    /** The start of the bar or arc: the neutral value. */
    this.zero = this.share(neutral ?? Math.min(high, Math.max(low, 0)));
    this.text = h("span", { class: "wm-meter-value" });
    this.element = h(
      "div",
      { class: "wm-meter", role: "meter", "aria-label": titled(name), "aria-valuemin": low, "aria-valuemax": high, "aria-valuenow": 0, title: meaning },
      h("span", { class: "wm-meter-name" }, titled(name)),
      this.face(),
      h("span", { class: "wm-meter-told" }, this.text, this.unit && h("span", { class: "wm-meter-unit" }, ` ${this.unit}`)),
    );
    this.element.toggleAttribute("data-leftward", leftward);
    this.value = NaN;
    this.set(neutral ?? 0);
  }

  /** @param {number} value @returns {number} its place between low and high, 0 to 1 */
  share(value) {
    return Math.min(1, Math.max(0, (value - this.low) / (this.high - this.low)));
  }

  /** @returns {Element} */
  face() {
    throw new Error("a meter has a face");
  }

  /** Show a share of the face between two places, 0 to 1. @param {number} _from @param {number} _to */
  fill(_from, _to) {}

  /** @param {number} value NaN: unknown */
  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    const at = Number.isNaN(value) ? this.zero : this.share(value);
    this.fill(Math.min(at, this.zero), Math.max(at, this.zero));
    const text = this.words(value);
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  /** @param {number} value */
  words(value) {
    return Number.isNaN(value) ? "–" : inWords(this.scale * value, this.scale * (this.high - this.low));
  }

  /** Update the text for screen readers. @param {string} [more] */
  tell(more = "") {
    const text = `${this.text.textContent} ${this.unit}${more}`.trim();
    if (this.element.getAttribute("aria-valuetext") === text) return;
    this.element.setAttribute("aria-valuenow", String(Math.min(this.high, Math.max(this.low, this.value || 0))));
    this.element.setAttribute("aria-valuetext", text);
  }
}

class Dial extends Meter {
  face() {
    this.arc = svg("path", { d: ARC, pathLength: 100, class: "wm-dial-arc" });
    const face = svg("svg", { viewBox: "0 0 100 88", class: "wm-dial", "aria-hidden": "true" });
    this.sign = svg("path", { d: MARK, class: "wm-dial-mark", visibility: "hidden" });
    face.append(svg("path", { d: ARC, class: "wm-dial-track" }), this.arc, this.sign);
    return face;
  }

  /** Mark a second value; null: none. @param {number | null} value */
  mark(value) {
    this.marked = value;
    this.sign?.setAttribute("visibility", value === null ? "hidden" : "visible");
    if (value !== null) this.sign?.setAttribute("transform", `rotate(${(270 * this.share(value) - 135).toFixed(1)} 50 50)`);
  }

  tell() {
    const { marked } = this;
    super.tell(marked === null || marked === undefined ? "" : `; beside it ${this.words(marked)} ${this.unit}`);
  }

  /** @param {number} from @param {number} to */
  fill(from, to) {
    const length = 100 * (to - from);
    this.arc?.setAttribute("stroke-dasharray", `0 ${100 * from} ${length.toFixed(1)} 200`);
  }
}

/** A horizontal meter: the value of a control. */
export class Bar extends Meter {
  face() {
    this.bar = h("i", { class: "wm-bar-fill" });
    return h("span", { class: "wm-bar-track" }, this.bar);
  }

  /** @param {number} from @param {number} to */
  fill(from, to) {
    if (this.bar) this.bar.style.transform = `translateX(${100 * from}%) scaleX(${to - from})`;
  }
}

/** Can a gauge show this sensor? @param {Sensor} sensor */
export const fits = ({ shape }) => shape.every((size) => size === 1);

export class View {
  /** @param {Sensor} sensor */
  constructor(sensor) {
    this.name = `sensor.${sensor.name}.0`;
    this.dial = new Dial(sensor, leftward(sensor), sensor.meaning);
    this.element = this.dial.element;
  }

  /** @param {Readings} readings @param {Readings | null} [beside] */
  draw(readings, beside = null) {
    this.dial.set(readings.read(this.name));
    this.dial.mark(beside && beside.read(this.name));
  }

  /** Show no value. @param {Readings | null} beside */
  blank(beside) {
    this.dial.set(NaN);
    this.dial.mark(beside && beside.read(this.name));
  }

  /** Update the text for screen readers. */
  tell() {
    this.dial.tell();
  }
}
