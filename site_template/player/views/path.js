// Points ahead: from above, a line with a dot at each point; in the cameras, a lane on the ground.

import { svg } from "../element/dom.js";

/** @import {Board, Camera, Laid, Readings, Sensor} from "../../types" */

/** Half the width of the lane, metres. */
const HALF = 0.7;
/** The nearest visible distance from a camera, metres. */
const NEAR = 0.5;

/** Turns points on the ground into pixels of one camera. */
class Pinhole {
  /** @param {Camera} camera */
  constructor({ width, height, focal, place, yaw, pitch }) {
    this.width = width;
    this.height = height;
    this.focal = focal;
    this.place = place;
    this.yaw = { cos: Math.cos(yaw), sin: Math.sin(yaw) };
    this.pitch = { cos: Math.cos(pitch), sin: Math.sin(pitch) };
  }

  /** Convert a point of the vehicle's frame to the camera's: depth, left and up, metres. @param {number} forward @param {number} left */
  see(forward, left) {
    const { place, yaw, pitch } = this;
    const [x, y, z] = [forward - place[0], left - place[1], -place[2]];
    const ahead = x * yaw.cos + y * yaw.sin;
    return [ahead * pitch.cos + z * pitch.sin, y * yaw.cos - x * yaw.sin, z * pitch.cos - ahead * pitch.sin];
  }

  /** Return the pixels of a polygon on the ground, as SVG points; "" if no part of it is in front. @param {number[][]} corners forward and left, metres */
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

/** The edges of a lane along points, starting at the vehicle: one polygon. @param {ArrayLike<number>} points forward and left alternately, metres */
function lane(points) {
  /** @type {number[][]} */
  const left = [];
  /** @type {number[][]} */
  const right = [];
  let [fx, fy] = [0, 0];
  for (let i = 0; i + 1 < points.length; i += 2) {
    const [dx, dy] = [points[i] - fx, points[i + 1] - fy];
    const length = Math.hypot(dx, dy);
    // Repeated points, such as at a route's end, have no direction.
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

/** The lane in the pictures of all pinhole cameras: one drawing over each picture on the canvas. */
class Lane {
  /** @param {Sensor} sensor */
  constructor(sensor) {
    this.sensor = sensor;
    this.element = /** @type {SVGSVGElement} */ (svg("svg"));
    /** `beside`: the lane that is shown faintly beside it. @type {{pinhole: Pinhole, shape: SVGElement, beside: SVGElement}[]} */
    this.pictures = [];
    /** The layout that they were made for. @type {Laid["layout"] | null} */
    this.layout = null;
    this.key = "";
  }

  /** @param {Laid} laid */
  lay({ cameras, layout, canvas }) {
    const key = `${canvas.width} ${canvas.height}`;
    if (this.layout === layout && this.key === key) return;
    this.layout = layout;
    this.key = key;
    this.element.setAttribute("viewBox", `0 0 ${canvas.width} ${canvas.height}`);
    this.pictures = [];
    this.element.replaceChildren();
    cameras.forEach((camera, i) => {
      if (!(camera.focal > 0)) return;
      const { x, y, scale } = layout.places[i];
      const { width, height } = camera;
      // An inner svg clips everything outside of it.
      const picture = svg("svg", { x, y, width: scale * width, height: scale * height, viewBox: `0 0 ${width} ${height}` });
      const [beside, shape] = [svg("polygon", { class: "wm-beside" }), svg("polygon")];
      picture.append(beside, shape);
      this.element.append(picture);
      this.pictures.push({ pinhole: new Pinhole(camera), shape, beside });
    });
  }

  /** @param {Readings} readings @param {Readings | null} beside */
  draw(readings, beside) {
    const lanes = [readings, beside].map((said) => (said ? lane(said.view(this.sensor)) : []));
    for (const { pinhole, ...shapes } of this.pictures)
      [shapes.shape, shapes.beside].forEach((shape, i) => {
        const points = pinhole.polygon(lanes[i]);
        if (shape.getAttribute("points") !== points) shape.setAttribute("points", points);
      });
  }
}

/** Can a path view show this sensor? @param {Sensor} sensor */
export const fits = ({ shape }) => shape.length === 2 && shape[1] === 2;

export class View {
  /** @param {Sensor} sensor */
  constructor(sensor) {
    this.above = {
      layer: 1,
      meaning: "the points ahead",
      draw: (/** @type {Board} */ board, /** @type {Readings} */ readings) => this.line(board, readings.view(sensor)),
    };
    this.over = new Lane(sensor);
  }

  /** @param {Board} board @param {Float64Array} points forward and left alternately, metres */
  line({ pen, inks, scale }, points) {
    const width = (2 * devicePixelRatio) / scale;
    pen.strokeStyle = pen.fillStyle = inks.accent;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(0, 0);
    for (let i = 0; i + 1 < points.length; i += 2) pen.lineTo(points[i], points[i + 1]);
    pen.stroke();
    for (let i = 0; i + 1 < points.length; i += 2) pen.fillRect(points[i] - width, points[i + 1] - width, 2 * width, 2 * width);
  }
}
