// Puts sim and model frames on one canvas at native size. The canvas blends; no loop over pixels.

/** @import {Mode, Spec} from "../types" */

/** Pixels between the halves of `split`, and between cameras. */
const GAP = 2;

export class Painter {
  /** @param {HTMLCanvasElement} canvas @param {Spec} spec */
  constructor(canvas, spec) {
    this.canvas = canvas;
    this.pen = pen(canvas);
    const { width, height } = spec.cameras[0];
    this.cameras = spec.cameras.length;
    this.width = width;
    this.height = height;
    /** Cameras below one another, as a frame's bytes lie. */
    this.sheets = { sim: this.sheet(), model: this.sheet() };
  }

  sheet() {
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height * this.cameras;
    return { canvas, pen: pen(canvas) };
  }

  /**
   * @param {Mode} mode @param {number} opacity of the model's frame in `overlay`
   * @param {Uint8ClampedArray<ArrayBuffer> | null} sim @param {Uint8ClampedArray<ArrayBuffer> | null} model
   */
  draw(mode, opacity, sim, model) {
    if (!sim) return;
    this.put("sim", sim);
    if (model) this.put("model", model);
    const view = this.cameras * (this.width + GAP) - GAP;
    const whole = mode === "split" ? 2 * view + GAP : view;
    if (this.canvas.width !== whole || this.canvas.height !== this.height) {
      this.canvas.width = whole;
      this.canvas.height = this.height;
    }
    const { pen } = this;
    pen.globalAlpha = 1;
    pen.globalCompositeOperation = "copy";
    this.lay(mode === "neural" ? "model" : "sim", 0);
    pen.globalCompositeOperation = "source-over";
    if (mode === "overlay") {
      pen.globalAlpha = opacity;
      this.lay("model", 0);
    } else if (mode === "split") {
      this.lay("model", view + GAP);
    } else if (mode === "difference") {
      pen.globalCompositeOperation = "difference";
      this.lay("model", 0);
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

  /** @param {"sim" | "model"} name @param {number} left */
  lay(name, left) {
    const { canvas } = this.sheets[name];
    for (let i = 0; i < this.cameras; i++) {
      const x = left + i * (this.width + GAP);
      this.pen.drawImage(canvas, 0, i * this.height, this.width, this.height, x, 0, this.width, this.height);
      // "copy" clears what lies beside it.
      if (this.pen.globalCompositeOperation === "copy") this.pen.globalCompositeOperation = "source-over";
    }
  }
}

/** @param {HTMLCanvasElement} canvas */
function pen(canvas) {
  // Small pictures that change every tick: the processor draws them faster than a round trip to the GPU.
  const found = canvas.getContext("2d", { willReadFrequently: true });
  if (!found) throw new Error("this browser gives the page no canvas");
  return found;
}
