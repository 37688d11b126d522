// Puts sim and model frames on one canvas at native size. The canvas blends; no loop over pixels.

/** @import {CameraSpec, Mode, Spec} from "../types" */

/** Pixels between the halves of `split`, and between cameras. */
const GAP = 2;

/** Where one camera's picture lies in the view, and how many times its size it is. @typedef {{x: number, y: number, scale: number}} Place */
/** A view of all cameras, in pixels: `places` are in the order of the spec. @typedef {{width: number, height: number, places: Place[]}} Layout */

/**
 * Lay out a world's cameras: in a row from left to right as they look, the one that looks ahead half
 * as large again. Where it is narrow, it lies over the others. Plain screens stand in their own order.
 * Strips of builder/strip.py are laid out alike.
 * @param {CameraSpec[]} cameras @param {boolean} narrow @returns {Layout}
 */
export function arrange(cameras, narrow) {
  const { width, height } = cameras[0];
  const order = cameras.map((_, i) => i).sort((a, b) => cameras[b].yaw - cameras[a].yaw);
  const front = cameras.reduce((best, c, i) => (Math.abs(c.yaw) < Math.abs(cameras[best].yaw) ? i : best), 0);
  const around = cameras.some((c) => c.yaw !== cameras[0].yaw);
  /** @type {Place[]} */
  const places = [];
  if (around && narrow) {
    const others = order.filter((i) => i !== front);
    const whole = others.length * (width + GAP) - GAP;
    const scale = Math.max(1, Math.floor(whole / width));
    places[front] = { x: (whole - scale * width) / 2, y: 0, scale };
    others.forEach((i, k) => (places[i] = { x: k * (width + GAP), y: scale * height + GAP, scale: 1 }));
    return { width: whole, height: (scale + 1) * height + GAP, places };
  }
  // Whole pixels: two for each of the others, three for the one ahead.
  const [large, small] = around ? [3, 2] : [1, 1];
  let x = 0;
  for (const i of order) {
    const scale = i === front ? large : small;
    places[i] = { x, y: ((large - scale) * height) / 2, scale };
    x += scale * width + GAP;
  }
  return { width: x - GAP, height: large * height, places };
}

export class Painter {
  /** @param {HTMLCanvasElement} canvas @param {Spec} spec */
  constructor(canvas, spec) {
    this.canvas = canvas;
    this.pen = pen(canvas);
    this.spec = spec;
    const { width, height } = spec.cameras[0];
    this.width = width;
    this.height = height;
    this.layout = arrange(spec.cameras, false);
    /** Cameras below one another, as a frame's bytes lie. */
    this.sheets = { sim: this.sheet(), model: this.sheet() };
  }

  sheet() {
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height * this.spec.cameras.length;
    return { canvas, pen: pen(canvas) };
  }

  /** Is the stage narrow? @param {boolean} narrow */
  fit(narrow) {
    this.layout = arrange(this.spec.cameras, narrow);
  }

  /** Are the halves of `split` one over the other? */
  get stacked() {
    return this.layout.width > 2 * this.layout.height;
  }

  /**
   * @param {Mode} mode @param {number} opacity of the model's frame in `overlay`
   * @param {Uint8ClampedArray<ArrayBuffer> | null} sim @param {Uint8ClampedArray<ArrayBuffer> | null} model
   */
  draw(mode, opacity, sim, model) {
    if (!sim) return;
    this.put("sim", sim);
    if (model) this.put("model", model);
    const { width, height } = this.layout;
    const [right, down] = mode !== "split" ? [0, 0] : this.stacked ? [0, height + GAP] : [width + GAP, 0];
    if (this.canvas.width !== width + right || this.canvas.height !== height + down) {
      this.canvas.width = width + right;
      this.canvas.height = height + down;
    }
    const { pen } = this;
    pen.imageSmoothingEnabled = false;
    pen.globalAlpha = 1;
    pen.globalCompositeOperation = "source-over";
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.lay(mode === "neural" ? "model" : "sim", 0, 0);
    if (mode === "overlay") {
      pen.globalAlpha = opacity;
      this.lay("model", 0, 0);
    } else if (mode === "split") {
      this.lay("model", right, down);
    } else if (mode === "difference") {
      pen.globalCompositeOperation = "difference";
      this.lay("model", 0, 0);
      // Twice doubled: a difference of 64 levels is as bright as it gets.
      pen.globalCompositeOperation = "lighter";
      for (let i = 0; i < 2; i++) pen.drawImage(this.canvas, 0, 0);
    }
  }

  /** @param {"sim" | "model"} name @param {Uint8ClampedArray<ArrayBuffer>} frame */
  put(name, frame) {
    const { canvas, pen } = this.sheets[name];
    if (frame.length === canvas.width * canvas.height * 4)
      pen.putImageData(new ImageData(frame, canvas.width, canvas.height), 0, 0);
  }

  /** @param {"sim" | "model"} name @param {number} right @param {number} down */
  lay(name, right, down) {
    const { canvas } = this.sheets[name];
    const { width, height } = this;
    this.layout.places.forEach(({ x, y, scale }, i) =>
      this.pen.drawImage(canvas, 0, i * height, width, height, right + x, down + y, scale * width, scale * height),
    );
  }
}

/** @param {HTMLCanvasElement} canvas */
function pen(canvas) {
  // Small pictures that change every tick: the processor draws them faster than a round trip to the GPU.
  const found = canvas.getContext("2d", { willReadFrequently: true });
  if (!found) throw new Error("this browser gives the page no canvas");
  return found;
}
