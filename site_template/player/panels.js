// What opens below the stage: figures, the game's settings, the keys. The source's is editor-panel.js.

import { h, icon } from "./dom.js";
import { choose } from "./join.js";

/** @import {PlayerState, World} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {View} from "./view.js" */

const BITS = { fp32: 32, fp16: 16, int8: 8 };
/** What the condition's field says where the seed decides. */
export const ANY = "by the seed";
/** Ticks after which the model is brought back to the sim; 0: never. */
const RESYNC = [0, 300, 100, 30, 10, 1];
/** Percent of the pixels that are spoilt in what the model sees. */
const NOISE = [0, 0.1, 0.5, 1, 2, 5, 10];
const KEYS = /** @type {const} */ ([
  ["P", "Pause or play on"],
  [".", "One tick"],
  ["N", "New game"],
  ["M", "Next mode"],
  ["R", "Bring the model back to the sim"],
  ["Esc", "Pause and leave the stage"],
]);
const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

/**
 * Make the panels of a world that plays; the view keeps the fields that it updates.
 * @param {View} view @param {Game} game @param {World} world @returns {HTMLElement[]}
 */
export function build(view, game, world) {
  /** @param {string} name @param {string} label @param {...Node} children */
  const panel = (name, label, ...children) =>
    h(
      "section",
      { class: "wm-panel", id: `${view.id}-${name}`, "data-wm-panel": name, "aria-label": label, hidden: true },
      ...children,
    );
  view.figures = h("dl", { class: "wm-figures" });
  return [
    panel("source", "Source of the simulator"),
    panel("figures", "Figures", view.figures),
    panel("settings", "Game", ...settings(view, game, world)),
    panel("keys", "Keys", ...keys(view, world)),
  ];
}

/** @param {View} view @param {Game} game @param {World} world @returns {HTMLElement[]} */
function settings(view, game, { spec, models }) {
  /** @param {string} label @param {string[]} options @param {(value: any) => void} onpick @param {string} [value] */
  const select = (label, options, onpick, value = options[0]) => {
    const field = h("select", { onchange: () => onpick(field.value) });
    field.append(...options.map((o) => h("option", { value: o, selected: o === value }, o)));
    return h("label", { class: "wm-field" }, h("span", {}, label), field);
  };
  const seed = h("input", { type: "number", min: 0, max: 999999999999999, step: 1, inputmode: "numeric" });
  const begin = () => void game.restart(Math.max(0, Math.floor(Number(seed.value) || 0)));
  seed.addEventListener("keydown", (event) => event.key === "Enter" && begin());
  const families = models.map((m) => m.family);
  const variants = [...new Set(models.flatMap((m) => m.variants.map((v) => v.name)))];
  const backends = [...new Set(models.flatMap((m) => m.variants.flatMap((v) => v.backends)))];
  view.seed = seed;
  /** @param {HTMLElement | undefined} field */
  const picked = (field) => field?.querySelector("select")?.value ?? "";
  const anew = () => {
    const condition = picked(view.condition);
    const start = picked(view.scenario) + (condition && condition !== ANY ? `/${condition}` : "");
    void game.restart(game.sim?.now.seed, start);
  };
  view.scenario = select("Start", spec.scenarios, anew);
  view.condition = select("Conditions", [ANY, ...spec.conditions], anew);
  view.pilot = select("Who plays", ["you", ...spec.behaviours], (who) => game.autoplay(who === "you" ? null : who));
  /** @param {string} name @param {string} label @param {number[]} values @param {(value: number) => string} say @param {"input" | "change"} on @param {(value: number) => void} onpick */
  const slider = (name, label, values, say, on, onpick) => {
    const field = h("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: 0, "data-do": name });
    // Not an <output>: the label would be its, as the first that can be labelled.
    const told = h("span", {}, say(values[0]));
    const value = () => values[Number(field.value)];
    field.addEventListener("input", () => (told.textContent = say(value())));
    field.addEventListener(on, () => onpick(value()));
    return h("label", { class: "wm-field" }, h("span", {}, `${label}: `, told), field);
  };
  /** @param {World["models"]} some */
  const counts = (some) => [...new Set(some.flatMap((m) => m.variants.map((v) => v.evaluations)))].sort((a, b) => a - b);
  const evaluations = slider("evaluations", "Denoising steps", counts(models), String, "change", (n) => void choose(game, { evaluations: n }));
  const evaluated = /** @type {HTMLInputElement} */ (evaluations.querySelector("input"));
  // Of the models, only denoisers have several.
  const able = () => (evaluated.disabled = counts(game.model ? [game.model.model] : []).length < 2);
  game.addEventListener("state", able);
  able();
  view.saved = h("span", {}, "Save recording");
  view.link = h("input", { type: "text", readonly: true, "aria-label": "Replay link", hidden: true });
  return [
    h(
      "div",
      { class: "wm-fields" },
      h("label", { class: "wm-field" }, h("span", {}, "Seed"), seed),
      view.scenario,
      spec.conditions.length ? view.condition : null,
      spec.behaviours.length ? view.pilot : null,
      families.length > 1
        ? select("Model", families, (family) => void choose(game, { family }), game.options.family ?? families[0])
        : null,
      variants.length > 1
        ? select("Precision", ["auto", ...variants], (variant) => void choose(game, { variant }), game.choice.variant)
        : null,
      backends.length
        ? select("Model runs on", ["auto", ...backends], (backend) => void choose(game, { backend }), game.choice.backend)
        : null,
      counts(models).length > 1 ? evaluations : null,
      models.length
        ? slider("noise", "Pixels spoilt in what the model sees", NOISE, (percent) => `${percent} %`, "input", (percent) => (game.noise = percent / 100))
        : null,
      models.length
        ? slider("resync-every", "Back to the sim, in neural mode", RESYNC, (n) => (n ? `every ${n} ticks` : "never"), "input", (n) => (game.resyncEvery = n))
        : null,
    ),
    h(
      "div",
      { class: "wm-group wm-actions" },
      h("button", { type: "button", class: "wm-text", "data-do": "begin", onclick: begin }, icon("restart"), "Play this seed"),
      h(
        "button",
        { type: "button", class: "wm-text", "data-do": "share", onclick: () => void view.share() },
        icon("link"),
        "Copy replay link",
      ),
      h("button", { type: "button", class: "wm-text", "data-do": "save-recording", onclick: () => void view.save() }, icon("save"), view.saved),
      view.link,
    ),
  ];
}

/** @param {View} view @param {World} world @returns {HTMLElement[]} */
function keys(view, { spec: { actions, axes } }) {
  /** @param {string} code */
  const face = (code) => KEY_NAMES[/** @type {keyof typeof KEY_NAMES} */ (code)] ?? code.replace(/^(Key|Digit)/, "");
  /** @type {[string[], string][]} */
  const rows = [];
  for (const a of actions) if (a.keys.length) rows.push([a.keys.map(face), a.name]);
  for (const a of axes) rows.push([a.decrease.map(face), `${a.name} down`], [a.increase.map(face), `${a.name} up`]);
  for (const [key, what] of KEYS) rows.push([[key], what]);
  return [
    h(
      "p",
      { id: `${view.id}-hint`, class: "wm-hint" },
      "Keys work while the stage has the focus; Tab leaves it. A gamepad works too.",
    ),
    h(
      "dl",
      { class: "wm-keys" },
      ...rows.map(([codes, what]) => h("div", {}, h("dt", {}, ...codes.map((k) => h("kbd", {}, k))), h("dd", {}, what))),
    ),
  ];
}

/** Return the figures by name. @param {PlayerState} state @param {number | null} fps null while paused @returns {Record<string, string>} */
export function figures(state, fps) {
  /** @param {{p50: number, p95: number}} p */
  const ms = (p) => (p.p95 ? `${p.p50.toFixed(1)} / ${p.p95.toFixed(1)} ms` : "–");
  return {
    "Frames a second": fps === null ? "–" : fps.toFixed(1),
    "Frame interval, p50 / p95": ms(state.intervals),
    "Sim step, p50 / p95": ms(state.stepMs.sim),
    "Model step, p50 / p95": ms(state.stepMs.model),
    "Model runs on": state.backend ?? "–",
    Bits: state.variant ? String(BITS[state.variant]) : "–",
    "Drift against the sim": state.drift === null ? "–" : `${state.drift.toFixed(2)} levels rms`,
    Seed: String(state.seed),
    Tick: String(state.tick),
  };
}
