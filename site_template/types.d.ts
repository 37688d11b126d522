/** Shapes shared by the player's modules. Those of the manifests are written from builder/site/manifest.py. */

import type { Camera, Sensor, Spec, Variant } from "./manifest";
import type { FromAbove } from "./player/views/from-above.js";
import type { Layout } from "./player/views/cameras.js";

export type * from "./manifest";
export type Precision = Variant["name"];
export type Backend = Variant["backends"][number];

/** What views read: a game, or a row of a recording. */
export interface Readings {
  /** One number by name, such as "sensor.speed.0". */
  read(name: string): number;
  view(sensor: Sensor): Float64Array;
  /** Whether it can say what a sensor measures: a model may not. */
  knows?(sensor: Sensor): boolean;
  /** One value an axis. */
  action: ArrayLike<number> | null;
}

/** Where views draw from above: metres, x forward, y left. */
export type Board = Pick<FromAbove, "pen" | "inks" | "scale">;
/** What a view shows from above. */
export interface SeenFromAbove {
  /** What is drawn first lies under the rest. */
  layer: number;
  /** In words, for those who can't see it. */
  meaning: string;
  /** How far it can see, metres. */
  reach?: number;
  draw(board: Board, readings: Readings): void;
}
/** The cameras' pictures as they lie on a canvas. */
export interface Laid {
  cameras: Camera[];
  layout: Layout;
  canvas: HTMLCanvasElement;
}
/** How the page shows a sensor: what `View` of views/<show>.js makes of it. Whatever a view has is used. */
export interface SensorView {
  /** What stands among the dials. */
  element?: Element;
  above?: SeenFromAbove;
  /** What lies over the cameras' pictures. */
  over?: { element: Element; lay(laid: Laid): void; draw(readings: Readings, beside: Readings | null): void };
  /** Show what `readings` say, and faintly what `beside` does: the simulator beside the model, or the other way round. */
  draw?(readings: Readings, beside: Readings | null): void;
  /** Show that nobody knows; `beside` may. Without it, the element is hidden. */
  blank?(beside: Readings | null): void;
  /** Tell screen readers, now and then. */
  tell?(): void;
}

/** `sample-<n>.json` of a dataset's card: a window of a recording, all modalities in step. */
export interface Sample {
  about: { scenario: string; condition?: string; behaviour: string; start: number; rate: number; frames: number };
  spec: Pick<Spec, "cameras" | "sensors" | "axes" | "actions">;
  /** From left to right in the strip. */
  cameras: string[];
  /** Sensors and axes of one number, by name. */
  lines: Record<string, number[]>;
  pressed: string[];
  events: { frame: number; last: number; name: string }[];
  /** Forward and left by turns, in cm, a row a frame. */
  paths: Record<string, number[][]>;
  /** Base64: a byte a point, of which 255 are the sensor's range. */
  scans: Record<string, string>;
  /** Other sensors of several numbers that have a view: a row a frame. */
  values?: Record<string, number[][]>;
}

export type Mode = "sim" | "overlay" | "split" | "neural" | "difference";
export type Sources = Record<string, string>;

/** What the page's Python says of an exception in a sim. */
export interface SimFault {
  message: string;
  type?: string;
  file?: string | null;
  line?: number | null;
}

/** A recorded game: all that another browser needs to play the very same one. */
export interface Replay {
  world: string;
  sim: string;
  seed: number;
  scenario: string;
  actions: number[][];
  end: string;
  /** The family of the model beside it, if the link names one, and the mode in which it plays. */
  model?: string;
  mode?: Mode;
}

/** One game of a recording: seed, scenario and steps are enough to make every frame again. */
export interface RecordedGame {
  /** A key of `Recording.sims`. */
  sim: string;
  edited: boolean;
  seed: number;
  scenario: string;
  /** When it began: ISO 8601, UTC. Nothing depends on it. */
  begun: string;
  /** From which step on who drove: "person", a behaviour of the spec, or "replay". */
  drivers: [step: number, who: string][];
  /** One action a step: [index], or one number an axis, whose float32 is what the sim was given. */
  steps: number[][];
  /** `sims.host.digest` of the state after the last step. */
  end: string;
}

/** What "Save recording" writes, and `wmsite data import` reads. */
export interface Recording {
  format: "wmsite-recording";
  version: 1;
  world: string;
  made: string;
  rate: number;
  /** The axes' names in order; [] where the world has discrete actions. */
  axes: string[];
  actions: string[];
  /** The sims that were played, by hash: null as shipped, else the edited files. */
  sims: Record<string, Sources | null>;
  games: RecordedGame[];
}

export interface Percentiles {
  p50: number;
  p95: number;
}

/** What `<wm-world>.state` answers. */
export interface PlayerState {
  phase: "idle" | "loading" | "playing" | "paused" | "error";
  stage: string | null;
  error: string | null;
  over: boolean;
  simFrames: number;
  modelFrames: number;
  mode: Mode;
  shown: Mode;
  backend: Backend | null;
  variant: Precision | null;
  tick: number;
  seed: number;
  scenario: string;
  drift: number | null;
  replay: "none" | "playing" | "matches" | "differs";
  /** The tick that the model dreams from. */
  dream: number | null;
  edited: boolean;
  intervals: Percentiles & { count: number };
  stepMs: { sim: Percentiles; model: Percentiles };
}
