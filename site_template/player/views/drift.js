// The drift between the model's frame and the sim's as a line: the last seconds, the newest on the right.

import { calm } from "../element/browser-features.js";
import { h, svg } from "../element/dom.js";

/** @import {Samples} from "../game/loop.js" */

export const SECONDS = 10;
/** The smallest range of the full height, in levels of 0-255, so that noise does not look like drift. */
const LEAST = 4;
const HEIGHT = 100;
/** With reduced motion, the shortest time between two updates of the line, in ms. */
const CALM = 1000;

export class DriftLine {
  constructor() {
    this.area = svg("path", { class: "wm-drift-area" });
    this.line = svg("path", { class: "wm-drift-path" });
    this.svg = svg("svg", { role: "img", preserveAspectRatio: "none" });
    this.svg.append(this.area, this.line);
    this.top = h("span", { class: "wm-drift-top", "aria-hidden": "true" });
    this.value = h("span", { class: "wm-drift-value" });
    this.element = h(
      "div",
      {
        class: "wm-drift",
        hidden: true,
        title: "How far the model's frame is from the simulator's: root mean square, in levels of 0 to 255",
      },
      h("span", {}, "Drift"),
      h("div", { class: "wm-drift-plot" }, this.svg, this.top),
      this.value,
    );
    this.drawn = 0;
  }

  /** @param {Samples} drifts one of each tick, NaN: none @param {number | null} drift the newest @param {boolean} moving */
  draw(drifts, drift, moving) {
    const now = performance.now();
    if (moving && now - this.drawn < CALM && calm()) return;
    this.drawn = now;
    const size = drifts.values.length;
    const values = drifts.ordered();
    const most = values.reduce((a, b) => (b > a ? b : a), 0);
    // Powers of two, so that the scale does not jitter.
    const top = 2 ** Math.ceil(Math.log2(Math.max(LEAST, most)));
    /** Connected points; without a drift, the line has a gap. @type {string[][]} */
    const pieces = [[]];
    values.forEach((value, i) => {
      if (Number.isNaN(value)) pieces.push([]);
      else pieces[pieces.length - 1].push(`${size - values.length + i} ${(HEIGHT * (1 - value / top)).toFixed(1)}`);
    });
    const drawn = pieces.filter((piece) => piece.length > 1);
    /** @param {string} point */
    const ground = (point) => `${point.split(" ")[0]} ${HEIGHT}`;
    this.svg.setAttribute("viewBox", `0 0 ${Math.max(1, size - 1)} ${HEIGHT}`);
    this.line.setAttribute("d", drawn.map((piece) => `M${piece.join("L")}`).join(""));
    this.area.setAttribute("d", drawn.map((p) => `M${ground(p[0])}L${p.join("L")}L${ground(p[p.length - 1])}Z`).join(""));
    this.value.textContent = drift === null ? "–" : `${drift.toFixed(1)} rms`;
    this.top.textContent = drawn.length ? String(top) : "";
    this.svg.setAttribute(
      "aria-label",
      drift === null
        ? "Drift of the model against the simulator: none is measured now"
        : `Drift of the model against the simulator: now ${drift.toFixed(1)}, at most ${most.toFixed(1)} levels rms in ${SECONDS} s`,
    );
  }
}
