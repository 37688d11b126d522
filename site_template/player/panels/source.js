// The sim's source beside the stage: edit, run at once, see an exception at its line, reset, download.
// The browser stores edits, if it can, for exactly this version of the sim.

import { download, h } from "../element/dom.js";
import { load } from "../game/manifest.js";
import { zipped } from "./zip.js";

/** @import {SimFault, SimSource, Sources} from "../../types" */
/** @import {WorldElement} from "../element/player.js" */
/** @import {Game} from "../game/game.js" */

/**
 * The result of createEditor in site_template/editor/entry.js.
 * @typedef {{
 *   getDoc(): string, setDoc(text: string): void, markError(line: number, message: string, still?: boolean): void,
 *   clearError(): void, focus(): void, destroy(): void,
 * }} Editor
 */

/** @typedef {{path: string, editable: boolean, text: string, editor: Editor | null, tab: HTMLElement, page: HTMLElement}} File */

/** The milliseconds after which an unfinished run offers Stop. */
const SLOW = 700;
/** The milliseconds without a key after which the edit is checked. */
const PAUSE = 400;

/** Stored edits; a browser that refuses storage stores none. @param {string} key */
const shelf = (key) => ({
  /** @returns {Sources} */
  read() {
    try {
      return JSON.parse(localStorage.getItem(key) ?? "{}");
    } catch {
      return {};
    }
  },
  /** @param {Sources} edits */
  write(edits) {
    try {
      if (Object.keys(edits).length) localStorage.setItem(key, JSON.stringify(edits));
      else localStorage.removeItem(key);
    } catch {
      // Refused or full: the text still stays in the editor.
    }
  },
});

/** Where the edits of a game's world are stored, for exactly this version. @param {Game} game */
const kept = ({ runtime, world }) => {
  const { module, hash } = /** @type {SimSource} */ (world?.sim);
  return shelf(`wmsite ${new URL("..", runtime.src).pathname} ${module} ${hash.slice(0, 16)}`);
};

/**
 * Fill the source panel of a running world.
 * @param {WorldElement} element @param {HTMLElement} panel
 */
export async function open(element, panel) {
  const { game } = element;
  if (!game?.world || !game.sim) throw new Error("no game runs yet");
  const site = await game.runtime.site;
  if (!site?.runtime.editor) throw new Error("the site has no editor");
  const folder = new URL(site.runtime.editor.replace(/\/?$/, "/"), game.runtime.src);
  const [{ createEditor }] = await Promise.all([load(`${folder}editor.js`), style()]);
  new Panel(element, panel, createEditor);
}

/** Load the panel's style sheet, once. */
function style() {
  const href = new URL("./source.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  return new Promise((resolve, reject) => {
    const onerror = () => reject(new Error("its style sheet did not load"));
    document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror }));
  });
}

/** After any error, the buttons stay usable. @param {Error} error @returns {{ok: boolean, error: SimFault}} */
const told = (error) => ({ ok: false, error: { message: error.message } });

class Panel {
  /** @param {WorldElement} element @param {HTMLElement} panel @param {(options: object) => Editor} createEditor */
  constructor(element, panel, createEditor) {
    const game = /** @type {NonNullable<WorldElement["game"]>} */ (element.game);
    const sim = /** @type {SimSource} */ (game.world?.sim);
    this.element = element;
    this.createEditor = createEditor;
    this.id = `wm-source-${element.getAttribute("world")}`;
    this.shelf = kept(game);
    this.running = false;
    /** Does the editor show a syntax error? */
    this.misspelt = false;
    this.shipped = element.shippedSources;
    const edits = this.shelf.read();
    const now = { .../** @type {NonNullable<typeof game.sim>} */ (game.sim).now.sources, ...element.sources };
    const order = [...sim.sources].sort((a, b) => Number(b.editable) - Number(a.editable));
    this.alone = sim.sources.filter((s) => s.editable).length === 1;
    /** @type {File[]} */
    this.files = order
      // Of an environment, the libraries that it needs are too many to be read here.
      .filter(({ path, editable }) => path in now && (editable || (path.startsWith("sims/") && !path.endsWith("__init__.py"))))
      .map(({ path, editable }) => this.file(path, editable, (editable && edits[path]) || now[path]));

    /** @param {string} name @param {string} action @param {() => void} onclick @param {object} [more] */
    const button = (name, action, onclick, more = {}) =>
      h("button", { type: "button", class: "wm-text", "data-do": action, onclick, ...more }, name);
    this.runButton = button("Run", "run", () => void this.run(), { title: "Ctrl-Enter, or Cmd-Enter" });
    this.stopButton = button("Stop", "stop-run", () => this.element.game?.stop(), { hidden: true });
    this.note = h("span", { class: "wm-editor-note", role: "status" });
    this.fault = h("div", { class: "wm-editor-fault", role: "alert" });
    this.tabs = h("div", { class: "wm-editor-tabs", role: "tablist", "aria-label": "Files" }, ...this.files.map((f) => f.tab));
    this.tabs.addEventListener("keydown", (event) => this.arrow(event));
    panel.append(
      h(
        "div",
        { class: "wm-editor" },
        h(
          "div",
          { class: "wm-editor-bar" },
          this.runButton,
          this.stopButton,
          button("Reset", "reset-source", () => void this.reset()),
          button("Download", "download", () => this.download()),
          this.note,
        ),
        this.tabs,
        this.fault,
        ...this.files.map((f) => f.page),
        h("p", { class: "wm-hint" }, "Ctrl-Enter runs. Enter indents by itself, Ctrl-] and Ctrl-[ move lines. Tab leaves the editor."),
      ),
    );
    this.show(this.files[0]);
    this.mark();
    const restored = this.files.some((f) => f.editable && f.path in edits && edits[f.path] !== now[f.path]);
    this.say(restored ? "Your edits from last time. Run plays them." : "");
    // A reader who types and leaves at once has still typed it.
    addEventListener("pagehide", () => this.timer && this.keep());
    game.addEventListener("disk", (event) => this.follow(/** @type {CustomEvent} */ (event).detail));
    // Edits move to the version that ships now.
    game.addEventListener("adopted", () => {
      this.shelf.write({});
      this.shelf = kept(game);
      this.keep();
    });
    element.addEventListener("wm-sim-error", (event) => this.point(/** @type {CustomEvent} */ (event).detail));
  }

  /** @param {string} path @param {boolean} editable @param {string} text @returns {File} */
  file(path, editable, text) {
    const stem = `${this.id}-${path.replace(/\W/g, "-")}`;
    const tab = h(
      "button",
      { type: "button", role: "tab", id: `${stem}-tab`, "aria-controls": stem, "aria-selected": "false", tabindex: -1 },
      // Files of the world's own folder have short names: one bar of tabs.
      this.named(path).replace(`${this.element.getAttribute("world")}/`, ""),
      editable ? null : h("span", { class: "wm-editor-locked" }, "read only"),
    );
    const page = h("div", { role: "tabpanel", id: stem, "aria-labelledby": tab.id, class: "wm-editor-page", hidden: true });
    const file = { path, editable, text, editor: null, tab, page };
    tab.addEventListener("click", () => this.show(file));
    return file;
  }

  /** Show one file; its editor is made when it is first shown. @param {File} file */
  show(file) {
    this.shown = file;
    if (this.tabs) this.tabs.scrollLeft = file.tab.offsetLeft - this.tabs.offsetLeft - 40;
    for (const other of this.files) {
      other.page.hidden = other !== file;
      other.tab.setAttribute("aria-selected", String(other === file));
      other.tab.tabIndex = other === file ? 0 : -1;
    }
    file.editor ??= this.createEditor({
      parent: file.page,
      doc: file.text,
      label: `${file.path}${file.editable ? "" : ", read only"}`,
      readOnly: !file.editable,
      onChange: () => this.changed(),
      onRun: () => void this.run(),
    });
  }

  /** Arrow keys move between the tabs. @param {KeyboardEvent} event */
  arrow(event) {
    const at = this.files.findIndex((f) => f === this.shown);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: this.files.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const file = this.files[(to + this.files.length) % this.files.length];
    this.show(file);
    file.tab.focus();
  }

  /** The text of the editable files in the editors. @returns {Sources} */
  get edited() {
    return Object.fromEntries(this.files.filter((f) => f.editable).map((f) => [f.path, f.editor?.getDoc() ?? f.text]));
  }

  changed() {
    this.mark();
    clearTimeout(this.looking);
    this.looking = setTimeout(() => void this.look(), PAUSE);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), 300);
  }

  /** Show syntax errors at once, during typing. */
  async look() {
    const file = this.shown;
    const text = file?.editor?.getDoc();
    const sim = this.element.game?.sim;
    if (!file?.editable || text === undefined || !sim || this.running) return;
    const fault = await sim.parse(file.path, text).catch(() => null);
    // The text has changed or runs by now: the result is for an older text.
    if (this.shown !== file || file.editor?.getDoc() !== text || this.running) return;
    if (fault?.line) {
      file.editor.markError(fault.line, `${fault.type}: ${fault.message}`, true);
      this.say(`Line ${fault.line}: ${fault.message}`);
    } else if (this.misspelt) {
      file.editor.clearError();
      this.say("");
    }
    this.misspelt = Boolean(fault?.line);
  }

  /** Store the edit for the next visit. */
  keep() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const edits = Object.entries(this.edited).filter(([path, text]) => text !== this.shipped[path]);
    this.shelf.write(Object.fromEntries(edits));
  }

  /**
   * The files on disk have changed: show them, except a file that the reader has edited, unless `taken` is set.
   * @param {{sources: Sources, taken: boolean}} news
   */
  follow({ sources, taken }) {
    const before = this.edited;
    for (const file of this.files) {
      const text = sources[file.path];
      if (text === undefined) continue;
      const mine = file.editable && before[file.path] !== this.shipped[file.path];
      if (file.editable) this.shipped[file.path] = text;
      if ((mine && !taken) || text === (file.editor?.getDoc() ?? file.text)) continue;
      file.text = text;
      file.editor?.setDoc(text);
    }
    this.clear();
    if (taken) this.say("As on the disk.");
    this.mark();
    this.keep();
  }

  /** Mark the tabs of files that differ from the shipped ones. */
  mark() {
    const now = this.edited;
    for (const { path, editable, tab } of this.files) {
      const changed = editable && now[path] !== this.shipped[path];
      tab.toggleAttribute("data-changed", changed);
      tab.title = changed ? "Edited" : "";
    }
  }

  /** Restart the game from the text in the editors. */
  async run() {
    if (this.running) return;
    this.busy(true);
    this.say("Starting…");
    this.clear();
    const slow = setTimeout(() => (this.stopButton.hidden = false), SLOW);
    const { ok, error } = await this.element.runSource(this.edited).catch(told);
    clearTimeout(slow);
    this.busy(false);
    this.say(ok ? "The game runs your source." : "");
    if (!ok && error) this.point(error);
  }

  async reset() {
    if (this.running) return;
    this.clear();
    for (const file of this.files)
      if (file.editable) {
        file.text = this.shipped[file.path];
        file.editor?.setDoc(file.text);
      }
    clearTimeout(this.timer);
    this.shelf.write({});
    this.busy(true);
    const { ok, error } = await this.element.resetSource().catch(told);
    this.busy(false);
    this.say(ok ? "As shipped." : "");
    if (!ok && error) this.point(error);
  }

  /** A file's name for readers: a world of one file has its name, wherever it is. @param {string} path */
  named(path) {
    const world = this.element.getAttribute("world");
    return this.alone && path === `sims/${world}/__init__.py` ? `${world}.py` : path.replace(/^sims\//, "");
  }

  /** Download the world's files as they are in the editors: one file directly, several as a zip of their folder. */
  download() {
    const files = Object.entries(this.edited);
    const world = this.element.getAttribute("world");
    if (files.length > 1) return download(`${world}.zip`, zipped(Object.fromEntries(files.map(([path, text]) => [path.replace(/^sims\//, ""), text]))));
    const [path, text] = files[0];
    download(this.named(path), new Blob([text], { type: "text/x-python" }));
  }

  /** @param {boolean} running */
  busy(running) {
    this.running = running;
    this.runButton.setAttribute("aria-disabled", String(running));
    this.stopButton.hidden = true;
  }

  /** @param {string} text */
  say(text) {
    this.note.textContent = text;
  }

  clear() {
    for (const { editor } of this.files) editor?.clearError();
    this.fault.replaceChildren();
  }

  /** Show an exception: its message, and a mark at its line. @param {SimFault} fault */
  point({ message, type, file: path, line }) {
    this.clear();
    const file = this.files.find((f) => f.path === path);
    const what = type ? `${type}: ${message}` : message;
    const where = file && line ? `Line ${line} of ${this.named(file.path)}: ` : "";
    this.fault.append(h("span", {}, `${where}${what}`));
    if (!file || !line) return;
    this.show(file);
    file.editor?.markError(line, what);
    const go = () => {
      this.show(file);
      file.editor?.focus();
    };
    this.fault.append(h("button", { type: "button", class: "wm-text", onclick: go }, "Go to the line"));
  }
}
