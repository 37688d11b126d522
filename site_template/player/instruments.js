// Under the picture of a world with sensors or axes: what is seen from above, dials, and the controls as given.

import { svg } from "./ahead.js";
import { h } from "./dom.js";
import { turned } from "./input.js";
import { Scan, shownAs } from "./scan.js";

/** @import {AxisSpec, SensorSpec, Spec} from "../types" */
/** @import {Game} from "./game.js" */

/** A dial's arc: from lower left over the top to lower right, three quarters of a circle. */
const ARC = "M 18.2 81.8 A 45 45 0 1 1 81.8 81.8";

/** "lead_distance": "Lead distance" @param {string} name */
const titled = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

/** As many decimals as the range makes sense of. @param {number} value @param {number} range */
const told = (value, range) => value.toFixed(range >= 100 ? 0 : range >= 10 ? 1 : 2).replace(/^-(0(\.0+)?)$/, "$1");

/** A unit as it is written. @param {string} unit */
const written = (unit) => (unit.startsWith("share") ? "%" : unit.split(",")[0].replace("^2", "²").replace("^3", "³"));

/** Is more of it to the left? So are the angles of a vehicle. @param {SensorSpec} sensor */
const leftward = ({ unit, low }) => unit.startsWith("rad") && low < 0;

/** One number of the world as a meter: what it says to eyes every frame, to screen readers now and then. */
class Meter {
  /**
   * @param {{name: string, low: number, high: number, unit: string, neutral?: number}} what
   * @param {boolean} leftward whether more of it is shown further to the left @param {string} [meaning]
   */
  constructor({ name, low, high, unit, neutral }, leftward, meaning) {
    this.low = low;
    this.high = high;
    this.unit = written(unit);
    /** Shares are told in percent. */
    this.scale = this.unit === "%" ? 100 : 1;
    /** Where the bar or arc begins: what is neither more nor less. */
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

  /** @param {number} value */
  set(value) {
    if (value === this.value) return;
    this.value = value;
    const at = this.share(value);
    this.fill(Math.min(at, this.zero), Math.max(at, this.zero));
    const text = told(this.scale * value, this.scale * (this.high - this.low));
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  /** Tell screen readers. */
  tell() {
    if (this.element.getAttribute("aria-valuetext") === `${this.text.textContent} ${this.unit}`.trim()) return;
    this.element.setAttribute("aria-valuenow", String(Math.min(this.high, Math.max(this.low, this.value))));
    this.element.setAttribute("aria-valuetext", `${this.text.textContent} ${this.unit}`.trim());
  }
}

class Dial extends Meter {
  face() {
    this.arc = svg("path", { d: ARC, pathLength: 100, class: "wm-dial-arc" });
    const face = svg("svg", { viewBox: "0 0 100 88", class: "wm-dial", "aria-hidden": "true" });
    face.append(svg("path", { d: ARC, class: "wm-dial-track" }), this.arc);
    return face;
  }

  /** @param {number} from @param {number} to */
  fill(from, to) {
    const length = 100 * (to - from);
    this.arc?.setAttribute("stroke-dasharray", `0 ${100 * from} ${length.toFixed(1)} 200`);
  }
}

class Bar extends Meter {
  face() {
    this.bar = h("i", { class: "wm-bar-fill" });
    return h("span", { class: "wm-bar-track" }, this.bar);
  }

  /** @param {number} from @param {number} to */
  fill(from, to) {
    if (this.bar) this.bar.style.transform = `translateX(${100 * from}%) scaleX(${to - from})`;
  }
}

export class Instruments {
  constructor() {
    this.element = h("div", { class: "wm-instruments", hidden: true });
    /** @type {Scan | null} */
    this.scan = null;
    /** @type {{sensor: SensorSpec, meter: Meter}[]} */
    this.gauges = [];
    /** @type {{axis: AxisSpec, meter: Bar}[]} */
    this.controls = [];
  }

  /** Make what a world's spec asks for. @param {Spec} spec */
  build(spec) {
    const [scan, path] = [shownAs(spec, "scan"), shownAs(spec, "path")];
    this.scan = scan || path ? new Scan(scan, path) : null;
    this.gauges = spec.sensors.filter((s) => s.show === "gauge").map((sensor) => ({ sensor, meter: new Dial(sensor, leftward(sensor), sensor.meaning) }));
    this.controls = spec.axes.map((axis) => ({ axis, meter: new Bar(axis, turned(axis)) }));
    this.element.replaceChildren(
      ...(this.scan ? [this.scan.canvas] : []),
      h("div", { class: "wm-gauges" }, ...this.gauges.map((g) => g.meter.element)),
      h("div", { class: "wm-controls" }, ...this.controls.map((c) => c.meter.element)),
    );
    this.element.hidden = !this.scan && !this.gauges.length && !this.controls.length;
  }

  /** Show what the sim shows now. @param {Game} game */
  draw(game) {
    if (this.element.hidden) return;
    this.scan?.draw(game);
    for (const { sensor, meter } of this.gauges) meter.set(game.read(`sensor.${sensor.name}.0`));
    this.controls.forEach(({ axis, meter }, i) => meter.set(game.action?.[i] ?? axis.neutral));
  }

  /** Tell screen readers: now and then, not every frame. */
  tell() {
    for (const { meter } of [...this.gauges, ...this.controls]) meter.tell();
  }
}
