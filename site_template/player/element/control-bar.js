// The bar under the picture: controls to play, to choose what is shown, and to open panels.

import { modesOf } from "../game/modes.js";
import { dream, wake } from "../game/neural-game.js";
import { h, icon } from "./dom.js";

/** @import {Mode, World} from "../../types" */
/** @import {Game} from "../game/game.js" */
/** @import {PlayerUI} from "./ui.js" */

/** @type {Record<Mode, string>} */
const NAMES = { sim: "Sim", overlay: "Overlay", split: "Split", neural: "Neural", difference: "Difference" };
/** @type {Record<Mode, string>} */
const MEANING = {
  sim: "The simulator alone",
  overlay: "The model's next frame over the simulator's",
  split: "Simulator left, model right",
  neural: "The model alone, on its own frames",
  difference: "Where model and simulator differ, four times as bright",
};

/** What a mode shows. @param {Mode} mode @param {boolean} alone without a simulator */
export const meaning = (mode, alone) =>
  alone && mode === "split" ? "A recorded game left, the model right, under the recorded actions" : MEANING[mode];

/** Build the groups of controls. @param {PlayerUI} ui @param {Game} game @param {World} world */
export function controls(ui, game, world) {
  /** @param {string} action @param {Parameters<typeof icon>[0]} face @param {string} name @param {() => void} onclick */
  const button = (action, face, name, onclick) =>
    h("button", { type: "button", class: "wm-button", "data-do": action, "aria-label": name, title: name, onclick }, icon(face));
  ui.playButton = button("play", "pause", "Pause", () => (game.phase === "playing" ? game.pause("you") : ui.go()));
  const beside = Boolean(world.sim && world.models.length);
  const offered = modesOf(world);
  const modes = offered.length > 1
    ? h(
        "fieldset",
        // A click leaves the keys to the game: otherwise the arrow keys would change the mode.
        { class: "wm-modes", onpointerup: () => setTimeout(() => ui.stage.focus({ preventScroll: true })) },
        h("legend", {}, "View"),
        ...offered.map((mode) =>
          h(
            "label",
            { title: meaning(mode, !world.sim) },
            h("input", { type: "radio", name: `${ui.id}-mode`, value: mode, onchange: () => game.setMode(mode) }),
            h("span", {}, NAMES[mode]),
          ),
        ),
      )
    : null;
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: ui.opacity, "data-do": "opacity" });
  slider.addEventListener("input", () => {
    ui.opacity = Number(slider.value);
    ui.draw();
  });
  if (beside) ui.blend = h("label", { class: "wm-blend" }, h("span", {}, "Sim"), slider, h("span", {}, "Model"));
  slider.setAttribute("aria-label", "Opacity of the model over the sim");
  /** @param {string} panel @param {Parameters<typeof icon>[0]} face @param {string} name */
  const opens = (panel, face, name) =>
    h(
      "button",
      {
        type: "button", class: "wm-button wm-opens", "data-opens": panel, "aria-label": name, "aria-expanded": "false",
        "aria-controls": `${ui.id}-${panel}`, onclick: () => ui.open(panel),
      },
      icon(face), h("span", {}, name),
    ); // prettier-ignore
  const resync = button("resync", "resync", "Bring the model back to the sim (R)", () => void game.resync());
  if (beside) ui.dreamButton = button("dream", "moon", "Dream from here", () => void (game.dream ? wake(game) : dream(game)));
  ui.pathButton = button("path", "path", "The points ahead, drawn into the views", () =>
    ui.showPath(ui.pathButton?.getAttribute("aria-pressed") !== "true"),
  );
  if (world.sim) ui.saveButton = button("save", "save", "Save recording", () => void ui.save());
  return [
    h(
      "div",
      { class: "wm-group" },
      ui.playButton,
      button("step", "step", "One tick (.)", () => void game.single()),
      button("restart", "restart", "New game (N)", () => void game.restart()),
      ...(ui.dreamButton ? [resync, ui.dreamButton] : []),
      ui.pathButton,
      ui.saveButton ?? null,
      ui.fullScreen.button,
    ),
    h("div", { class: "wm-group wm-viewing" }, modes),
    h(
      "div",
      { class: "wm-group" },
      world.sim?.sources.some((s) => s.editable) ? opens("source", "code", "Source") : null,
      opens("figures", "chart", "Figures"),
      opens("settings", "tune", "Game"),
      opens("keys", "keys", "Keys"),
    ),
  ];
}
