// <wm-sample>: plays a window of a recording, all modalities in step, as the player shows a game.
// Until it is asked for, it is a picture and a button, and loads nothing.

import { Ahead } from "./ahead.js";
import { h, icon } from "./dom.js";
import { arrange } from "./draw.js";
import { Instruments } from "./instruments.js";
import { shownAs } from "./scan.js";

/** @import {Readings, Sample, SensorSpec, Spec} from "../types" */

/** As view.js has it. */
const NARROW = 600;
/** Where motion is to be reduced, the picture changes so often at the most, in ms. */
const AGAIN = 1000;

/** One row of a sample at a time, as instruments read it. @implements {Readings} */
class Row {
  /** @param {Sample} told */
  constructor(told) {
    this.told = told;
    this.at = 0;
    /** @type {Record<string, Uint8Array>} */
    this.scans = Object.fromEntries(
      Object.entries(told.scans).map(([name, data]) => [name, Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]),
    );
  }

  /** @param {string} name */
  read(name) {
    return this.told.lines[name.split(".")[1]]?.[this.at] ?? 0;
  }

  /** @param {SensorSpec} sensor */
  view({ name, shape, high }) {
    const size = shape.reduce((a, b) => a * b, 1);
    const scan = this.scans[name]?.subarray(this.at * size, (this.at + 1) * size);
    if (scan) return Float64Array.from(scan, (value) => (value * high) / 255);
    return Float64Array.from(this.told.paths[name]?.[this.at] ?? [], (cm) => cm / 100);
  }

  get action() {
    return this.told.spec.axes.map((axis) => this.told.lines[axis.name]?.[this.at] ?? axis.neutral);
  }
}

/** The one that plays: another stops it. @type {WmSample | null} */
let playing = null;

class WmSample extends HTMLElement {
  connectedCallback() {
    this.button = /** @type {HTMLButtonElement | null} */ (this.querySelector(".wm-sample-load"));
    if (!this.button) return;
    this.button.disabled = false;
    this.button.addEventListener("click", () => void this.load());
  }

  async load() {
    const { button } = this;
    if (!button || button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    this.querySelector(".wm-absent")?.remove();
    try {
      const image = new Image();
      image.src = this.getAttribute("strip") ?? "";
      const [answer] = await Promise.all([fetch(this.getAttribute("src") ?? ""), image.decode()]);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.build(await answer.json(), image);
      this.play();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      button.before(h("p", { class: "wm-absent", role: "alert" }, `This sample could not be loaded (${why}). Try again.`));
    } finally {
      button.ariaBusy = "false";
    }
  }

  /** Put what plays in the place of the picture and the button. @param {Sample} told @param {HTMLImageElement} image */
  build(told, image) {
    const { cameras } = told.spec;
    this.told = told;
    this.image = image;
    this.row = new Row(told);
    this.canvas = h("canvas", { class: "wm-canvas", role: "img", "aria-label": `The cameras ${told.cameras.join(", ")}` });
    this.ahead = new Ahead();
    this.path = shownAs(/** @type {Spec} */ (told.spec), "path");
    this.instruments = new Instruments();
    this.instruments.build(/** @type {Spec} */ (told.spec));
    this.toggle = h("button", { type: "button", class: "wm-button", onclick: () => (playing === this ? this.stop() : this.play()) });
    const last = told.about.frames - 1;
    this.slider = h("input", { type: "range", min: 0, max: last, step: 1, value: 0, "aria-label": "Time", oninput: () => {
      this.stop();
      this.show(Number(this.slider?.value));
    } });
    this.clock = h("span", { class: "wm-sample-clock", "aria-hidden": "true" });
    const marks = told.events.map(({ frame, last: to, name }) => {
      const mark = h("i", { title: name.replaceAll("_", " ") });
      mark.style.left = `${(100 * frame) / last}%`;
      mark.style.width = `${(100 * (Math.min(to, last) - frame)) / last}%`;
      return mark;
    });
    this.line = h("p", { class: "wm-sample-line" });
    this.querySelector(".wm-sample-stage")?.replaceChildren(this.canvas, this.ahead.element);
    this.button?.replaceWith(
      h("div", { class: "wm-sample-bar", role: "group", "aria-label": this.getAttribute("label") }, this.toggle,
        h("span", { class: "wm-sample-track" }, this.slider, h("span", { class: "wm-sample-marks", "aria-hidden": "true" }, ...marks)), this.clock),
      this.line,
      this.instruments.element,
    );
    this.face();
    this.toggle.focus({ preventScroll: true });
    this.offsets = cameras.map((camera) => {
      const before = told.cameras.slice(0, told.cameras.indexOf(camera.name));
      return before.reduce((x, name) => x + (cameras.find((c) => c.name === name)?.width ?? 0), 0);
    });
    new ResizeObserver(() => this.show(this.row?.at ?? 0)).observe(this);
    new MutationObserver(() => this.show(this.row?.at ?? 0)).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  }

  /** What the button does now. */
  face() {
    const on = playing === this;
    this.toggle?.replaceChildren(icon(on ? "pause" : "play"));
    this.toggle?.setAttribute("aria-label", on ? "Pause" : "Play");
  }

  play() {
    playing?.stop();
    playing = this;
    this.face();
    const { told, row } = this;
    if (!told || !row) return;
    const { rate, frames } = told.about;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const from = row.at >= frames - 1 ? 0 : row.at;
    const began = performance.now();
    let shown = -Infinity;
    /** @param {number} time */
    const tick = (time) => {
      if (playing !== this || !this.isConnected) return;
      const at = Math.min(frames - 1, from + Math.floor((Math.max(0, time - began) / 1000) * rate));
      const end = at >= frames - 1;
      if ((at !== row.at || shown < 0) && (end || !calm || time - shown >= AGAIN)) {
        this.show(at);
        shown = time;
      }
      if (end) this.stop();
      else requestAnimationFrame(tick);
    };
    tick(began);
  }

  stop() {
    if (playing === this) playing = null;
    this.face();
    this.instruments?.tell();
  }

  /** Show one row, all of it. @param {number} at */
  show(at) {
    const { told, row, canvas, image, slider, offsets } = this;
    if (!told || !row || !canvas || !image || !slider || !offsets) return;
    row.at = at;
    const { cameras } = told.spec;
    const layout = arrange(cameras, this.clientWidth < NARROW);
    if (canvas.width !== layout.width || canvas.height !== layout.height) {
      canvas.width = layout.width;
      canvas.height = layout.height;
    }
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.imageSmoothingEnabled = false;
    cameras.forEach(({ width, height }, i) => {
      const { x, y, scale } = layout.places[i];
      pen.drawImage(image, offsets[i], at * height, width, height, x, y, scale * width, scale * height);
    });
    if (this.path) {
      this.ahead?.lay({ spec: told.spec, layout, canvas });
      this.ahead?.draw(row.view(this.path));
    }
    this.instruments?.draw(row);
    const seconds = (told.about.start + at / told.about.rate).toFixed(1);
    const happens = told.events.filter((e) => e.frame <= at && at <= e.last).map((e) => e.name.replaceAll("_", " "));
    const line = [...this.telemetry(), told.pressed[at], ...happens].filter(Boolean).join(" · ");
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", `${seconds} seconds${happens.length ? `, ${happens.join(", ")}` : ""}`);
    if (this.clock) this.clock.textContent = `${seconds} s`;
    if (this.line) this.line.textContent = line;
  }

  /** What no dial shows, in words. */
  telemetry() {
    const { told, row } = this;
    if (!told || !row) return [];
    return told.spec.sensors
      .filter((s) => s.show === "" && told.lines[s.name])
      .map((s) => `${s.name.replaceAll("_", " ")} ${told.lines[s.name][row.at].toFixed(2).replace("-", "\u2212")} ${s.unit}`);
  }
}

customElements.define("wm-sample", WmSample);
