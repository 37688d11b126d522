"""A link is a game: another browser plays the very same one, or says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drive import Open, frames, game, notice, share, text, until


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
    sim = next(p for p in fragment.lstrip("#").split("&") if p.startswith("sim="))
    other.evaluate(again, fragment.replace(sim, "sim=" + "0" * 16))
    other.wait_for_selector(".wm-notice [data-do=dismiss]")
    assert "another version of the sim" in notice(other)


STRICT = """
async ([base, world]) => {
    const {asWorld, asSite} = await import(base + 'manifest.js');
    const {toFragment, fromFragment} = await import(base + 'replay.js');
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
        'this replay link is not whole: "actions" is damaged',
    ]
