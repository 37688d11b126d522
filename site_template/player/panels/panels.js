// The panels below the stage: figures, the game's settings, the keys. The source panel is in source.js.

import { h, icon } from "../element/dom.js";
import { keyName } from "../game/input.js";
import { modesOf } from "../game/modes.js";
import { choose } from "../model/join.js";

/** @import {PlayerState, World} from "../../types" */
/** @import {PlayerUI} from "../element/ui.js" */
/** @import {Game} from "../game/game.js" */

const BITS = { fp32: 32, fp16: 16, int8: 8 };
/** The label of the condition's field if the seed decides. */
export const ANY = "by the seed";
/** Ticks after which the model is brought back to the sim; 0: never. */
const RESYNC = [0, 300, 100, 30, 10, 1];
/** Percent of the pixels that are changed in the model's input. */
const NOISE = [0, 0.1, 0.5, 1, 2, 5, 10];
const KEYS = /** @type {const} */ ([
  ["P", "Pause or play on"],
  [".", "One tick"],
  ["N", "New game"],
  ["Enter", "Play on after a pause; a new game after the end"],
  ["M", "Next mode"],
  ["R", "Bring the model back to the sim"],
  ["F", "Full screen, and back"],
  ["Esc", "Pause and leave the stage, or full screen"],
]);

/**
 * Make the panels of a running world; the player's interface stores the fields that it updates.
 * @param {PlayerUI} ui @param {Game} game @param {World} world @returns {HTMLElement[]}
 */
export function build(ui, game, world) {
  /** @param {string} name @param {string} label @param {...Node} children */
  const panel = (name, label, ...children) =>
    h(
      "section",
      { class: "wm-panel", id: `${ui.id}-${name}`, "data-wm-panel": name, "aria-label": label, hidden: true },
      ...children,
    );
  ui.figures = h("dl", { class: "wm-figures" });
  return [
    ...(world.sim ? [panel("source", "Source of the simulator")] : []),
    panel("figures", "Figures", ui.figures),
    panel("settings", "Game", ...settings(ui, game, world)),
    panel("keys", "Keys", ...keys(ui, world)),
  ];
}

/** @param {PlayerUI} ui @param {Game} game @param {World} world @returns {HTMLElement[]} */
function settings(ui, game, { spec, models, sim, starts }) {
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
  if (sim) ui.seed = seed;
  /** @param {HTMLElement | undefined} field */
  const picked = (field) => field?.querySelector("select")?.value ?? "";
  const anew = () => {
    const condition = picked(ui.condition);
    const start = picked(ui.scenario) + (condition && condition !== ANY ? `/${condition}` : "");
    void game.restart(game.sim?.now.seed, start);
  };
  const moments = Array.from({ length: starts?.count ?? 0 }, (_, i) => `moment ${i + 1}`);
  ui.scenario = sim
    ? select("Start", spec.scenarios, anew)
    : select("Start", moments, (moment) => void game.restart(moments.indexOf(moment)));
  ui.condition = select("Conditions", [ANY, ...spec.conditions], anew);
  ui.pilot = select("Who plays", ["you", ...spec.behaviours], (who) => game.autoplay(who === "you" ? null : who));
  /** @param {string} name @param {string} label @param {number[]} values @param {(value: number) => string} say @param {"input" | "change"} on @param {(value: number) => void} onpick */
  const slider = (name, label, values, say, on, onpick) => {
    const field = h("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: 0, "data-do": name });
    // Not an <output>: as the first labelable element it would get the label.
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
  // Only denoisers have several.
  const able = () => (evaluated.disabled = counts(game.model ? [game.model.model] : []).length < 2);
  game.addEventListener("state", able);
  able();
  ui.saved = h("span", {}, "Save recording");
  ui.link = h("input", { type: "text", readonly: true, "aria-label": "Replay link", hidden: true });
  return [
    h(
      "div",
      { class: "wm-fields" },
      sim && h("label", { class: "wm-field" }, h("span", {}, "Seed"), seed),
      ui.scenario,
      sim && spec.conditions.length ? ui.condition : null,
      sim && spec.behaviours.length ? ui.pilot : null,
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
      sim && models.length
        ? slider("resync-every", "Back to the sim, in neural mode", RESYNC, (n) => (n ? `every ${n} ticks` : "never"), "input", (n) => (game.resyncEvery = n))
        : null,
    ),
    // What needs a simulator to play it again.
    h(
      "div",
      { class: "wm-group wm-actions", hidden: !sim },
      h("button", { type: "button", class: "wm-text", "data-do": "begin", onclick: begin }, icon("restart"), "Play this seed"),
      h(
        "button",
        { type: "button", class: "wm-text", "data-do": "share", onclick: () => void ui.share() },
        icon("link"),
        "Copy replay link",
      ),
      h("button", { type: "button", class: "wm-text", "data-do": "save-recording", onclick: () => void ui.save() }, icon("save"), ui.saved),
      ui.link,
    ),
  ];
}

/** @param {PlayerUI} ui @param {World} world @returns {HTMLElement[]} */
function keys(ui, world) {
  const { actions, axes } = world.spec;
  /** @type {[string[], string][]} */
  const rows = [];
  for (const a of actions) if (a.keys.length) rows.push([a.keys.map(keyName), a.name]);
  for (const a of axes) rows.push([a.decrease.map(keyName), `${a.name} down`], [a.increase.map(keyName), `${a.name} up`]);
  const useless = { M: modesOf(world).length < 2, R: !world.sim };
  for (const [key, what] of KEYS) if (!useless[/** @type {keyof typeof useless} */ (key)]) rows.push([[key], what]);
  return [
    h(
      "p",
      { id: `${ui.id}-hint`, class: "wm-hint" },
      "Keys work while the stage has the focus; Tab leaves it. A gamepad works too.",
    ),
    h(
      "dl",
      { class: "wm-keys" },
      ...rows.map(([codes, what]) => h("div", {}, h("dt", {}, ...codes.map((k) => h("kbd", {}, k))), h("dd", {}, what))),
    ),
  ];
}

/** Return the figures by name. @param {PlayerState} state @param {number | null} fps null while paused @param {boolean} alone whether there is no simulator @returns {Record<string, string>} */
export function figures(state, fps, alone) {
  /** @param {{p50: number, p95: number}} p */
  const ms = (p) => (p.p95 ? `${p.p50.toFixed(1)} / ${p.p95.toFixed(1)} ms` : "–");
  return {
    "Frames a second": fps === null ? "–" : fps.toFixed(1),
    "Frame interval, p50 / p95": ms(state.intervals),
    ...(!alone && { "Sim step, p50 / p95": ms(state.stepMs.sim) }),
    "Model step, p50 / p95": ms(state.stepMs.model),
    "Model runs on": state.backend ?? "–",
    Bits: state.variant ? String(BITS[state.variant]) : "–",
    ...(!alone && { "Drift against the sim": state.drift === null ? "–" : `${state.drift.toFixed(2)} levels rms`, Seed: String(state.seed) }),
    ...(alone && { Start: `moment ${state.seed + 1}` }),
    Tick: String(state.tick),
  };
}
