// What a range sensor sees, from above: the vehicle in the middle, ahead is up, a ring every so many metres.

import { h } from "./dom.js";

/** @import {SensorSpec, Spec} from "../types" */
/** @import {Game} from "./game.js" */

/** The most metres from the middle to the edge. */
const REACH = 40;
const RINGS = [10, 20, 30];
/** Higher than this above the ground is no ground, metres. */
const GROUND = 0.3;
/** The vehicle in the middle, metres. */
const VEHICLE = { length: 4.4, width: 1.8 };
const INKS = ["fg", "quiet", "line", "accent"];

export class Scan {
  /** @param {SensorSpec | undefined} scan @param {SensorSpec | undefined} path */
  constructor(scan, path) {
    this.scan = scan;
    this.path = path;
    this.reach = Math.min(REACH, scan?.high ?? REACH);
    const what = [scan && "what the range sensor sees", path && "the points ahead"].filter(Boolean).join(" and ");
    this.canvas = h("canvas", { class: "wm-scan", role: "img", "aria-label": `From above, rings in metres: ${what}` });
    this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const [, columns] = scan?.shape ?? [0, 0];
    const azimuths = Array.from({ length: columns }, (_, k) => Math.PI - (2 * Math.PI * (k + 0.5)) / columns);
    this.cos = Float64Array.from(azimuths, Math.cos);
    this.sin = Float64Array.from(azimuths, Math.sin);
    this.across = Float64Array.from(scan?.elevations ?? [], Math.cos);
    this.up = Float64Array.from(scan?.elevations ?? [], Math.sin);
    /** @type {Record<string, string>} */
    this.inks = {};
    this.scheme = "?";
  }

  /** Take the theme's colours as they are now: a canvas knows no variables. */
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

  /** As many pixels as it has on the screen: no blur. */
  fit() {
    const edge = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (edge && edge !== this.canvas.width) this.canvas.width = this.canvas.height = edge;
  }

  /** @param {Game} game */
  draw(game) {
    this.ink();
    this.fit();
    const { pen, canvas, reach } = this;
    const edge = canvas.width;
    const scale = edge / (2 * reach);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, edge, edge);
    this.grid(edge / 2, scale);
    // From here on metres: x forward is up, y left is left.
    pen.setTransform(0, -scale, -scale, 0, edge / 2, edge / 2);
    if (this.scan) this.points(game.view(this.scan), Math.max(2 * devicePixelRatio, 0.35 * scale) / scale);
    if (this.path) this.line(game.view(this.path), (2 * devicePixelRatio) / scale);
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
      // Close to the vehicle there is no room for words.
      if (ring * scale > 24 * devicePixelRatio) pen.fillText(`${ring}`, middle + 2 * devicePixelRatio, middle + ring * scale - 2 * devicePixelRatio);
    }
  }

  /** Draw each return as a small square: the ground pale, what stands on it dark. @param {Float64Array} ranges metres @param {number} size metres */
  points(ranges, size) {
    const { pen, inks, across, up, cos, sin } = this;
    const [forward, left, height] = /** @type {SensorSpec} */ (this.scan).place;
    const columns = cos.length;
    for (const ground of [true, false]) {
      pen.fillStyle = ground ? inks.line : inks.fg;
      for (let ring = 0; ring < across.length; ring++) {
        for (let k = 0, at = ring * columns; k < columns; k++, at++) {
          const range = ranges[at];
          if (!(range > 0) || height + range * up[ring] < GROUND !== ground) continue;
          const flat = range * across[ring];
          pen.fillRect(forward + flat * cos[k] - size / 2, left + flat * sin[k] - size / 2, size, size);
        }
      }
    }
  }

  /** @param {Float64Array} points forward and left by turns, metres @param {number} width metres */
  line(points, width) {
    const { pen, inks } = this;
    pen.strokeStyle = pen.fillStyle = inks.accent;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(0, 0);
    for (let i = 0; i + 1 < points.length; i += 2) pen.lineTo(points[i], points[i + 1]);
    pen.stroke();
    for (let i = 0; i + 1 < points.length; i += 2) pen.fillRect(points[i] - width, points[i + 1] - width, 2 * width, 2 * width);
  }
}

/** The sensor that is shown so, if the world has one. @param {Spec} spec @param {SensorSpec["show"]} show */
export const shownAs = (spec, show) => spec.sensors.find((s) => s.show === show);
