// <wm-sample>: plays a window of a recording, with all its cameras and sensors in step, as the player shows a
// game. Before the first click it is a picture and a button, and loads nothing.

import { reason } from "../game/loading-stages.js";
import { fetchOk, fileOf, readJson } from "../game/manifest.js";
import { Pictures } from "../views/cameras.js";
import { inRows, Recorded } from "../views/recorded.js";
import { Instruments, loadViews } from "../views/registry.js";
import { calm, onResize } from "./browser-features.js";
import { h, icon } from "./dom.js";

/** @import {Sample} from "../../types" */

/** The same as in player.css. */
const NARROW = 600;
/** With reduced motion, the shortest time between two pictures, in ms. */
const AGAIN = 1000;

/** A sample's content in the form that views read. @param {Sample} told */
function recorded({ spec, lines, scans, paths, values }) {
  /** @type {ConstructorParameters<typeof Recorded>[2]} */
  const arrays = {};
  for (const { name, shape, high } of spec.sensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    if (scans[name]) arrays[name] = { rows: inRows(Uint8Array.from(atob(scans[name]), (c) => c.charCodeAt(0)), size), scale: high / 255 };
    else if (paths[name]) arrays[name] = { rows: paths[name], scale: 0.01 };
    else if (values?.[name]) arrays[name] = { rows: values[name], scale: 1 };
  }
  return new Recorded(spec.axes, lines, arrays);
}

/** The sample that plays: another one stops it. @type {WmSample | null} */
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
      const [picture, src] = [image.src, new URL(this.getAttribute("src") ?? "", document.baseURI).href];
      const drawn = image.decode().catch(() => {
        throw new Error(`${fileOf(picture)}: the picture did not come`);
      });
      const [answer] = await Promise.all([fetchOk(src, "default"), drawn]);
      const told = /** @type {Sample} */ (await readJson(answer, fileOf(src)));
      await loadViews(told.spec, `${fileOf(src)}.spec`);
      this.build(told, image);
      this.play();
    } catch (error) {
      button.before(h("p", { class: "wm-absent", role: "alert" }, `This sample could not be loaded (${reason(error)}). Try again.`));
    } finally {
      button.ariaBusy = "false";
    }
  }

  /** Replace the picture and the button with the playing sample. @param {Sample} told @param {HTMLImageElement} image */
  build(told, image) {
    const { cameras } = told.spec;
    this.told = told;
    this.image = image;
    this.row = recorded(told);
    this.pictures = new Pictures(cameras, `The cameras ${told.cameras.join(", ")}`);
    this.instruments = new Instruments();
    this.instruments.build(told.spec);
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
    this.querySelector(".wm-sample-stage")?.replaceChildren(this.pictures.canvas, this.instruments.over);
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
    onResize(this, () => this.show(this.row?.at ?? 0));
    new MutationObserver(() => this.show(this.row?.at ?? 0)).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  }

  /** The label of the button. */
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
    const still = calm();
    const from = row.at >= frames - 1 ? 0 : row.at;
    const began = performance.now();
    let shown = -Infinity;
    /** @param {number} time */
    const tick = (time) => {
      if (playing !== this || !this.isConnected) return;
      const at = Math.min(frames - 1, from + Math.floor((Math.max(0, time - began) / 1000) * rate));
      const end = at >= frames - 1;
      if ((at !== row.at || shown < 0) && (end || !still || time - shown >= AGAIN)) {
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

  /** Show one row with all its values. @param {number} at */
  show(at) {
    const { told, row, pictures, instruments, image, slider, offsets } = this;
    if (!told || !row || !pictures || !instruments || !image || !slider || !offsets) return;
    row.at = at;
    const { cameras } = told.spec;
    const tall = Math.max(...cameras.map((camera) => camera.height));
    pictures.draw(this.clientWidth < NARROW, (i) => [image, offsets[i], at * tall]);
    instruments.drawOver(row, pictures.layout, pictures.canvas);
    instruments.draw(row);
    const seconds = (told.about.start + at / told.about.rate).toFixed(1);
    const happens = told.events.filter((e) => e.frame <= at && at <= e.last).map((e) => e.name.replaceAll("_", " "));
    const line = [...this.telemetry(), told.pressed[at], ...happens].filter(Boolean).join(" · ");
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", `${seconds} seconds${happens.length ? `, ${happens.join(", ")}` : ""}`);
    if (this.clock) this.clock.textContent = `${seconds} s`;
    if (this.line) this.line.textContent = line;
  }

  /** The values without a dial, as text. */
  telemetry() {
    const { told, row } = this;
    if (!told || !row) return [];
    return told.spec.sensors
      .filter((s) => s.show === "" && told.lines[s.name])
      .map((s) => `${s.name.replaceAll("_", " ")} ${told.lines[s.name][row.at].toFixed(2).replace("-", "\u2212")} ${s.unit}`);
  }
}

customElements.define("wm-sample", WmSample);
