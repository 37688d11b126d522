// Draws sim and model frames on one canvas at native size. The canvas blends them; no loop over pixels.

/** @import {Camera, Mode, Spec} from "../../types" */

/** Pixels between the halves of `split`, and between cameras. */
const GAP = 2;
/** The part of its size that a picture may lose so that all pixels are equal. */
const EVEN = 0.95;

/** The position of one camera's picture in the view, and its scale. @typedef {{x: number, y: number, scale: number}} Place */
/** A view of all cameras, in pixels: `places` are in the order of the spec. @typedef {{width: number, height: number, places: Place[]}} Layout */

/** The plane that each camera of a frame has, in pixels: as large as the largest; each draws into the top left corner of its own. @param {Pick<Camera, "height" | "width">[]} cameras */
export const plane = (cameras) => ({ width: Math.max(...cameras.map((c) => c.width)), height: Math.max(...cameras.map((c) => c.height)) });

/** The bytes of a frame. @param {Camera[]} cameras */
export const frameSize = (cameras) => cameras.length * plane(cameras).width * plane(cameras).height * 4;

/**
 * Lay out a world's cameras in a row, from left to right by their directions; the one that looks ahead is half as
 * large again. In a narrow view, it lies above the others. Plain screens keep their order.
 * builder/site/camera_layout.py uses the same layout for strips.
 * @param {Camera[]} cameras @param {boolean} narrow @returns {Layout}
 */
export function arrange(cameras, narrow) {
  const order = cameras.map((_, i) => i).sort((a, b) => cameras[b].yaw - cameras[a].yaw);
  const front = cameras.reduce((best, c, i) => (Math.abs(c.yaw) < Math.abs(cameras[best].yaw) ? i : best), 0);
  const around = cameras.some((c) => c.yaw !== cameras[0].yaw);
  /** @type {Place[]} */
  const places = [];
  if (around && narrow) {
    const others = order.filter((i) => i !== front);
    const { width, height } = cameras[front];
    const row = others.reduce((x, i) => x + cameras[i].width + GAP, -GAP);
    const scale = Math.max(1, Math.floor(row / width));
    const whole = Math.max(row, scale * width);
    places[front] = { x: Math.floor((whole - scale * width) / 2), y: 0, scale };
    let x = Math.floor((whole - row) / 2);
    for (const i of others) {
      places[i] = { x, y: scale * height + GAP, scale: 1 };
      x += cameras[i].width + GAP;
    }
    return { width: whole, height: scale * height + GAP + Math.max(...others.map((i) => cameras[i].height)), places };
  }
  // Whole pixels: factor two for each of the others, three for the one ahead.
  const [large, small] = around ? [3, 2] : [1, 1];
  const scales = cameras.map((_, i) => (i === front ? large : small));
  const height = Math.max(...cameras.map((c, i) => scales[i] * c.height));
  let x = 0;
  for (const i of order) {
    places[i] = { x, y: Math.floor((height - scales[i] * cameras[i].height) / 2), scale: scales[i] };
    x += scales[i] * cameras[i].width + GAP;
  }
  return { width: x - GAP, height, places };
}

/** The start of the other half of `split`. @param {Layout} layout @param {boolean} split @param {boolean} stacked */
const beside = ({ width, height }, split, stacked) => ({
  right: split && !stacked ? width + GAP : 0,
  down: split && stacked ? height + GAP : 0,
});

/** The cameras of a recording on a canvas, with the layout of a game. */
export class Pictures {
  /** @param {Camera[]} cameras @param {string} label */
  constructor(cameras, label) {
    this.cameras = cameras;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "wm-canvas";
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", label);
    this.pen = pen(this.canvas);
    this.layout = arrange(cameras, false);
  }

  /**
   * Draw one moment.
   * @param {boolean} narrow @param {(camera: number) => [image: CanvasImageSource, x: number, y: number]} picture of a camera: its position in an image
   */
  draw(narrow, picture) {
    const { canvas, pen, cameras } = this;
    const { width, height, places } = arrange(cameras, narrow);
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      this.layout = { width, height, places };
    }
    pen.imageSmoothingEnabled = false;
    cameras.forEach((camera, i) => {
      const [image, left, top] = picture(i);
      const { x, y, scale } = places[i];
      pen.drawImage(image, left, top, camera.width, camera.height, x, y, scale * camera.width, scale * camera.height);
    });
  }
}

export class Painter {
  /** @param {HTMLCanvasElement} canvas @param {Spec} spec */
  constructor(canvas, spec) {
    this.canvas = canvas;
    this.pen = pen(canvas);
    this.spec = spec;
    this.plane = plane(spec.cameras);
    /** The available space on the page, in CSS pixels. */
    this.room = { width: 0, height: 0 };
    this.layout = arrange(spec.cameras, false);
    /** Is one half of `split` above the other? */
    this.stacked = false;
    /** Cameras below one another, in the byte order of a frame. */
    this.sheets = { sim: this.sheet(), model: this.sheet() };
  }

  sheet() {
    const canvas = document.createElement("canvas");
    canvas.width = this.plane.width;
    canvas.height = this.plane.height * this.spec.cameras.length;
    return { canvas, pen: pen(canvas) };
  }

  /**
   * Choose the layout in which the camera that looks ahead is as large as the room allows; and the same for the halves of `split`.
   * @param {boolean} split
   */
  fit(split) {
    const { cameras } = this.spec;
    const { width, height } = this.room;
    let best = 0;
    for (const narrow of [false, true])
      for (const stacked of split ? [false, true] : [false]) {
        const layout = arrange(cameras, narrow);
        const { right, down } = beside(layout, split, stacked);
        const ahead = Math.max(...layout.places.map((p) => p.scale));
        const large = ahead * Math.min(width / (layout.width + right), height / (layout.height + down));
        // The first layout stays unless another is clearly larger.
        if (best && large <= 1.05 * best) continue;
        best = large;
        this.layout = layout;
        this.stacked = stacked;
      }
  }

  /** Set the canvas's size on the page: whole screen pixels for each pixel, if that costs little, so that all are equal. */
  size() {
    const { canvas, room } = this;
    const scale = Math.min(room.width / canvas.width, room.height / canvas.height);
    if (!(scale > 0)) return;
    const dots = scale * devicePixelRatio;
    const even = Math.floor(dots) >= EVEN * dots ? Math.floor(dots) / devicePixelRatio : scale;
    for (const [name, pixels] of /** @type {const} */ ([["width", canvas.width], ["height", canvas.height]])) {
      const size = `${Math.round(100 * pixels * even) / 100}px`;
      if (canvas.style[name] !== size) canvas.style[name] = size;
    }
  }

  /**
   * @param {Mode} mode @param {number} opacity of the model's frame in `overlay`
   * @param {Uint8ClampedArray<ArrayBuffer> | null} sim @param {Uint8ClampedArray<ArrayBuffer> | null} model
   */
  draw(mode, opacity, sim, model) {
    if (!sim) return;
    this.put("sim", sim);
    if (model) this.put("model", model);
    this.fit(mode === "split");
    const { width, height } = this.layout;
    const { right, down } = beside(this.layout, mode === "split", this.stacked);
    if (this.canvas.width !== width + right || this.canvas.height !== height + down) {
      this.canvas.width = width + right;
      this.canvas.height = height + down;
    }
    this.size();
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
      // Doubled twice: a difference of 64 levels has full brightness.
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
    this.layout.places.forEach(({ x, y, scale }, i) => {
      const { width, height } = this.spec.cameras[i];
      this.pen.drawImage(canvas, 0, i * this.plane.height, width, height, right + x, down + y, scale * width, scale * height);
    });
  }
}

/** @param {HTMLCanvasElement} canvas */
function pen(canvas) {
  // Small pictures that change every tick: drawing with the processor is faster than a round trip to the GPU.
  const found = canvas.getContext("2d", { willReadFrequently: true });
  if (!found) throw new Error("this browser gives the page no canvas");
  return found;
}
