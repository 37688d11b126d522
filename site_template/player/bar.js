// The bar under the picture: what the game is played, shown and opened with.

import { h, icon } from "./dom.js";
import { dream, wake } from "./dream.js";

/** @import {Mode, World} from "../types" */
/** @import {Game} from "./game.js" */
/** @import {View} from "./view.js" */

/** @type {Record<Mode, string>} */
const MODES = { sim: "Sim", overlay: "Overlay", split: "Split", neural: "Neural", difference: "Difference" };
/** @type {Record<Mode, string>} */
export const MEANING = {
  sim: "The simulator alone",
  overlay: "The model's next frame over the simulator's",
  split: "Simulator left, model right",
  neural: "The model alone, on its own frames",
  difference: "Where model and simulator differ, four times as bright",
};

/** Build the groups of controls. @param {View} view @param {Game} game @param {World} world */
export function controls(view, game, world) {
  /** @param {string} action @param {Parameters<typeof icon>[0]} face @param {string} name @param {() => void} onclick */
  const button = (action, face, name, onclick) =>
    h("button", { type: "button", class: "wm-button", "data-do": action, "aria-label": name, title: name, onclick }, icon(face));
  view.playButton = button("play", "pause", "Pause", () => (game.phase === "playing" ? game.pause("you") : game.resume()));
  const modes = world.models.length
    ? h(
        "fieldset",
        // A click leaves the keys to the game: else the arrows would go on through the modes.
        { class: "wm-modes", onpointerup: () => setTimeout(() => view.stage.focus({ preventScroll: true })) },
        h("legend", {}, "View"),
        .../** @type {Mode[]} */ (Object.keys(MODES)).map((mode) =>
          h(
            "label",
            { title: MEANING[mode] },
            h("input", { type: "radio", name: `${view.id}-mode`, value: mode, onchange: () => game.setMode(mode) }),
            h("span", {}, MODES[mode]),
          ),
        ),
      )
    : null;
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: view.opacity, "data-do": "opacity" });
  slider.addEventListener("input", () => {
    view.opacity = Number(slider.value);
    view.draw();
  });
  view.blend = h("label", { class: "wm-blend" }, h("span", {}, "Sim"), slider, h("span", {}, "Model"));
  slider.setAttribute("aria-label", "Opacity of the model over the sim");
  /** @param {string} panel @param {Parameters<typeof icon>[0]} face @param {string} name */
  const opens = (panel, face, name) =>
    h(
      "button",
      {
        type: "button", class: "wm-button wm-opens", "data-opens": panel, "aria-label": name, "aria-expanded": "false",
        "aria-controls": `${view.id}-${panel}`, onclick: () => view.open(panel),
      },
      icon(face), h("span", {}, name),
    ); // prettier-ignore
  const resync = button("resync", "resync", "Bring the model back to the sim (R)", () => void game.resync());
  view.dreamButton = button("dream", "moon", "Dream from here", () => void (game.dream ? wake(game) : dream(game)));
  view.pathButton = button("path", "path", "The points ahead, drawn into the views", () =>
    view.showPath(view.pathButton?.getAttribute("aria-pressed") !== "true"),
  );
  view.saveButton = button("save", "save", "Save recording", () => void view.save());
  return [
    h(
      "div",
      { class: "wm-group" },
      view.playButton,
      button("step", "step", "One tick (.)", () => void game.single()),
      button("restart", "restart", "New game (N)", () => void game.restart()),
      ...(world.models.length ? [resync, view.dreamButton] : []),
      view.pathButton,
      view.saveButton,
    ),
    h("div", { class: "wm-group wm-viewing" }, modes, view.blend),
    h(
      "div",
      { class: "wm-group" },
      opens("source", "code", "Source"),
      opens("figures", "chart", "Figures"),
      opens("settings", "tune", "Game"),
      opens("keys", "keys", "Keys"),
    ),
  ];
}
