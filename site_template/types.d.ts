/** Shapes shared by the player's modules; the manifest's mirror builder/manifest.py. */

export interface FileEntry {
  url: string;
  sha256: string;
  bytes: number;
}
export interface SourceEntry extends FileEntry {
  path: string;
  editable: boolean;
}
export interface SiteEntry extends FileEntry {
  group: string;
}
export interface Site {
  format: 1;
  version: string;
  runtime: Record<string, string>;
  worlds: Record<string, string>;
  files: SiteEntry[];
}
export interface TensorEntry {
  name: string;
  dtype: string;
  shape: number[];
}
export interface StateEntry {
  input: string;
  output: string;
  dtype: string;
  shape: number[];
  observed: boolean;
}
export type Precision = "fp32" | "fp16" | "int8";
export type Backend = "wasm" | "webgpu";
export interface Variant {
  name: Precision;
  backends: Backend[];
  evaluations: number;
  macs: number;
  step: FileEntry;
  parity: Record<string, number>;
}
export interface ModelEntry {
  family: string;
  label: string;
  parameters: number;
  history: number;
  state: StateEntry[];
  inputs: TensorEntry[];
  outputs: TensorEntry[];
  variants: Variant[];
  metrics: Record<string, unknown>;
  provenance: Record<string, unknown>;
  older: string;
}
export interface ActionSpec {
  name: string;
  keys: string[];
  touch: string | null;
  gamepad: string[];
}
export interface AxisSpec {
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
export interface CameraSpec {
  name: string;
  height: number;
  width: number;
  focal: number;
  place: number[];
  yaw: number;
  pitch: number;
}
export interface SensorSpec {
  name: string;
  shape: number[];
  dtype: string;
  unit: string;
  low: number;
  high: number;
  meaning: string;
  show: "" | "gauge" | "path" | "scan";
  place: number[];
  elevations: number[];
}
export interface Spec {
  name: string;
  title: string;
  rate: number;
  cameras: CameraSpec[];
  actions: ActionSpec[];
  axes: AxisSpec[];
  chance: string[];
  sensors: SensorSpec[];
  hud: { name: string; label: string }[];
  events: string[];
  scenarios: string[];
  conditions: string[];
  behaviours: string[];
  max_steps: number;
}
export interface World {
  format: 1;
  name: string;
  title: string;
  spec: Spec;
  sim: { hash: string; module: string; sources: SourceEntry[] };
  models: ModelEntry[];
  poster: FileEntry | null;
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
