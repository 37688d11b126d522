// The page of `wmsite data play`: a person plays an environment that runs in Python, step by step.

import { Input, keyName, touchPad } from "../player/game/input.js";
import { Loop } from "../player/game/loop.js";

/** @import {Spec} from "../types" */
/** @typedef {{frame: string, over: boolean, earned: number, steps: number, games: number, said: string}} Moment */

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function part(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}
const screen = part("screen", HTMLCanvasElement);
const [begin, end, drop] = ["begin", "end", "drop"].map((id) => part(id, HTMLButtonElement));
const [said, keys, pad] = ["said", "keys", "pad"].map((id) => part(id, HTMLElement));

/** @type {Spec} */
const spec = await (await fetch("/world.json")).json();
const input = new Input(spec);
let [playing, over] = [false, true];
/** The step that is on, until it is shown. @type {Promise<boolean>} */
let stepping = Promise.resolve(false);
const picture = new Image();

/** @param {string} verb @param {object} [told] @returns {Promise<Moment>} */
async function ask(verb, told = {}) {
  const answer = await fetch(`/${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(told),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

/** @param {Moment} moment */
async function show(moment) {
  over = moment.over;
  if (moment.frame) {
    picture.src = moment.frame;
    await picture.decode();
  }
  for (const name of /** @type {const} */ (["games", "steps"])) part(name, HTMLElement).textContent = String(moment[name]);
  part("earned", HTMLElement).textContent = String(Number(moment.earned.toFixed(3)));
  drop.disabled = playing || !moment.games;
  if (moment.said) said.textContent = moment.said;
}

function draw() {
  screen.width = picture.naturalWidth;
  screen.height = picture.naturalHeight;
  screen.getContext("2d")?.drawImage(picture, 0, 0);
}

/** @param {unknown} error */
function fail(error) {
  stop();
  over = true; // The server has left the game.
  said.textContent = error instanceof TypeError ? "wmsite has ended: start it again, then reload this page." : String(error).replace("Error: ", "");
}

function stop() {
  playing = false;
  loop.stop();
  input.releaseAll();
  begin.hidden = false;
  end.disabled = true;
}

async function tick() {
  if (!playing) return false;
  stepping = step();
  return stepping;
}

async function step() {
  try {
    const moment = await ask("step", { action: input.sample() });
    if (moment.over) stop();
    await show(moment);
    if (moment.over) draw();
    return true;
  } catch (error) {
    fail(error);
    return false;
  }
}

const loop = new Loop({ rate: spec.rate, tick, present: draw });

begin.onclick = async () => {
  try {
    begin.hidden = true;
    said.textContent = "The environment starts …";
    for (const name of ["steps", "earned"]) part(name, HTMLElement).textContent = "0";
    input.settle();
    playing = true;
    await show(await ask("begin"));
    said.textContent = "";
    draw();
    end.disabled = false;
    screen.focus();
    loop.start();
  } catch (error) {
    fail(error);
  }
};
end.onclick = async () => {
  playing = false;
  end.disabled = true;
  // It may end the game itself; and its answer must not come after that to "end".
  await stepping;
  if (!over) await ask("end").then(show).catch(fail);
  stop();
};
drop.onclick = () => ask("drop").then(show).catch(fail);

addEventListener("keydown", (event) => {
  if (!playing || event.repeat || !input.bound(event.code)) return;
  event.preventDefault();
  input.press(event.code);
});
addEventListener("keyup", (event) => input.release(event.code));
addEventListener("blur", () => input.releaseAll());

const { left, right } = touchPad(spec, false);
for (const { code, face, name } of [...left, ...right]) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = face;
  button.setAttribute("aria-label", name);
  button.onpointerdown = () => input.press(code);
  for (const event of /** @type {const} */ (["onpointerup", "onpointercancel", "onpointerleave"])) button[event] = () => input.release(code);
  pad.append(button);
}

/** @param {readonly string[]} codes @param {string} does */
function listed(codes, does) {
  const shown = codes.flatMap((code) => {
    const key = document.createElement("kbd");
    key.textContent = keyName(code);
    return [key, " "];
  });
  keys.append(...shown, `${does}. `);
}
part("title", HTMLElement).textContent = spec.title;
for (const action of spec.actions) if (action.keys.length) listed(action.keys, action.name);
for (const axis of spec.axes) {
  if (axis.decrease.length) listed(axis.decrease, `${axis.name} down`);
  if (axis.increase.length) listed(axis.increase, `${axis.name} up`);
}
if (spec.actions[0]) keys.append(`While you press nothing: ${spec.actions[0].name}.`);
document.body.dataset.ready = "yes";
