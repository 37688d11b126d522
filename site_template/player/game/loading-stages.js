// The steps between Play and the first frame: named stages with bytes, a time limit and an end.

/** @typedef {"waiting" | "running" | "done" | "failed"} Phase */

/** The milliseconds without progress after which a stage, an import of a sim, or one step counts as failed. */
export const LIMITS = { stage: 30_000, open: 20_000, step: 8_000 };

/** Names of the stages, in the order in which the page lists them. */
export const STAGES = /** @type {const} */ ({
  site: "Site manifest",
  world: "World",
  python: "Python and NumPy",
  sim: "Simulator",
  runtime: "Neural runtime",
  model: "World model",
});
/** @typedef {keyof typeof STAGES} StageName */

/** The longest error text that fits into a notice. */
const LONGEST = 240;

/** Describe an error in one line: some runtimes write fifty lines. @param {unknown} error */
export function reason(error) {
  const said = error instanceof Error ? error.message : String(error);
  const lines = said.split("\n").map((line) => line.trim()).filter(Boolean);
  // The last line of a Python error has the cause; the lines before it lead there.
  const line = (lines[0]?.startsWith("Traceback") ? lines[lines.length - 1] : lines[0]) ?? "no reason was given";
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}

export class StageError extends Error {
  /** @param {StageName} stage @param {string} reason @param {unknown} [cause] */
  constructor(stage, reason, cause) {
    super(reason, { cause });
    this.stage = stage;
  }
}

export class Stage {
  /** @param {StageName} name @param {() => void} changed */
  constructor(name, changed) {
    this.name = name;
    this.changed = changed;
    /** @type {Phase} */
    this.phase = "waiting";
    this.loaded = 0;
    this.total = 0;
    this.detail = "";
    this.reason = "";
    this.seconds = 0;
    /** Each run has its own timer: a Retry may wait beside a first attempt. @type {Set<() => void>} */
    this.watches = new Set();
  }

  /** @param {number} bytes received since the last call */
  add(bytes) {
    this.loaded += bytes;
    this.progress();
  }

  /** Note that the stage is still active, and redraw it. */
  progress() {
    for (const heard of this.watches) heard();
    this.changed();
  }

  /**
   * Run `work` as this stage; a failure or `LIMITS.stage` ms without progress ends it with a StageError.
   * `more`: the second part of a stage, after its download.
   * @template T @param {() => Promise<T>} work @param {boolean} [more] @returns {Promise<T>}
   */
  async run(work, more = false) {
    const start = performance.now();
    this.phase = "running";
    this.reason = "";
    if (!more) this.loaded = this.total = 0;
    this.changed();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let heard = () => {};
    const silence = new Promise((_, reject) => {
      heard = () => {
        clearTimeout(timer);
        const limit = LIMITS.stage;
        timer = setTimeout(() => reject(new Error(`nothing arrived for ${limit / 1000} s`)), limit);
      };
      heard();
    });
    this.watches.add(heard);
    try {
      const result = await /** @type {Promise<T>} */ (Promise.race([work(), silence]));
      this.phase = "done";
      return result;
    } catch (error) {
      this.phase = "failed";
      this.reason = reason(error);
      throw error instanceof StageError ? error : new StageError(this.name, this.reason, error);
    } finally {
      clearTimeout(timer);
      this.watches.delete(heard);
      this.seconds = (more ? this.seconds : 0) + (performance.now() - start) / 1000;
      this.changed();
    }
  }
}
