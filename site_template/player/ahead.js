// A sensor's points ahead, drawn into the camera views as a lane on the ground: each camera is a pinhole.

/** @import {CameraSpec} from "../types" */
/** @import {Layout, Painter} from "./draw.js" */

/** Half the width of the lane, metres. */
const HALF = 0.7;
/** What lies nearer to a camera than this is cut off, metres. */
const NEAR = 0.5;

/** @param {string} tag @param {Record<string, string | number>} [attributes] */
export function svg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** Turns points on the ground into pixels of one camera. */
export class Pinhole {
  /** @param {CameraSpec} camera */
  constructor({ width, height, focal, place, yaw, pitch }) {
    this.width = width;
    this.height = height;
    this.focal = focal;
    this.place = place;
    this.yaw = { cos: Math.cos(yaw), sin: Math.sin(yaw) };
    this.pitch = { cos: Math.cos(pitch), sin: Math.sin(pitch) };
  }

  /** A point of the vehicle's frame as the camera sees it: depth, left and up, metres. @param {number} forward @param {number} left */
  see(forward, left) {
    const { place, yaw, pitch } = this;
    const [x, y, z] = [forward - place[0], left - place[1], -place[2]];
    const ahead = x * yaw.cos + y * yaw.sin;
    return [ahead * pitch.cos + z * pitch.sin, y * yaw.cos - x * yaw.sin, z * pitch.cos - ahead * pitch.sin];
  }

  /** Return the pixels of a polygon on the ground, as SVG points; "" where nothing of it is in front. @param {number[][]} corners forward and left, metres */
  polygon(corners) {
    const seen = corners.map(([forward, left]) => this.see(forward, left));
    let out = "";
    seen.forEach((to, i) => {
      const from = seen[(i || seen.length) - 1];
      if (from[0] >= NEAR !== to[0] >= NEAR) {
        const share = (NEAR - from[0]) / (to[0] - from[0]);
        out += this.pixel(NEAR, from[1] + share * (to[1] - from[1]), from[2] + share * (to[2] - from[2]));
      }
      if (to[0] >= NEAR) out += this.pixel(to[0], to[1], to[2]);
    });
    return out;
  }

  /** @param {number} depth @param {number} left @param {number} up */
  pixel(depth, left, up) {
    const x = this.width / 2 - (this.focal * left) / depth;
    const y = this.height / 2 - (this.focal * up) / depth;
    return `${x.toFixed(1)},${y.toFixed(1)} `;
  }
}

/** The edges of a lane along points, from the vehicle on: one polygon. @param {ArrayLike<number>} points forward and left by turns, metres */
export function lane(points) {
  /** @type {number[][]} */
  const left = [];
  /** @type {number[][]} */
  const right = [];
  let [fx, fy] = [0, 0];
  for (let i = 0; i + 1 < points.length; i += 2) {
    const [dx, dy] = [points[i] - fx, points[i + 1] - fy];
    const length = Math.hypot(dx, dy);
    // Points that repeat, as at a route's end, have no direction.
    if (length < 0.01) continue;
    const [nx, ny] = [(-dy / length) * HALF, (dx / length) * HALF];
    if (!left.length) {
      left.push([fx + nx, fy + ny]);
      right.push([fx - nx, fy - ny]);
    }
    [fx, fy] = [points[i], points[i + 1]];
    left.push([fx + nx, fy + ny]);
    right.push([fx - nx, fy - ny]);
  }
  return [...left, ...right.reverse()];
}

export class Ahead {
  constructor() {
    this.element = /** @type {SVGSVGElement} */ (svg("svg", { class: "wm-ahead", "aria-hidden": "true" }));
    /** @type {{pinhole: Pinhole, shape: SVGElement}[]} */
    this.views = [];
    /** What they were laid out for. @type {Layout | null} */
    this.layout = null;
    this.key = "";
  }

  /** Lay one picture over each pinhole camera, where the painter has it. @param {Painter} painter */
  lay({ spec: { cameras }, layout, canvas }) {
    const key = `${canvas.width} ${canvas.height}`;
    if (this.layout === layout && this.key === key) return;
    this.layout = layout;
    this.key = key;
    this.element.setAttribute("viewBox", `0 0 ${canvas.width} ${canvas.height}`);
    this.views = [];
    this.element.replaceChildren();
    cameras.forEach((camera, i) => {
      if (!(camera.focal > 0)) return;
      const { x, y, scale } = layout.places[i];
      const { width, height } = camera;
      // An inner svg cuts off what lies outside of it.
      const view = svg("svg", { x, y, width: scale * width, height: scale * height, viewBox: `0 0 ${width} ${height}` });
      const shape = /** @type {SVGElement} */ (svg("polygon"));
      view.append(shape);
      this.element.append(view);
      this.views.push({ pinhole: new Pinhole(camera), shape });
    });
  }

  /** @param {ArrayLike<number>} points forward and left by turns, metres */
  draw(points) {
    const corners = lane(points);
    for (const { pinhole, shape } of this.views) {
      const told = pinhole.polygon(corners);
      if (shape.getAttribute("points") !== told) shape.setAttribute("points", told);
    }
  }
}
