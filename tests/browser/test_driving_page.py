"""Drive in Chromium: keys, fingers and sticks, dials, scenarios, recordings, files as tabs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import WORLD, game, notice, play, sees, share, state, until

from sims.host import digest, load_sim

ROOT = Path(__file__).parents[2]
AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()
PAGE = "worlds/driving/"
GIVEN = "(g.sim.now.actions.at(-1) ?? [])"


def opened(browser: Any, address: str, **options: Any) -> Any:
    context = browser.new_context(accept_downloads=True, **options)
    page = context.new_page()
    page.goto(address + PAGE)
    page.wait_for_selector("wm-world[data-phase=idle]")
    play(page, model=False)
    return page


@pytest.fixture(scope="module")
def desk(browser: Any, address: str) -> Iterator[Any]:
    """A page on a desk that drives."""
    page = opened(browser, address, viewport={"width": 1280, "height": 900})
    yield page
    page.context.close()


@pytest.fixture
def car(desk: Any) -> Iterator[Any]:
    """The page on the desk, on a free road, with nobody at the wheel."""
    game(desk, "g.autoplay(null); await g.restart(1, g.sim.spec.scenarios[0]); g.resume();")
    until(desk, "s.phase === 'playing' && s.tick > 1 && !s.edited")
    desk.focus(".wm-stage")
    yield desk
    # Other pages need the processor.
    game(desk, "g.pause('test')")


def violations(page: Any) -> list[Any]:
    page.evaluate(AXE + "; 0")
    return list(
        page.evaluate(
            """async () => (await axe.run('wm-world', {resultTypes: ['violations']})).violations
            .map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120) + n.failureSummary)])"""
        )
    )


def test_keys_drive_at_their_pace_and_dials_tell_it(car: Any) -> None:
    page = car
    scrolled, speed = page.evaluate("scrollY"), game(page, "return g.read('sensor.speed.0')")
    page.keyboard.down("ArrowUp")
    page.keyboard.down("KeyA")
    sees(page, f"{GIVEN}[0] === 1 && {GIVEN}[1] === 1")
    page.keyboard.up("KeyA")
    sees(page, f"{GIVEN}[0] === 0 && g.read('sensor.speed.0') > {speed} + 1")
    page.keyboard.up("ArrowUp")
    steers, pace, rate = game(
        page,
        "const {now, spec} = g.sim;"
        "return [now.actions.map((a) => a[0]), spec.axes[0].pace, spec.rate]",
    )
    # At its pace to the end and back: every way is a step, or what is left of one.
    ways = np.abs(np.diff(steers))
    assert ways.max() <= pace / rate + 1 / 127
    assert np.sum(ways > 0) >= 2 * rate / pace
    page.keyboard.press("Space")
    sees(page, "g.sim.now.actions.some((a) => a[2] > 0)")
    assert page.evaluate("scrollY") == scrolled
    # What the dials say is what the sensors say, to eyes and to screen readers.
    page.keyboard.press("KeyP")
    game(page, "await g.turn")
    page.wait_for_timeout(300)
    told = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('[role=meter]')].map((m) => [
        m.getAttribute('aria-label'), [m.querySelector('.wm-meter-value').textContent,
        m.getAttribute('aria-valuetext')]]))"""
    )
    speed = game(page, "return g.read('sensor.speed.0')")
    assert abs(float(told["Speed"][0]) - speed) < 0.06
    # The sim's, then the model's beside it.
    assert told["Speed"][1].startswith(f"{told['Speed'][0]} m/s; beside it ")
    assert {"Steer", "Throttle", "Brake"} <= set(told)
    # The route is drawn into the view ahead, where the button wants it.
    assert len(page.locator(".wm-ahead polygon").first.get_attribute("points").split()) > 4
    page.click("[data-do=path]")
    assert page.locator(".wm-ahead").is_hidden()
    page.click("[data-do=path]")


def test_a_stick_and_triggers_are_analog(car: Any) -> None:
    page = car
    page.evaluate(
        """navigator.getGamepads = () => [{mapping: 'standard', axes: [-0.55, 0, 0, 0],
        buttons: Array.from({length: 17}, (_, i) => ({value: i === 7 ? 0.775 : 0.04}))}]"""
    )
    # A tenth is the dead zone; a stick's left is negative, the wheel's left is not.
    sees(page, f"Math.hypot({GIVEN}[0] - 0.5, {GIVEN}[1] - 0.75, {GIVEN}[2]) < 0.02")
    page.evaluate("delete navigator.getGamepads")
    sees(page, f"{GIVEN}[0] === 0")


def test_scenario_and_condition_are_picked_and_replayed(car: Any) -> None:
    page = car
    page.click("[data-opens=settings]")
    field = page.locator(".wm-field")
    name = game(page, "return g.sim.spec.scenarios[1]")
    field.filter(has_text="Start").locator("select").select_option(name)
    until(page, f"s.scenario === '{name}' && s.tick > 1")
    field.filter(has_text="Conditions").locator("select").select_option("fog")
    field.filter(has_text="Who plays").locator("select").select_option("autopilot")
    until(page, f"s.scenario === '{name}/fog' && s.seed === 1 && s.tick > 30")
    page.click("[data-do=play]")
    address = share(page)
    tick = game(page, "await g.turn; return g.state.tick")
    page.click("[data-opens=settings]")
    page.evaluate("(hash) => { location.hash = hash; }", address[address.index("#") :])
    page.click(".wm-notice [data-do=skip]")
    done = until(page, "s.replay === 'matches' || s.replay === 'differs'")
    assert (done["replay"], done["tick"], done["scenario"]) == ("matches", tick, f"{name}/fog")


def test_a_recording_is_the_same_drive_in_cpython(car: Any, tmp_path: Path) -> None:
    page = car
    page.keyboard.down("KeyW")
    until(page, "s.tick > 25")
    game(page, "g.autoplay('random')")
    until(page, "s.tick > 40")
    page.keyboard.up("KeyW")
    page.click("[data-do=play]")
    with page.expect_download() as saving:
        page.click("[data-do=save]")
    assert saving.value.suggested_filename.startswith("driving-")
    assert saving.value.suggested_filename.endswith(".wmsite.json")
    saving.value.save_as(tmp_path / "drive.wmsite.json")
    told = json.loads((tmp_path / "drive.wmsite.json").read_text())
    spec = load_sim("sims.driving").spec
    assert (told["format"], told["version"], told["world"]) == ("wmsite-recording", 1, spec.name)
    assert told["axes"] == [axis.name for axis in spec.axes]
    last = told["games"][-1]
    assert [who for _, who in last["drivers"]] == ["person", "random"]
    assert last["edited"] is False
    assert told["sims"] == {last["sim"]: None}
    assert len(last["steps"]) == state(page)["tick"]
    for one in told["games"]:
        sim = load_sim("sims.driving")(1)
        sim.reset(np.array([one["seed"]], np.int64), one["scenario"])
        for action in one["steps"]:
            sim.step(np.array([action], np.float32))
        assert digest(sim.snapshot()) == one["end"]


def test_a_folder_of_files_is_edited_in_tabs(car: Any) -> None:
    page = car
    page.click("[data-opens=source]")
    tabs = page.locator(".wm-editor-tabs [role=tab]")
    tabs.filter(has_text="ego.py").click()
    page.locator(".cm-content:visible").click()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("broken = (")
    page.click("[data-do=run]")
    fault = page.locator(".wm-editor-fault")
    fault.filter(has_text="ego.py").wait_for()
    lines = page.evaluate(f"{WORLD}.shippedSources['sims/driving/ego.py']").count("\n")
    assert f"Line {lines + 1} of driving/ego.py: SyntaxError" in fault.inner_text()
    # From another tab, the button leads to the line.
    tabs.first.click()
    page.click(".wm-editor-fault button")
    assert tabs.filter(has_text="ego.py").get_attribute("aria-selected") == "true"
    assert tabs.filter(has_text="ego.py").get_attribute("data-changed") == ""
    # Another file, edited and run: what it says is so at once.
    source = page.evaluate(f"{WORLD}.shippedSources")
    edit = {p: t.replace("RATE = 20", "RATE = 10") for p, t in source.items() if "rig" in p}
    assert page.evaluate(f"(files) => {WORLD}.runSource(files)", edit) == {"ok": True}
    until(page, "s.edited && s.tick > 3")
    assert game(page, "return g.sim.spec.rate") == 10
    with page.expect_download() as saving:
        page.click("[data-do=download]")
    assert saving.value.suggested_filename == "driving.zip"
    names = zipfile.ZipFile(io.BytesIO(Path(saving.value.path()).read_bytes())).namelist()
    assert set(names) == {path.removeprefix("sims/") for path in source}
    # A recording of it carries what was edited.
    told = game(page, "return g.exclusively(() => g.recorder.recording(g.sim))")
    last = told["games"][-1]
    assert last["edited"] is True
    assert told["sims"][last["sim"]] == edit
    page.click("[data-do=reset-source]")
    until(page, "!s.edited && s.tick > 1")
    assert notice(page) == ""
    page.click("[data-opens=source]")


def test_axe_finds_nothing_in_either_scheme(car: Any) -> None:
    page = car
    page.click("[data-do=play]")
    page.click("[data-opens=settings]")
    for scheme in ("slate", "default"):
        page.evaluate("(s) => document.body.setAttribute('data-md-color-scheme', s)", scheme)
        page.wait_for_timeout(500)  # Colours change smoothly.
        assert violations(page) == [], scheme
    page.click("[data-opens=settings]")


def test_two_thumbs_drive_on_a_phone(browser: Any, address: str) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = opened(browser, address, **options)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page) == []
    middles = []
    for code in ("touch:steer+", "touch:steer-", "touch:brake+", "touch:throttle+"):
        button = page.locator(f"[data-code='{code}']")
        button.scroll_into_view_if_needed()
        middles.append(button.bounding_box())
    # Left, right, brake, throttle: from one side to the other, and large enough.
    assert [b["x"] for b in middles] == sorted(b["x"] for b in middles)
    assert all(b["width"] >= 56 and b["height"] >= 56 for b in middles)
    steer, *_, throttle = (
        {"x": b["x"] + b["width"] / 2, "y": b["y"] + b["height"] / 2, "id": i}
        for i, b in enumerate(middles)
    )
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *points: Any) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    fingers("touchStart", steer)
    fingers("touchStart", steer, throttle)
    sees(page, f"{GIVEN}[0] === 1 && {GIVEN}[1] === 1")
    fingers("touchEnd", steer)
    sees(page, f"{GIVEN}[0] === 0 && {GIVEN}[1] === 1")
    fingers("touchEnd")
    sees(page, f"{GIVEN}[1] === 0")
    # The camera ahead has the whole width, the others share the next row.
    width, height = page.evaluate(
        "(({width, height}) => [width, height])(document.querySelector('.wm-canvas'))"
    )
    assert height > 0.8 * width
    page.context.close()
