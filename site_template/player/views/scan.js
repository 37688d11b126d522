// A range image from above: each return is a small square, the ground pale, everything on it dark.

/** @import {Board, Readings, Sensor} from "../../types" */

/** A return higher than this above the ground is not ground, metres. */
const GROUND = 0.3;

/** Can a scan view show this sensor? @param {Sensor} sensor */
export const fits = ({ shape, elevations }) => shape.length === 2 && shape[0] === elevations.length;

export class View {
  /** @param {Sensor} sensor */
  constructor(sensor) {
    this.sensor = sensor;
    const [, columns] = sensor.shape;
    const azimuths = Array.from({ length: columns }, (_, k) => Math.PI - (2 * Math.PI * (k + 0.5)) / columns);
    this.cos = Float64Array.from(azimuths, Math.cos);
    this.sin = Float64Array.from(azimuths, Math.sin);
    this.across = Float64Array.from(sensor.elevations, Math.cos);
    this.up = Float64Array.from(sensor.elevations, Math.sin);
    this.above = {
      layer: 0,
      meaning: "what the range sensor sees",
      reach: sensor.high,
      draw: (/** @type {Board} */ board, /** @type {Readings} */ readings) => this.points(board, readings.view(sensor)),
    };
  }

  /** @param {Board} board @param {Float64Array} ranges metres */
  points({ pen, inks, scale }, ranges) {
    const { across, up, cos, sin } = this;
    const [forward, left, height] = this.sensor.place;
    const size = Math.max(2 * devicePixelRatio, 0.35 * scale) / scale;
    const columns = cos.length;
    for (const ground of [true, false]) {
      pen.fillStyle = ground ? inks.line : inks.fg;
      for (let ring = 0; ring < across.length; ring++) {
        for (let k = 0, at = ring * columns; k < columns; k++, at++) {
          const range = ranges[at];
          if (!(range > 0) || height + range * up[ring] < GROUND !== ground) continue;
          const flat = range * across[ring];
          pen.fillRect(forward + flat * cos[k] - size / 2, left + flat * sin[k] - size / 2, size, size);
        }
      }
    }
  }
}
