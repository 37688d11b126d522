// A view from above: the vehicle in the middle, ahead is up, with distance rings. Views of sensors draw on it.

import { h } from "../element/dom.js";

import { knows } from "./registry.js";

/** @import {Readings, SeenFromAbove, Sensor} from "../../types" */

/** The largest distance from the middle to the edge, in metres. */
const REACH = 40;
const RINGS = [10, 20, 30];
/** The vehicle in the middle, metres: the car of sims/driving/rig.py. */
const VEHICLE = { length: 4.2, width: 1.8 };
const INKS = ["fg", "quiet", "line", "accent"];
/** How much of their ink things have that are shown beside others. */
const FAINT = 0.35;

export class FromAbove {
  /** @param {(SeenFromAbove & {sensor: Sensor})[]} seen the layers, in their order */
  constructor(seen) {
    this.seen = [...seen].sort((a, b) => a.layer - b.layer);
    this.reach = Math.min(REACH, ...seen.map((s) => s.reach ?? REACH));
    const what = this.seen.map((s) => s.meaning).join(" and ");
    this.canvas = h("canvas", { class: "wm-scan", role: "img", "aria-label": `From above, rings in metres: ${what}` });
    this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    /** Pixels for each metre. */
    this.scale = 1;
    /** @type {Record<string, string>} */
    this.inks = {};
    this.scheme = "?";
  }

  /** Read the theme's current colours, because a canvas has no CSS variables. */
  ink() {
    const scheme = document.body.dataset.mdColorScheme ?? "";
    if (scheme === this.scheme) return;
    this.scheme = scheme;
    for (const name of INKS) {
      this.canvas.style.color = `var(--wm-${name})`;
      this.inks[name] = getComputedStyle(this.canvas).color;
    }
    this.canvas.style.color = "";
  }

  /** Give the canvas the pixels that it has on the screen, without blur. */
  fit() {
    const edge = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (edge && edge !== this.canvas.width) this.canvas.width = this.canvas.height = edge;
  }

  /** @param {Readings} readings @param {Readings | null} beside what is shown faintly beside them */
  draw(readings, beside) {
    this.ink();
    this.fit();
    const { pen, canvas } = this;
    const edge = canvas.width;
    const scale = (this.scale = edge / (2 * this.reach));
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, edge, edge);
    this.grid(edge / 2, scale);
    // From here on in metres: x forward is up, y left is left.
    pen.setTransform(0, -scale, -scale, 0, edge / 2, edge / 2);
    const { quiet, line } = this.inks;
    const faint = { pen, scale, inks: { fg: quiet, accent: quiet, quiet: line, line } };
    for (const one of this.seen) {
      pen.globalAlpha = FAINT;
      if (beside && knows(beside, one.sensor)) one.draw(faint, beside);
      pen.globalAlpha = 1;
      if (knows(readings, one.sensor)) one.draw(this, readings);
    }
    pen.fillStyle = this.inks.accent;
    pen.fillRect(-VEHICLE.length / 2, -VEHICLE.width / 2, VEHICLE.length, VEHICLE.width);
  }

  /** @param {number} middle @param {number} scale */
  grid(middle, scale) {
    const { pen, inks } = this;
    pen.strokeStyle = inks.line;
    pen.lineWidth = devicePixelRatio;
    pen.fillStyle = inks.quiet;
    pen.font = `${9 * devicePixelRatio}px system-ui, sans-serif`;
    for (const ring of RINGS) {
      if (ring >= this.reach) continue;
      pen.beginPath();
      pen.arc(middle, middle, ring * scale, 0, 2 * Math.PI);
      pen.stroke();
      // There is no room for labels close to the vehicle.
      if (ring * scale > 24 * devicePixelRatio) pen.fillText(`${ring}`, middle + 2 * devicePixelRatio, middle + ring * scale - 2 * devicePixelRatio);
    }
  }
}
