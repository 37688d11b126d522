"""A link is a game: another browser plays the very same one, or says why not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import Open, frames, game, notice, share, text, until

from builder.export import graph_player, runtimes
from builder.project import game_link
from builder.project.worlds import Project
from sims.breakout import Breakout
from training.attacks.search import Opening

ROOT = Path(__file__).parents[2]
PLAYER = ROOT / "site_template" / "player"
REFUSED = "Replay refused: this replay link is not whole: "


def test_a_link_replays_the_very_same_game(playing: Any, open_page: Open) -> None:
    page = playing
    game(page, "await g.restart(5); g.autoplay('random')")
    until(page, "s.seed === 5 && s.tick > 60")
    page.click("[data-do=play]")
    page.click("[data-opens=settings]")
    address = share(page)
    tick = game(page, "await g.turn; return g.state.tick")
    frame = frames(page)[0]
    page.click("[data-opens=settings]")
    fragment = address[address.index("#") :]

    other = open_page(fragment)
    assert other.inner_text(".wm-play") == "Play the replay"
    other.click(".wm-play")
    done = until(other, "s.replay === 'matches' || s.replay === 'differs'")
    assert (done["replay"], done["tick"], done["seed"]) == ("matches", tick, 5)
    assert frames(other)[0] == frame
    assert "Replay matches" in text(other)
    # One other action, and it says so; another sim's link is refused in words.
    (was,) = [p for p in fragment.split("&") if p.startswith("end=")]
    again = "(hash) => { location.hash = hash; }"
    other.evaluate(again, fragment.replace(was, "end=" + "0" * 16))
    other.click(".wm-notice [data-do=skip]")
    until(other, "s.replay === 'differs'")
    # Skipped while it is paused, it tells how it ended, too.
    other.evaluate(again, fragment)
    until(other, "s.replay === 'playing' && s.tick > 0")
    game(other, "g.pause('you')")
    other.click(".wm-notice [data-do=skip]")
    until(other, "s.replay === 'matches'")
    other.locator(".wm-cover:has-text('Replay matches')").wait_for()
    sim = next(p for p in fragment.lstrip("#").split("&") if p.startswith("sim="))
    other.evaluate(again, fragment.replace(sim, "sim=" + "0" * 16))
    other.wait_for_selector(".wm-notice [data-do=dismiss]")
    assert "another version of the sim" in notice(other)
    # While a replay plays, a damaged link is refused in one line, and that replay plays on.
    other.evaluate(again, fragment + "&")
    until(other, "s.replay === 'playing' && s.tick < 10")
    (actions,) = [p for p in fragment.split("&") if p.startswith("actions=")]
    for damaged in ("actions=A", "actions=AAAAA", "actions=", ""):
        game(other, "g.say(null)")
        other.evaluate(again, fragment.replace(actions, damaged))
        other.wait_for_selector(".wm-notice [data-do=dismiss]")
        assert notice(other).startswith(REFUSED)
    game(other, "g.say(null)")
    other.evaluate(again, fragment.replace("replay=breakout", "replay=break"))
    other.wait_for_selector(".wm-notice [data-do=dismiss]")
    assert 'this page has no world "break"' in notice(other)
    until(other, f"s.replay === 'matches' && s.tick === {tick}")


def test_a_damaged_link_is_refused_at_load_and_the_world_plays(open_page: Open) -> None:
    page = open_page("#replay=breakout&sim=0&actions=A")
    page.click(".wm-play")
    until(page, "s.phase === 'playing' && s.seed === 1 && s.tick > 3 && s.modelFrames > 3")
    assert "Replay refused: this replay link is not whole" in notice(page)


def test_a_link_that_names_a_model_plays_it_alone_from_the_first_frame(open_page: Open) -> None:
    """As `wmsite attack` makes them: the page shows what the graph drew when it was found."""
    folder = ROOT / "weights" / "breakout" / "denoiser"
    told = json.loads((folder / "graphs" / "model.json").read_text())
    player = graph_player.Graph(runtimes.Native(), folder / "graphs" / "step.int8.onnx", told)
    opening = Opening.of(Breakout, 5, "fresh", told["history"], 50)
    player.watch(opening.scene)
    actions = np.eye(3, dtype=np.float32)[np.random.default_rng(2).integers(0, 3, 50)]
    for action, chance in zip(actions, opening.chances, strict=True):
        frame = player.step(action[None], chance[None])
    whole = np.concatenate([opening.scene.history_actions[0], actions])
    sim = Project.open(ROOT).world("breakout").hash
    link = game_link.fragment(Breakout, sim, 5, "fresh", whole, "denoiser", "neural")

    page = open_page(f"#{link}")
    page.click(".wm-play")
    for again in (False, True):
        if (
            again
        ):  # Another model plays, in another mode; the link of a page's own list is followed.
            page.select_option("label:has(> span:text-is('Model')) select", "object_laws")
            game(page, "await g.modelLoading; g.setMode('overlay'); g.resume()")
            until(page, "s.shown === 'overlay'")
            page.evaluate("(hash) => { location.hash = hash; }", "")
            page.evaluate("(hash) => { location.hash = hash; }", link)
        done = until(page, f"s.replay === 'matches' && s.tick === {len(whole)}")
        assert (done["shown"], done["seed"]) == ("neural", 5)
        assert game(page, "return g.model.model.family") == "denoiser"
        shown = np.array(frames(page)[1]).reshape(64, 64, 4)
        assert (shown == frame[0, 0]).all(-1).mean() > 0.99
        page.click("[data-opens=settings]")

    # A link far below a stage that has not played yet.
    idle = open_page()
    idle.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    idle.evaluate("(hash) => { location.hash = hash; }", link)
    idle.wait_for_function("() => document.querySelector('.wm-play').checkVisibility()")
    assert idle.inner_text(".wm-play") == "Play the replay"
    box = idle.locator(".wm-play").bounding_box()
    assert 0 < box["y"] < idle.viewport_size["height"]
    idle.click(".wm-play")
    done = until(idle, "s.replay === 'matches'")
    assert done["shown"] == "neural" and game(idle, "return g.model.model.family") == "denoiser"
    # What it shows is not covered.
    assert "at the step that breaks the model" in notice(idle)
    assert "Play on from here" not in text(idle)

    for part, why in (("mode=neural", "mode=dizzy"), ("model=denoiser", "model=none")):
        page.evaluate("(hash) => { location.hash = hash; }", link.replace(part, why))
        page.wait_for_selector(".wm-notice [data-do=dismiss]")
        assert "Replay refused" in notice(page)
        game(page, "g.say(null)")


READ = """
import { fromFragment, toFragment } from "%s";
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { spec, replay, damages } = JSON.parse(Buffer.concat(chunks).toString());
const whole = "#" + toFragment(replay, spec);
const said = (link) => {
  try { fromFragment(link, spec); return "accepted"; }
  catch (error) { return `${error.constructor.name}: ${error.message}`; }
};
const actions = (text) => whole.replace(/actions=[^&]*/, text);
console.log(JSON.stringify({
  whole: said(whole),
  moved: said(actions("x=") + "&" + /actions=[^&]*/.exec(whole)[0]),
  cut: Array.from(whole, (_, i) => said(whole.slice(0, i))),
  damaged: Object.fromEntries(damages.map((d) => [d, said(actions(d))])),
}));
"""
AXIS = {"unit": "", "neutral": 0, "increase": [], "decrease": [], "gamepad": None}
STEER = {**AXIS, "name": "steer", "low": -1, "high": 1}
KEYED = {"actions": [{"name": name} for name in "abc"], "axes": []}
STEERED = {"actions": [], "axes": [STEER, STEER]}
DAMAGES = ["actions=" + text for text in ("A", "AAAAA", "", "%", "AAAA=", "AAA!", "A AA", "AB")]
# A run's length without its end, of no steps, of more than a link may carry; no such action.
DAMAGES += ["", "action=AAEB", "actions=AIA", "actions=AAA", "actions=AP____8H", "actions=CQE"]


@pytest.mark.parametrize("spec", [KEYED, STEERED], ids=["keys", "axes"])
def test_every_damaged_link_is_refused_in_one_line(spec: dict[str, Any]) -> None:
    spec = {**spec, "scenarios": ["serve"], "conditions": []}
    actions = [[i // 40 % 3] if spec["actions"] else [i // 40 % 3 - 1, -1] for i in range(300)]
    replay = {"world": "w", "sim": "a" * 16, "seed": 3, "scenario": "serve", "actions": actions}
    replay["end"] = "b" * 16
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", READ % (PLAYER / "replay" / "link.js")],
        input=json.dumps({"spec": spec, "replay": replay, "damages": DAMAGES}),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["whole"] == said["moved"] == "accepted"  # older links end in their actions
    assert all(text.startswith("ReplayError: this replay link ") for text in said["cut"])
    assert set(said["damaged"].values()) == {
        'ReplayError: this replay link is not whole: "actions" is missing or damaged'
    }


STRICT = """
async ([base, world]) => {
    const {asSite} = await import(base + 'game/manifest.js');
    const {asWorld} = await import(base + 'game/world-manifest.js');
    const {toFragment, fromFragment} = await import(base + 'replay/link.js');
    const said = (work) => {
        try { work(); return 'accepted'; } catch (error) { return error.message; }
    };
    const without = structuredClone(world);
    delete without.sim.hash;
    const axis = {unit: '', neutral: 0, increase: [], decrease: [], gamepad: null};
    const steering = {...world.spec, actions: [], axes: [
        {...axis, name: 'steer', low: -1, high: 1}, {...axis, name: 'gas', low: 0, high: 1}]};
    const at = (i, low, high) => Math.fround(low + (high - low) * i / 254);
    const replay = {world: 'w', sim: 'a'.repeat(16), seed: 3, scenario: world.spec.scenarios[0],
                    actions: [[1]], end: 'b'.repeat(16)};
    const returns = (spec, actions) => {
        const sent = {...replay, actions};
        return JSON.stringify(fromFragment('#' + toFragment(sent, spec), spec))
            === JSON.stringify(sent);
    };
    const link = toFragment(replay, world.spec);
    return [
        said(() => asWorld(world)),
        said(() => asWorld({...world, extra: 1})),
        said(() => asWorld(without)),
        said(() => asSite([])),
        returns(world.spec, Array.from({length: 700}, (_, i) => [Math.floor(i / 300) % 3])),
        returns(world.spec, []),
        returns(steering, Array.from({length: 50}, (_, i) => [at(i, -1, 1), at(254 - i, 0, 1)])),
        said(() => fromFragment(link.replace('actions=', 'actions=_'), world.spec)),
    ];
}
"""


def test_replays_and_manifests_are_read_strictly(open_page: Open, app: str, site: Path) -> None:
    page = open_page()
    world = json.loads(next(site.glob("wm/worlds/breakout-*/world.json")).read_text())
    assert page.evaluate(STRICT, [f"{page.url}{app}/", world]) == [
        "accepted",
        "world.json.extra: not a known key",
        "world.json.sim.hash: expected a string, found nothing",
        "site.json: expected an object, found a list",
        True,
        True,
        True,
        'this replay link is not whole: "actions" is missing or damaged',
    ]


def test_the_way_to_the_end_of_a_long_replay_can_be_stopped(playing: Any) -> None:
    page = playing
    game(page, "await g.restart(3); g.autoplay('good')")
    until(page, "s.seed === 3 && s.tick > 20")
    page.click("[data-do=play]")
    page.click("[data-opens=settings]")
    address = share(page)
    page.click("[data-opens=settings]")
    fragment = address[address.index("#") + 1 :]
    # A million ticks: one action, run on and on.
    (actions,) = [p for p in fragment.split("&") if p.startswith("actions=")]
    page.evaluate(
        "(hash) => { location.hash = hash; }", fragment.replace(actions, "actions=AcCEPQ")
    )
    until(page, "s.replay === 'playing'")
    page.click(".wm-notice [data-do=skip]")
    page.click(".wm-notice [data-do=stop]")
    stopped = until(page, "s.phase === 'paused'")
    assert 0 < stopped["tick"] < 1_000_000
    assert stopped["replay"] == "playing"
    # It goes on from where it was stopped; another game can be begun.
    page.click("[data-do=play]")
    until(page, f"s.phase === 'playing' && s.tick > {stopped['tick']}")
    game(page, "await g.restart(1)")
    until(page, "s.replay === 'none' && s.seed === 1")
    page.evaluate("history.replaceState(null, '', location.pathname)")
