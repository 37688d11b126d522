// Pyodide in a worker: runs the page's sims. Each game has a folder of sources and a sims.host.Host.

import { countFetches } from "./counting.js";
import { moved, serve, tell } from "./rpc.js";

/** @import {SimFault, Sources} from "../types" */

/** @typedef {{act: any, step: any, reset: any, restore: any, frame: any, status: any, host: any, pixels: any, numbers: any}} Game */

/** @type {any} */
let pyodide;
/** @type {any} */
let glue;
/** @type {Map<string, Game>} */
const games = new Map();

// Python's half: names no world. Every call answers None, or the JSON of what went wrong.
const GLUE = `
import importlib, json, shutil, sys
from pathlib import Path

sys.dont_write_bytecode = True

def forget():
    """Take every loaded module of sims out, and return them."""
    return {n: sys.modules.pop(n) for n in list(sys.modules) if n.split(".")[0] == "sims"}

class Game:
    def __init__(self, folder, module):
        self.folder, self.module, self.host = folder, module, None

    def guarded(self, work):
        try:
            work()
        except BaseException as error:
            try:
                from sims.host import describe_error
                return describe_error(error, f"{self.folder}/sims")
            except ImportError:
                return json.dumps({"message": f"{type(error).__name__}: {error}"})

    def open(self):
        def work():
            self.host = importlib.import_module("sims.host").Host(self.module)
        before, path = forget(), list(sys.path)
        sys.path[:] = [self.folder, *(p for p in path if not p.startswith("/worlds/"))]
        importlib.invalidate_caches()
        answer = self.guarded(work)
        if answer and before:
            forget()
            sys.modules.update(before)
            sys.path[:] = path
        return answer

    def trial(self, seed, scenario, actions):
        def work():
            self.host.reset(seed, scenario)
            for action in actions.to_py():
                self.host.step(list(action))
        return self.guarded(work)

    def reset(self, seed, scenario):
        return self.guarded(lambda: self.host.reset(seed, scenario))

    def step(self, *action):
        return self.guarded(lambda: self.host.step(list(action)))

    def run(self, actions):
        def work():
            for action in actions.to_py():
                self.host.step(list(action))
        return self.guarded(work)

    def act(self, behaviour):
        self.action = []
        def work():
            self.action = [float(x) for x in self.host.act(behaviour)]
        return self.guarded(work)

    def restore(self, data):
        return self.guarded(lambda: self.host.restore(data.to_bytes()))

def write(folder, path, text):
    target = Path(folder, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")

def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
`;

class Fault extends Error {
  /** @param {SimFault} fault */
  constructor(fault) {
    super(fault.message);
    this.fault = fault;
  }
}

/** Raise what a guarded call answered. @param {string | undefined} answer */
const check = (answer) => {
  if (answer) throw new Fault(JSON.parse(answer));
};

/** @param {string} name */
const game = (name) => {
  const found = games.get(name);
  if (!found) throw new Error("this game is not open");
  return found;
};

/** View a NumPy array's memory; again when Python's memory has grown and moved. @param {any} held @param {any} array */
const view = (held, array) => {
  if (held && held.data.byteLength > 0) return held;
  held?.release();
  return array.getBuffer();
};

/** Copy the game's frame into `buffer` (or a new one) and its status beside it. @param {Game} g @param {ArrayBuffer} [buffer] */
const shown = (g, buffer) => {
  g.pixels = view(g.pixels, g.frame);
  g.numbers = view(g.numbers, g.status);
  const size = g.pixels.data.length;
  const frame = buffer && buffer.byteLength === size ? buffer : new ArrayBuffer(size);
  new Uint8Array(frame).set(g.pixels.data);
  return { frame, status: new Float64Array(g.numbers.data) };
};

/** @param {Game} g @param {string} behaviour @returns {number[]} */
const act = (g, behaviour) => {
  check(g.act(behaviour));
  const action = g.host.action;
  const out = action.toJs();
  action.destroy();
  return out;
};

/** @param {Game} g @returns {Uint8Array<ArrayBuffer>} */
const snapshot = (g) => {
  const bytes = g.host.host.snapshot();
  const out = bytes.toJs();
  bytes.destroy();
  return out.slice();
};

/** @param {string} name */
const close = (name) => {
  const g = games.get(name);
  games.delete(name);
  if (!g) return;
  for (const buffer of [g.pixels, g.numbers]) buffer?.release();
  for (const proxy of [g.act, g.step, g.reset, g.restore, g.frame, g.status, g.host]) proxy.destroy();
};

let folders = 0;

// What fails in Pyodide's own promises is told by `boot`, once.
self.addEventListener("unhandledrejection", (event) => event.preventDefault());

serve({
  /** @param {{at: string, files: import("../types").FileEntry[]}} args */
  async boot({ at, files }) {
    const { boot, FILES } = await import(`${at}boot.mjs`);
    const awaited = files.filter((f) => !f.url.endsWith(".mjs") && FILES.includes(f.url.slice(at.length)));
    countFetches(files, awaited.reduce((sum, f) => sum + f.bytes, 0));
    pyodide = await boot();
    tell({ detail: "starting" });
    glue = pyodide.toPy({});
    pyodide.runPython(GLUE, { globals: glue });
  },

  /**
   * Open a game from sources, in place of the one of that name; the old one stays if this, or
   * one of the trial steps, fails.
   * @param {{name: string, module: string, sources: Sources, seed: number, scenario: string, trial: number[][]}} args
   */
  open({ name, module, sources, seed, scenario, trial }) {
    const folder = `/worlds/${++folders}`;
    for (const [path, text] of Object.entries(sources)) glue.get("write")(folder, path, text);
    const host = glue.get("Game")(folder, module);
    try {
      check(host.open());
      check(host.trial(seed, scenario, trial));
      const [frame, status] = [host.host.frame, host.host.status];
      const layout = JSON.parse(host.host.layout);
      const spec = JSON.parse(host.host.spec());
      const { act, step, reset, restore } = host;
      close(name);
      games.set(name, { act, step, reset, restore, frame, status, host, pixels: null, numbers: null });
      return { layout, spec };
    } catch (error) {
      glue.get("clear")(folder);
      throw error;
    }
  },

  /** @param {{name: string, seed: number, scenario: string}} args */
  reset({ name, seed, scenario }) {
    const g = game(name);
    check(g.reset(seed, scenario));
    return shown(g);
  },

  /** @param {{name: string, action: number[], behaviour: string | null, buffer?: ArrayBuffer}} args */
  step({ name, action, behaviour, buffer }) {
    const g = game(name);
    const start = performance.now();
    check(g.step(...action));
    const ms = performance.now() - start;
    const { frame, status } = shown(g, buffer);
    const next = behaviour ? act(g, behaviour) : null;
    return moved({ frame, status, next, ms }, [frame]);
  },

  /** Take many steps and show the last. @param {{name: string, actions: number[][]}} args */
  run({ name, actions }) {
    const g = game(name);
    check(g.host.run(actions));
    return shown(g);
  },

  /** @param {{name: string, behaviour: string}} args */
  act: ({ name, behaviour }) => act(game(name), behaviour),

  /** @param {{name: string}} args */
  snapshot: ({ name }) => snapshot(game(name)),

  /** @param {{name: string, bytes: Uint8Array}} args */
  restore({ name, bytes }) {
    const g = game(name);
    check(g.restore(bytes));
    return shown(g);
  },

  /** @param {{name: string}} args */
  digest: ({ name }) => game(name).host.host.digest(),

  /** @param {{name: string}} args */
  close: ({ name }) => close(name),
});
