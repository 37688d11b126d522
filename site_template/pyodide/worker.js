// Pyodide in a worker, in the sandbox of player/sim/sandbox.js: runs the page's sims. Each game has a folder of sources
// and a sims.host.Host. builder/site/vendor.py bundles this file with all its imports, including Pyodide.

import { moved, serve } from "../player/game/rpc.js";
import { boot } from "./boot.mjs";
import { lock } from "./lock.js";

/** @import {SimFault, Sources} from "../types" */

/** @typedef {{act: any, step: any, reset: any, restore: any, frame: any, status: any, host: any, pixels: any, numbers: any}} Game */

/** @type {any} */
let glue;
/** Python's finder for the parts that the trimmed library lacks. @type {any} */
let finder;
/** The archive that an import in this call needed, or "". */
let lacking = "";
/** Tells the page that this worker can no longer be used. @type {(reason: string) => void} */
let quit = () => {};
/** @type {Map<string, Game>} */
const games = new Map();

// The Python part: it names no world. Each call returns None, or the JSON of an error.
const GLUE = `
import importlib, json, shutil, sys
from pathlib import Path

sys.dont_write_bytecode = True

def forget():
    """Take every loaded module of a game out, and return them."""
    def own(module):
        return (getattr(module, "__file__", None) or "").startswith("/worlds/")
    return {n: sys.modules.pop(n) for n, m in list(sys.modules.items()) if own(m)}

class Game:
    def __init__(self, folder, module):
        self.folder, self.module, self.host, self.opening = folder, module, None, None

    def guarded(self, work):
        try:
            work()
        except BaseException as error:
            try:
                from sims.host import describe_error
                return describe_error(error, self.folder)
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

    def next_opening(self):
        """Return what the opening's next tick was: "" at its end, or where it raises."""
        self.opening = self.opening or self.host.opening()
        try:
            return next(self.opening, "")
        except Exception:
            return ""

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

    def tell(self, what):
        def work():
            self.told = getattr(self.host, what)()
        return self.guarded(work)

def parse(path, text):
    try:
        compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        told = {"message": getattr(error, "msg", str(error)), "type": type(error).__name__}
        return json.dumps(told | {"file": path, "line": getattr(error, "lineno", None)})

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
    this.details = { fault };
  }
}

/** An import needs an archive that is missing: the page passes `needs` in, and calls again. */
class Lacking extends Error {
  /** @param {string} needs */
  constructor(needs) {
    super(`an import needs ${needs}`);
    this.details = { needs };
  }
}

/** Throw the error of a guarded call's result. @param {string | undefined} answer */
const check = (answer) => {
  const needs = lacking;
  lacking = "";
  // Whatever the sim did with the error: with the archive in place it would have run differently.
  if (needs) throw new Lacking(needs);
  if (answer) throw new Fault(JSON.parse(answer));
};

/** @param {string} name */
const game = (name) => {
  const found = games.get(name);
  if (!found) throw new Error("this game is not open");
  return found;
};

/** View a NumPy array's memory; make a new view after Python's memory has grown and moved. @param {any} held @param {any} array */
const view = (held, array) => {
  if (held && held.data.byteLength > 0) return held;
  held?.release();
  return array.getBuffer();
};

/** Copy the game's frame into `buffer` (or a new one), and its status. @param {Game} g @param {ArrayBuffer} [buffer] */
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

/** @param {Game} g @param {"snapshot" | "digest"} what */
const told = (g, what) => {
  check(g.host.tell(what));
  return g.host.told;
};

/** @param {Game} g @returns {Uint8Array<ArrayBuffer>} */
const snapshot = (g) => {
  const bytes = told(g, "snapshot");
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

// `boot` reports failures in Pyodide's own promises, once.
self.addEventListener("unhandledrejection", (event) => event.preventDefault());

const handlers = {
  /** Start Python; from here on this worker has only the names that a sim may use. @param {Parameters<typeof boot>[0]} given */
  async boot(given) {
    const { pyodide, memory, fits } = await boot(given);
    // A failed Python answers nothing more: its worker ends.
    pyodide._api.on_fatal = (/** @type {unknown} */ error) => quit(`Python itself has failed (${error})`);
    const more = pyodide.pyimport("wmsite_more");
    finder = more.start((/** @type {string} */ archive) => void (lacking ||= String(archive)));
    more.destroy();
    glue = pyodide.toPy({});
    pyodide.runPython(GLUE, { globals: glue });
    lock();
    return memory ? moved({ memory, fits }, [memory.buffer]) : { memory, fits };
  },

  /** Add an archive that an import lacked. @param {{name: string, data: ArrayBuffer}} args */
  provide({ name, data }) {
    finder.provide(name, data);
  },

  /**
   * Open a game from sources, and replace the game of that name; the old one stays if this, or one of the
   * trial steps, fails.
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

  /** The syntax error of a Python text, without running it. @param {{path: string, text: string}} args @returns {SimFault | null} */
  parse({ path, text }) {
    const told = glue.get("parse")(path, text);
    return told ? JSON.parse(told) : null;
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

  /** @param {{name: string}} args @returns {string} */
  opening: ({ name }) => game(name).host.next_opening(),

  /** @param {{name: string}} args */
  digest: ({ name }) => told(game(name), "digest"),

  /** @param {{name: string}} args */
  close: ({ name }) => close(name),
};

self.onmessage = ({ ports: [port] }) => {
  self.onmessage = null;
  quit = serve(handlers, port);
};
