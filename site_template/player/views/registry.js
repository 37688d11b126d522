// The views of a world's sensors, by the value of a sensor's `show`: each is a file of this folder.
//
// views/<name>.js exports `fits(sensor)` and `View`, a class that is constructed with the sensor (`SensorView` in
// types.d.ts). It is loaded if a world needs it: a new view is one new file.

import { h } from "../element/dom.js";
import { turned } from "../game/input.js";
import { reason } from "../game/loading-stages.js";
import { load, ManifestError } from "../game/manifest.js";

/** @import {Axis, Readings, Sensor, SensorView, Spec} from "../../types" */

/** @typedef {{fits(sensor: Sensor): boolean, View: new (sensor: Sensor) => SensorView}} ViewModule */

const UNKNOWN = "The model that plays does not say this";

/** Can these readings say what a sensor measures? A simulator and a recording always can. @param {Readings | null} readings @param {Sensor} sensor */
export const knows = (readings, sensor) => readings !== null && (readings.knows?.(sensor) ?? true);

/** The loaded modules of this folder, by name: views, and `from-above`, on which some draw. @type {Map<string, any>} */
const modules = new Map();
/** The failed loads of each module: a browser may remember a failed address for ever. @type {Map<string, number>} */
const failures = new Map();

/** Register a module of this folder, if it can't be loaded by its address. @param {string} name @param {unknown} module */
export const provide = (name, module) => modules.set(name, module);

/**
 * Load the views of a spec; throw a ManifestError if a sensor can't be shown in its view.
 * @param {Pick<Spec, "sensors" | "axes">} spec @param {string} where
 * @param {{has(url: string): boolean}} [files] the only files that may be loaded, because an edited sim may name any file
 */
export async function loadViews({ sensors, axes }, where, files) {
  const shown = sensors.filter((s) => s.show);
  // Controls use meters too.
  const wanted = new Set([...shown.map((s) => s.show), ...(axes.length ? ["gauge"] : []), ...(shown.length ? ["from-above"] : [])]);
  await Promise.all([...wanted].filter((name) => !modules.has(name)).map((name) => fetchView(name, where, files)));
  for (const sensor of shown)
    if (!(/** @type {Partial<ViewModule>} */ (modules.get(sensor.show)).fits?.(sensor)))
      throw new ManifestError(`${where}.sensors: "${sensor.name}" of shape [${sensor.shape}] can't be shown as a ${sensor.show}`);
}

/** @param {string} name @param {string} where @param {{has(url: string): boolean}} [files] */
async function fetchView(name, where, files) {
  const failed = failures.get(name) ?? 0;
  const { href } = new URL(`./${name}.js`, import.meta.url);
  try {
    if (!/^[a-z][a-z-]*$/.test(name)) throw new Error("no name of a view");
    if (files && !files.has(href)) throw new Error("it is not in site.json");
    modules.set(name, await load(failed ? `${href}?${failed}` : href));
  } catch (error) {
    failures.set(name, failed + 1);
    throw new ManifestError(`${where}.sensors: the page has no view "${name}" (${reason(error)})`);
  }
}

/** Under the picture of a world with sensors or axes: the view from above, dials, and the controls. */
export class Instruments {
  constructor() {
    this.element = h("div", { class: "wm-instruments", hidden: true });
    /** The views' drawings over the cameras' pictures. */
    this.over = h("div", { class: "wm-ahead", "aria-hidden": "true" });
    /** Who says what is shown. */
    this.label = h("span", { class: "wm-says", hidden: true });
    /** `title`: of the view's element. @type {{sensor: Sensor, view: SensorView, title: string}[]} */
    this.views = [];
    /** @type {import("./from-above.js").FromAbove | null} */
    this.above = null;
    /** @type {{axis: Axis, meter: import("./gauge.js").Bar}[]} */
    this.controls = [];
  }

  /** Make the instruments of a spec, after its views are loaded. @param {Pick<Spec, "cameras" | "sensors" | "axes">} spec */
  build({ cameras, sensors, axes }) {
    const shown = sensors.filter((s) => s.show);
    this.views = shown.map((sensor) => {
      const view = new (/** @type {ViewModule} */ (modules.get(sensor.show)).View)(sensor);
      return { sensor, view, title: view.element?.getAttribute("title") ?? "" };
    });
    const seen = this.views.flatMap(({ sensor, view: { above } }) => (above ? { ...above, sensor } : []));
    this.above = seen.length ? new (modules.get("from-above").FromAbove)(seen) : null;
    this.controls = axes.map((axis) => ({ axis, meter: new (modules.get("gauge").Bar)(axis, turned(axis)) }));
    this.element.replaceChildren(
      this.label,
      ...(this.above ? [this.above.canvas] : []),
      h("div", { class: "wm-gauges" }, ...this.views.flatMap(({ view }) => view.element ?? [])),
      h("div", { class: "wm-controls" }, ...this.controls.map((c) => c.meter.element)),
    );
    this.element.hidden = !this.views.length && !this.controls.length;
    // Things on the ground can be drawn into the picture of a pinhole camera.
    this.cameras = cameras;
    const flat = cameras.every((c) => !(c.focal > 0));
    this.overs = this.views.flatMap(({ sensor, view: { over } }) => (over && !flat ? { sensor, over } : []));
    this.over.replaceChildren(...this.overs.map(({ over }) => over.element));
  }

  /**
   * Show the current values; `beside` says what is shown faintly beside them.
   * @param {Readings} readings @param {Readings | null} [beside] @param {string} [label] who says what
   */
  draw(readings, beside = null, label = "") {
    if (this.element.hidden) return;
    if (this.label.textContent !== label) this.label.textContent = label;
    this.label.hidden = !label;
    this.above?.draw(readings, beside);
    for (const { sensor, view, title } of this.views) {
      const known = knows(readings, sensor);
      if (view.element?.hasAttribute("data-unknown") === known) {
        view.element.toggleAttribute("data-unknown", !known);
        view.element.setAttribute("title", known ? title : UNKNOWN);
      }
      if (known) view.draw?.(readings, knows(beside, sensor) ? beside : null);
      else view.blank?.(knows(beside, sensor) ? beside : null);
    }
    this.controls.forEach(({ axis, meter }, i) => meter.set(readings.action?.[i] ?? axis.neutral));
  }

  /**
   * Draw over the cameras in a canvas's layout.
   * @param {Readings} readings @param {import("./cameras.js").Layout} layout @param {HTMLCanvasElement} canvas @param {Readings | null} [beside]
   */
  drawOver(readings, layout, canvas, beside = null) {
    for (const { sensor, over } of this.overs ?? []) {
      over.lay({ cameras: this.cameras ?? [], layout, canvas });
      over.element.toggleAttribute("data-unknown", !knows(readings, sensor));
      if (knows(readings, sensor)) over.draw(readings, knows(beside, sensor) ? beside : null);
    }
  }

  /** Update the texts for screen readers: now and then, not every frame. */
  tell() {
    for (const { view } of this.views) view.tell?.();
    for (const { meter } of this.controls) meter.tell();
  }
}
