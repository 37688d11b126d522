"""The stage in its window: whole and large at every size, in full screen, beside its source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from drive import WORLD, game, play, until

# Window, then the least width or height of the picture in Breakout and in Driving, CSS pixels.
SIZES = {
    "a small laptop": (1280, 800, 470, 980),
    "a desk": (1920, 1080, 690, 1080),
    "a phone on its side": (844, 390, 250, 600),
    "a phone": (390, 844, 320, 330),
    "twice the size": (640, 400, 200, 550),
}
ROWS = "top viewport instruments touch drift blend notice bar"
BOXES = """(names) => names.split(" ").flatMap((name) =>
    [...document.querySelectorAll("wm-world .wm-" + name)].map((e) => {
        const {left, top, right, bottom} = e.getBoundingClientRect();
        return {name, left, top, right, bottom};
    })).filter((b) => b.bottom > b.top && b.right > b.left)"""
HEADER = """(() => { const e = document.querySelector(".md-header");
    return getComputedStyle(e).position === "sticky" ? e.getBoundingClientRect().bottom : 0; })()"""


def boxes(page: Any, names: str = ROWS) -> list[dict[str, Any]]:
    # Whatever the game has had to say meanwhile takes its own room.
    game(page, "g.say(null)")
    # What is laid out anew is drawn before it is measured.
    page.evaluate("new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")
    found: list[dict[str, Any]] = page.evaluate(BOXES, names)
    return found


def size(page: Any, name: str) -> tuple[float, float]:
    box = boxes(page, name)[0]
    return box["right"] - box["left"], box["bottom"] - box["top"]


def fits(page: Any, names: str = ROWS) -> None:
    """Everything is inside of the window and below its header, and nothing lies over another."""
    found = boxes(page, names)
    width, height = page.evaluate("[innerWidth, innerHeight]")
    header = page.evaluate(HEADER)
    for box in found:
        assert box["top"] >= header - 1, box
        assert (box["left"], box["right"]) >= (-1, 0), box
        assert box["right"] <= width + 1, box
        assert box["bottom"] <= height + 1, box
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            aside = a["right"] <= b["left"] + 1 or b["right"] <= a["left"] + 1
            assert aside or a["bottom"] <= b["top"] + 1 or b["bottom"] <= a["top"] + 1, (a, b)


@pytest.fixture(scope="module", params=["breakout", "driving"])
def stage(browser: Any, address: str, request: Any) -> Iterator[Any]:
    """A page on a touch screen that plays: with pads at every size."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{address}worlds/{request.param}/")
    page.wait_for_selector("wm-world[data-phase=idle]")
    play(page, model=False)
    page.world = request.param
    yield page
    context.close()


def at(page: Any, name: str) -> tuple[int, int, int]:
    """Bring a page to a size, its stage to where Play brings it; return window and least size."""
    width, height, *least = SIZES[name]
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("scrollTo(0, 0)")
    game(page, "g.pause('you')")
    page.click("[data-do=play]")
    until(page, "s.phase === 'playing'")
    return width, height, least[page.world == "driving"]


@pytest.mark.parametrize("name", SIZES)
def test_it_is_whole_in_its_window_and_large(stage: Any, name: str) -> None:
    _, height, least = at(stage, name)
    fits(stage)
    # The site's header stays above it, but where a low window leaves it no room.
    assert (stage.evaluate(HEADER) > 0) == (height > 480)
    shown = {box["name"] for box in boxes(stage)}
    assert {"top", "viewport", "touch", "bar"} <= shown
    assert ("instruments" in shown) == (stage.world == "driving")
    picture, room = size(stage, "canvas"), size(stage, "viewport")
    assert picture[stage.world == "breakout"] >= least
    # As large as its room, but for screen pixels that are all alike; and no room is left unused.
    assert max(p / r for p, r in zip(picture, room, strict=True)) > 0.94
    bar = boxes(stage, "bar")[0]
    assert picture[0] > 0.94 * room[0] or bar["bottom"] > height - 16


@pytest.mark.parametrize("name", SIZES)
def test_the_source_leaves_stage_run_and_stop_in_sight(stage: Any, name: str) -> None:
    at(stage, name)
    stage.click("[data-opens=source]")
    stage.wait_for_selector("wm-world .cm-content")
    try:
        fits(stage, "top viewport touch bar editor-bar editor-page")
        assert max(size(stage, "canvas")) > 190
        assert min(size(stage, "editor-page")) > 120
        assert stage.locator("[data-do=play]").is_visible()
        # What else opens does so in the same window.
        for panel in ("figures", "settings", "keys"):
            stage.click(f"[data-opens={panel}]")
            fits(stage, "top viewport touch bar panels")
            assert max(size(stage, "canvas")) > 190
    finally:
        stage.click("[data-opens=keys]")
    assert boxes(stage, "panel") == []


@pytest.mark.parametrize("api", [True, False])
def test_full_screen_with_and_without_the_api(stage: Any, api: bool) -> None:
    page = stage
    width, _, _ = at(page, "a phone on its side")
    before = size(page, "canvas")
    page.evaluate(
        """(api) => {
            window.turned = [];
            screen.orientation.lock = async (to) => { window.turned.push(to); };
            const known = Element.prototype.requestFullscreen;
            if (!api) Element.prototype.requestFullscreen = undefined;
            window.mend = () => { Element.prototype.requestFullscreen = known; };
        }""",
        api,
    )
    page.click("[data-do=full]")
    page.wait_for_function(f"() => {WORLD}.hasAttribute('data-full')")
    if api:
        page.wait_for_function(f"() => document.fullscreenElement === {WORLD}")
        page.wait_for_function(
            "(n) => window.turned.length === n", arg=int(page.world == "driving")
        )
        assert set(page.evaluate("window.turned")) <= {"landscape"}
    page.wait_for_function("(w) => innerWidth >= w", arg=width)
    fits(page)
    deck = boxes(page, "deck")[0]
    inner = page.evaluate("[innerWidth, innerHeight]")
    assert (deck["left"], deck["top"]) == (0, 0)
    assert [deck["right"], deck["bottom"]] == pytest.approx(inner, abs=1)
    assert max(size(page, "canvas")) > max(before)
    page.focus(".wm-stage")
    page.keyboard.press("Escape")
    page.wait_for_function(f"() => !{WORLD}.hasAttribute('data-full')")
    page.wait_for_function("() => !document.fullscreenElement")
    assert game(page, "return g.phase") == "playing"
    if not api:
        # What fills the window alone is left with the focus: nothing behind it is walked unseen.
        page.keyboard.press("f")
        page.wait_for_function(f"() => {WORLD}.hasAttribute('data-full')")
        page.focus("[data-opens=keys]")
        page.keyboard.press("Tab")
        page.wait_for_function(f"() => !{WORLD}.hasAttribute('data-full')")
        assert not page.evaluate(f"{WORLD}.contains(document.activeElement)")
    page.evaluate("window.mend(); delete screen.orientation.lock")


def test_back_to_top_never_covers_it(stage: Any) -> None:
    at(stage, "a phone")
    button = stage.locator(".md-top")
    stage.evaluate("scrollTo(0, 6000)")
    stage.wait_for_timeout(100)
    stage.mouse.wheel(0, -300)
    button.wait_for(state="visible")
    stage.evaluate(f"{WORLD}.ui.place()")
    button.wait_for(state="hidden")


def test_home_shows_the_model_at_once_and_does_not_jump_on_play(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("wm-world[data-phase=idle]")
    # Simulator and model move side by side before anything is loaded, and can be stopped.
    shown = "document.querySelector('.wm-film img')"
    page.wait_for_function(f"() => {shown}.naturalWidth > 1.5 * {shown}.naturalHeight")
    assert page.evaluate(f"{shown}.currentSrc").endswith("/film.png")
    assert page.locator(".wm-captions").inner_text().split() == ["Simulator", "Model"]
    stop = page.get_by_role("button", name="Stop the picture")
    stop.click()
    page.wait_for_function(f"() => {shown}.currentSrc.endsWith('/film-still.png')")
    page.get_by_role("button", name="Let the picture move").click()
    page.wait_for_function(f"() => {shown}.currentSrc.endsWith('/film.png')")
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"() => {shown}.currentSrc.endsWith('/film-still.png')")
    assert stop.is_hidden()
    page.emulate_media(reduced_motion="no-preference")
    where = """["h1", ".wm-hero-text", "wm-world", ".wm-hero + h2"].map((s) => {
        const {left, top, right, bottom} = document.querySelector(s).getBoundingClientRect();
        return [left, top, right, bottom].map(Math.round);
    })"""
    before = page.evaluate(where)
    play(page)
    fits(page)
    assert page.evaluate(where) == before
    assert page.locator(".wm-film").count() == 0
    context.close()
