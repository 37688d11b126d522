"""The model alone from a state that the player chose, the way back, and how far it drifts."""

from __future__ import annotations

import re
from typing import Any

from drive import WORLD, Open, frames, game, notice, pixels, play, state, text, until

STEPS = 8
# The model's frame after each of the first ticks of a dream.
LISTEN = f"""() => {{
    const g = {WORLD}.game, from = g.state.tick;
    window.dreamt = {{}};
    g.addEventListener("frame", () => {{
        const {{tick, dream}} = g.state;
        if (dream === from && tick > from && tick <= from + {STEPS})
            dreamt[tick - from] = [g.modelFrame.join(), g.simFrame.join()];
    }});
}}"""


def pause(page: Any) -> int:
    """Pause with the button; return the tick."""
    page.click("[data-do=play]")
    tick: int = game(page, "await g.turn; return g.state.tick")
    return tick


def dream(page: Any, button: str, tick: int) -> dict[str, list[str]]:
    """Press `button` and return what is dreamt in the first ticks."""
    page.evaluate(LISTEN)
    page.click(button)
    until(page, f"s.shown === 'neural' && s.dream === {tick} && s.tick > {tick + STEPS}")
    found: dict[str, list[str]] = page.evaluate("dreamt")
    assert list(found) == [str(i + 1) for i in range(STEPS)]
    return found


def test_a_dream_starts_from_the_paused_sim_and_leads_back_to_it(playing: Any) -> None:
    page = playing
    # The model does not play, and still the dream starts from all that came before.
    page.check("input[value=sim]")
    begun = state(page)["tick"]
    until(page, f"s.tick > {begun + 20}")
    tick = pause(page)
    before = game(page, "return g.sim.digest()")
    picture = pixels(page)
    first = dream(page, ".wm-cover [data-do=dream]", tick)
    assert f"Dreaming since tick {tick}" in notice(page)
    # One step from the sim's state, the model still sees nearly what the sim shows.
    model, sim = ([int(v) for v in frame.split(",")] for frame in first["1"])
    assert sum(abs(m - s) > 24 for m, s in zip(model, sim, strict=True)) < 0.02 * len(sim)
    page.click(".wm-notice [data-do=wake]")
    after = until(page, "s.dream === null && s.phase === 'paused'")
    assert (after["tick"], after["mode"]) == (tick, "sim")
    assert game(page, "return g.sim.digest()") == before
    assert pixels(page) == picture
    # Again from the very same state, in another mode and from the bar: the very same dream.
    page.check("input[value=overlay]")
    assert dream(page, ".wm-bar [data-do=dream]", tick) == first
    pause(page)
    assert "Back to the sim" in page.inner_text(".wm-cover")
    page.click(".wm-bar [data-do=dream]")
    after = until(page, "s.dream === null && s.phase === 'paused'")
    assert (after["tick"], after["mode"]) == (tick, "overlay")
    sim_frame, model_frame = frames(page)
    assert model_frame == sim_frame
    page.click("[data-do=go]")
    until(page, f"s.phase === 'playing' && s.tick > {tick + 3} && s.drift !== null")


def test_a_dream_ends_in_the_sim_not_in_a_new_game(playing: Any) -> None:
    page = playing
    begun = state(page)["tick"]
    until(page, f"s.tick > {begun + 5}")
    tick = pause(page)
    dream(page, ".wm-cover [data-do=dream]", tick)
    game(page, "g.end()")
    until(page, "s.over")
    assert "The model says so, in its dream." in text(page)
    page.click("[data-do=go]")
    after = until(page, "!s.over && s.dream === null")
    assert (after["phase"], after["tick"], after["seed"]) == ("paused", tick, 1)
    # Another mode is the sim as it went on beside the dream.
    dream(page, ".wm-cover [data-do=dream]", tick)
    page.check("input[value=overlay]")
    assert until(page, "s.dream === null && s.shown === 'overlay'")["tick"] > tick + STEPS


PLOT = """() => ({
    line: document.querySelector('.wm-drift-path').getAttribute('d'),
    width: Number(document.querySelector('.wm-drift svg').getAttribute('viewBox').split(' ')[2]),
    label: document.querySelector('.wm-drift svg').getAttribute('aria-label'),
    top: Number(document.querySelector('.wm-drift-top').textContent),
    value: document.querySelector('.wm-drift-value').textContent,
})"""


def test_the_drift_is_drawn_as_it_is_measured(playing: Any) -> None:
    page = playing
    begun = state(page)["tick"]
    until(page, f"s.tick > {begun + 30}")
    pause(page)
    drift = state(page)["drift"]
    plot = page.evaluate(PLOT)
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", plot["line"]) if p]
    values = [v for v in game(page, "return g.drifts.ordered()") if v == v]
    assert len(points) >= 30
    assert [x for x, _ in points[-30:]] == [plot["width"] - i for i in reversed(range(30))]
    drawn = [plot["top"] * (1 - y / 100) for _, y in points]
    assert max(abs(d - v) for d, v in zip(drawn[-30:], values[-30:], strict=True)) < 0.1
    assert values[-1] == drift
    assert plot["value"] == f"{drift:.1f} rms"
    assert f"now {drift:.1f}, at most {max(values):.1f} levels rms" in plot["label"]
    assert plot["top"] >= max(values)


def test_the_drift_line_keeps_its_place_in_every_mode(playing: Any) -> None:
    page = playing
    places = set()
    for mode in ("sim", "overlay", "split", "neural", "difference"):
        page.check(f"input[value={mode}]")
        begun = state(page)["tick"]
        drifts = "s.drift === null" if mode == "sim" else "s.drift !== null"
        until(page, f"s.shown === '{mode}' && s.tick > {begun + 3} && {drifts}")
        box = page.locator(".wm-drift").bounding_box()
        places.add((box["y"], box["height"], page.locator(".wm-bar").bounding_box()["y"]))
    assert len(places) == 1


def test_the_drift_line_is_calm_where_motion_is_to_be_reduced(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    play(page)
    # Nobody at the paddle: the game would be over first, and here none begins by itself.
    game(page, "g.autoplay('good')")
    redrawn, seconds = page.evaluate(
        f"""async () => {{
            const began = performance.now(), from = {WORLD}.state.tick;
            let redrawn = 0;
            new MutationObserver((changes) => (redrawn += changes.length)).observe(
                document.querySelector('.wm-drift-path'), {{attributes: true}});
            while ({WORLD}.state.tick < from + 100) await new Promise((go) => setTimeout(go, 50));
            return [redrawn, (performance.now() - began) / 1000];
        }}"""
    )
    # Once a second at the most, however long that took.
    assert 1 <= redrawn <= seconds + 1
