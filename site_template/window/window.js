// Plays a window of a recording: cameras, instruments, all numbers over time and events, in step.

import { h } from "../player/element/dom.js";
import { Pictures } from "../player/views/cameras.js";
import { inRows, Recorded } from "../player/views/recorded.js";
import { Instruments, loadViews } from "../player/views/registry.js";

/** @import {Spec} from "../types" */

/** @typedef {{name: string, unit: string, low: number, high: number, values: number[]}} Line */
/** A sensor with several numbers: one row for each moment, or `packed`, base64 of 16-bit numbers. @typedef {{name: string, scale: number, rows?: number[][], packed?: string, size: number}} Several */
/**
 * The data that builder/commands/data_window.py writes into the page. `images`: base64 of one PNG for each moment, by camera.
 * @typedef {{
 *   world: string, rate: number, first: number, count: number, spec: Pick<Spec, "cameras" | "sensors" | "axes" | "actions">,
 *   images: Record<string, string[]>, lines: Line[], arrays: Several[], pressed: string[], reward: number[],
 *   events: {row: number, last: number, name: string}[], about: [string, string][],
 * }} Told
 */

/** Below this width, in CSS pixels, the camera that looks ahead lies above the others. */
const NARROW = 600;

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {HTMLCanvasElement} canvas */
const pen = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
/** @param {string} name */
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
/** Give the canvas the pixels that it has on the screen. @param {HTMLCanvasElement} canvas */
const fit = (canvas) => {
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
};
/** @param {number} value */
const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));

/** The numbers of a window in the form that views read. @param {Told} told */
function recorded({ spec, lines, arrays }) {
  const rows = arrays.map(({ name, scale, rows, packed, size }) => {
    const bytes = Uint8Array.from(atob(packed ?? ""), (c) => c.charCodeAt(0));
    return [name, { scale, rows: rows ?? inRows(new Uint16Array(bytes.buffer), size) }];
  });
  return new Recorded(spec.axes, Object.fromEntries(lines.map((line) => [line.name, line.values])), Object.fromEntries(rows));
}

export async function play() {
  const told = /** @type {Told} */ (JSON.parse(find("data").textContent ?? ""));
  const { rate, count, spec } = told;
  let at = 0;
  /** @type {((row: number) => void)[]} Draw one thing each. */
  const drawn = [];

  const row = recorded(told);
  const instruments = new Instruments();
  await loadViews(spec, "window");
  instruments.build(spec);
  if (spec.cameras.length) {
    const pictures = new Pictures(spec.cameras, `The cameras ${spec.cameras.map((c) => c.name).join(", ")}`);
    find("views").append(pictures.canvas, instruments.over);
    const images = spec.cameras.map((camera) =>
      told.images[camera.name].map((data) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        image.decode().then(() => image === shown()[spec.cameras.indexOf(camera)] && show(), () => {});
        return image;
      }),
    );
    const shown = () => images.map((some) => some[at]);
    const show = () => {
      if (!shown().every((image) => image.complete)) return;
      pictures.draw(find("views").clientWidth < NARROW, (i) => [shown()[i], 0, 0]);
      instruments.drawOver(row, pictures.layout, pictures.canvas);
    };
    drawn.push(show);
  }
  find("instruments").append(instruments.element);
  find("instruments").hidden = instruments.element.hidden;
  drawn.push(() => {
    instruments.draw(row);
    instruments.tell();
  });

  for (const line of told.lines) {
    const now = h("span");
    const canvas = h("canvas", { role: "img", "aria-label": `${line.name} over time` });
    const head = h("div", {}, h("span", {}, `${line.name} `, h("span", { class: "unit" }, line.unit)), now);
    find("lines").append(h("div", { class: "signal" }, head, canvas));
    const low = Math.min(...line.values);
    const span = Math.max(...line.values) - low || 1;
    drawn.push((row) => {
      now.textContent = short(line.values[row]);
      fit(canvas);
      const to = pen(canvas);
      const { width, height } = canvas;
      /** @param {number} i */
      const x = (i) => (i / Math.max(1, count - 1)) * (width - 2) + 1;
      /** @param {number} i */
      const y = (i) => height - 3 - ((line.values[i] - low) / span) * (height - 6);
      to.strokeStyle = ink("quiet");
      to.lineWidth = devicePixelRatio;
      to.beginPath();
      line.values.forEach((_, i) => to.lineTo(x(i), y(i)));
      to.stroke();
      to.fillStyle = ink("mark");
      to.fillRect(x(row) - 1, 0, 2, height);
    });
  }

  const pressed = h("p");
  find("lines").append(pressed);
  drawn.push((row) => {
    const key = told.pressed.length ? `action ${told.pressed[row]}, ` : "";
    pressed.textContent = `${key}reward ${short(told.reward[row])}`;
  });

  /** @param {number} row */
  const seconds = (row) => ((told.first + row) / rate).toFixed(2);
  const marks = told.events.map(({ row, last, name }) => {
    const when = last > row ? `${seconds(row)} to ${seconds(last)} s` : `${seconds(row)} s`;
    const button = h("button", { type: "button", onclick: () => go(row) }, `${name} ${when}`);
    find("events").append(h("li", {}, button));
    return { row, last, button };
  });
  if (!marks.length) find("events").append(h("li", {}, "none in this window"));
  drawn.push((row) => {
    for (const mark of marks) mark.button.setAttribute("aria-current", String(mark.row <= row && row <= mark.last));
  });
  for (const [key, value] of told.about) find("about").append(h("dt", {}, key), h("dd", {}, value));

  const slider = /** @type {HTMLInputElement} */ (find("at"));
  slider.max = String(count - 1);
  /** @param {number} to */
  const go = (to) => {
    row.at = at = Math.max(0, Math.min(count - 1, to));
    const text = `${seconds(at)} s, step ${told.first + at}`;
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", text);
    find("clock").textContent = text;
    for (const draw of drawn) draw(at);
  };

  let began = 0;
  let from = 0;
  let playing = false;
  /** @param {boolean} on */
  const run = (on) => {
    playing = on;
    find("play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    from = at >= count - 1 ? 0 : at;
    began = performance.now();
    requestAnimationFrame(tick);
  };
  /** @param {number} time */
  const tick = (time) => {
    if (!playing) return;
    const to = from + Math.floor((Math.max(0, time - began) / 1000) * rate);
    if (to !== at) go(to);
    if (to >= count - 1) run(false);
    else requestAnimationFrame(tick);
  };
  find("play").addEventListener("click", () => run(!playing));
  find("back").addEventListener("click", () => (run(false), go(at - 1)));
  find("on").addEventListener("click", () => (run(false), go(at + 1)));
  slider.addEventListener("input", () => (run(false), go(Number(slider.value))));
  addEventListener("resize", () => go(at));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colours = () => {
    // Views read their colours again when the scheme's name changes.
    document.body.dataset.mdColorScheme = dark.matches ? "slate" : "default";
    go(at);
  };
  dark.addEventListener("change", colours);
  colours();
}
