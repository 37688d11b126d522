/** Written by `python -m builder.site.schema` from builder/site/manifest.py: edit that. */

/** One discrete action, with its bindings in the page. */
export interface Action {
  name: string;
  keys: string[];
  touch: string | null;
  gamepad: string[];
}

/** One continuous control with its range, unit and bindings (for worlds without `actions`). */
export interface Axis {
  name: string;
  low: number;
  high: number;
  unit: string;
  neutral: number;
  increase: string[];
  decrease: string[];
  gamepad: string | null;
  pace: number;
  touch: string[];
}

/** One view: frames are uint8 [height, width, 3]. */
export interface Camera {
  name: string;
  height: number;
  width: number;
  focal: number;
  place: [number, number, number];
  yaw: number;
  pitch: number;
}

/** One file of the site: URL, sha256 (hex, of the bytes as served) and size in bytes. */
export interface File {
  url: string;
  sha256: string;
  bytes: number;
}

/** One number that the page shows beside the stage; `name` is a key of `Sim.hud()`. */
export interface HudField {
  name: string;
  label: string;
}

/** One world model. The page takes the first variant that the device runs. */
export interface Model {
  family: string;
  label: string;
  parameters: number;
  history: number;
  ended_above: number;
  rewards: number[];
  state: StateTensor[];
  inputs: Tensor[];
  outputs: Tensor[];
  variants: Variant[];
  metrics: Record<string, unknown>;
  provenance: Record<string, unknown>;
  older: string;
}

/** One measured array beside the frame: float32 or integer of `shape`, in `unit`. */
export interface Sensor {
  name: string;
  shape: number[];
  dtype: string;
  unit: string;
  low: number;
  high: number;
  meaning: string;
  show: string;
  place: [number, number, number];
  elevations: number[];
}

/** The sim as the page runs it: `module` to import, its files, and their hash. */
export interface SimSource {
  hash: string;
  module: string;
  sources: Source[];
  opening: string[];
}

/** `wm/site.json`: the one manifest that is never cached. */
export interface Site {
  format: 1;
  version: string;
  runtime: Record<string, string>;
  worlds: Record<string, string>;
  files: SiteFile[];
}

/** One file of the site with what it belongs to: "page", "runtime" or a world's name. */
export interface SiteFile {
  url: string;
  sha256: string;
  bytes: number;
  group: string;
}

/** One Python file of a sim's closure; `path` is where the page's Python finds it. */
export interface Source {
  url: string;
  sha256: string;
  bytes: number;
  path: string;
  editable: boolean;
}

/** Describe everything that the page, the recorder and the model need to know about a sim. */
export interface Spec {
  name: string;
  title: string;
  rate: number;
  cameras: Camera[];
  actions: Action[];
  axes: Axis[];
  chance: string[];
  sensors: Sensor[];
  hud: HudField[];
  events: string[];
  scenarios: string[];
  conditions: string[];
  behaviours: string[];
  max_steps: number;
}

/** Recorded moments of held-out episodes: where a world without a simulator starts. */
export interface Starts {
  url: string;
  sha256: string;
  bytes: number;
  count: number;
  ahead: number;
}

/** One carried tensor: the step graph's `input` is fed by its own `output`. */
export interface StateTensor {
  input: string;
  output: string;
  dtype: "float32" | "uint8";
  shape: number[];
  observed: boolean;
}

/** Name, type ("float32", "uint8") and static shape of one graph input or output. */
export interface Tensor {
  name: string;
  dtype: "float32" | "uint8";
  shape: number[];
}

/** One precision of the model that passed the parity gate, and the backends it passed on. */
export interface Variant {
  name: "fp32" | "fp16" | "int8";
  backends: ("wasm" | "webgpu")[];
  evaluations: number;
  macs: number;
  ends: boolean;
  scores: boolean;
  step: File;
  parity: Record<string, number>;
}

/** `world.json`: all that the page needs to play one world. */
export interface World {
  format: 1;
  name: string;
  title: string;
  spec: Spec;
  hud: Record<string, string>;
  sim: SimSource | null;
  models: Model[];
  poster: File | null;
  starts: Starts | null;
}
