// A world manifest, and the spec of a sim: checked against the schema, and for whether they can be played.

import { elements, FRAME, sensorsIn } from "../model/observed.js";
import { frameSize } from "../views/cameras.js";
import { check, ManifestError } from "./manifest.js";

/** @import {Model, Spec, World} from "../../types" */

/**
 * Return `value` as a World whose models fit its spec; throw a ManifestError otherwise.
 * @param {unknown} value @returns {World}
 */
export function asWorld(value) {
  check("World", value, "world.json");
  const found = /** @type {World} */ (value);
  const spec = asSpec(found.spec, "world.json.spec");
  if (!found.sim && !(found.starts && found.models.length))
    throw new ManifestError("world.json: without a simulator it needs starts and a model");
  for (const m of found.models) checkModel(m, spec);
  return found;
}

/**
 * Return `value` as a Spec that can be played; throw a ManifestError otherwise.
 * @param {unknown} value @param {string} where @returns {Spec}
 */
export function asSpec(value, where) {
  check("Spec", value, where);
  const found = /** @type {Spec} */ (value);
  const { cameras, actions, axes, rate, scenarios } = found;
  if (!cameras.length || !(rate > 0) || !scenarios.length || !(actions.length || axes.length))
    throw new ManifestError(`${where}: needs a camera, a rate, a scenario, and actions or axes`);
  return found;
}

/** @param {Model} m @param {Spec} spec */
function checkModel(m, spec) {
  const frame = frameSize(spec.cameras);
  /** @param {string} name @param {{name: string, shape: number[]}[]} among @param {number} [size] */
  const need = (name, among, size) => {
    const found = among.find((t) => t.name === name);
    if (!found) throw new ManifestError(`model ${m.family}: the graph has no tensor "${name}"`);
    if (size !== undefined && elements(found.shape) !== size)
      throw new ManifestError(`model ${m.family}: "${name}" has ${elements(found.shape)} values, the spec ${size}`);
  };
  need("action", m.inputs, spec.actions.length || spec.axes.length);
  if (spec.chance.length) need("chance", m.inputs, spec.chance.length);
  need("frame", m.outputs, frame);
  for (const s of m.state) {
    need(s.input, m.inputs);
    need(s.output, m.outputs);
    const measured = sensorsIn(spec, s.input).reduce((sum, { shape }) => sum + elements(shape), 0);
    if (s.observed) need(s.input, m.inputs, s.input === FRAME ? frame : measured);
  }
  if (!m.variants.length) throw new ManifestError(`model ${m.family}: no variant`);
}
