"""The page in Firefox and in WebKit, as Debian has them: play, the model, an edit, no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import webdriver
from drive import PADDLE, WORLD, game, paddle, pixels, play, sees, state, until

from builder import chromium

# A busy machine takes its time to compile WebAssembly: WebKit needs ten seconds of one core.
LIMITS = {"stage": 200_000, "open": 100_000, "step": 100_000}
PATIENT = f"async (path) => {{ Object.assign((await import(path)).LIMITS, {json.dumps(LIMITS)}); }}"


@dataclass
class Visit:
    """A browser on the site's first page; `host` serves it until it is closed."""

    page: webdriver.Page
    host: ExitStack


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def visit(request: pytest.FixtureRequest, site: Path, app: str) -> Iterator[Visit]:
    with ExitStack() as host, getattr(webdriver, request.param)() as page:
        url = host.enter_context(chromium.serve_folder(site, base="/some/repo/"))
        page.goto(url)
        page.wait_for_selector("wm-world[data-phase=idle]")
        page.evaluate(PATIENT, f"{url}{app}/game/loading-stages.js")
        yield Visit(page, host)


def test_a_world_plays_and_keys_move_it(visit: Visit) -> None:
    page = visit.page
    play(page, model=False, seconds=120)
    game(page, "g.setMode('sim')")
    page.click(".wm-stage")
    start, tick = paddle(page), state(page)["tick"]
    page.keyboard.down("ArrowRight")
    until(page, f"s.tick > {tick + 8}")
    page.keyboard.up("ArrowRight")
    assert paddle(page) > start + 8
    sees(page, "g.sim.now.actions.at(-1)[0] === 0")


def test_the_model_plays_beside_it_and_alone(visit: Visit) -> None:
    page = visit.page
    until(page, "s.backend === 'wasm'", 120)
    game(page, "g.autoplay('good'); g.setMode('neural')")
    frames = state(page)["modelFrames"]
    after = until(page, f"s.shown === 'neural' && s.modelFrames > {frames + 20}")
    assert after["error"] is None
    game(page, "g.setMode('overlay')")
    until(page, "s.shown === 'overlay' && s.drift !== null")


def test_an_edit_is_played(visit: Visit) -> None:
    page = visit.page
    page.click("[data-opens=source]")
    page.wait_for_selector("wm-world .cm-content")
    page.click("[data-do=run]")
    page.wait_for_function("document.querySelector('.wm-editor-note').innerText.includes('runs')")
    source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
    wide = source.replace("PADDLE_WIDTH = 12", "PADDLE_WIDTH = 30")
    run = f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})"
    assert page.evaluate(run, wide) == {"ok": True}
    game(page, "g.setMode('sim')")
    until(page, "s.edited && s.tick > 2")
    row = pixels(page)[58 * 256 : 59 * 256]
    assert sum(row[i : i + 3] == PADDLE for i in range(0, 256, 4)) == 30
    # A fault has its line.
    answer = page.evaluate(run, wide.replace("PADDLE_WIDTH = 30", "PADDLE_WIDTH = ("))
    at = next(i for i, text in enumerate(wide.splitlines(), 1) if text.startswith("PADDLE_WIDTH"))
    assert (answer["ok"], answer["error"]["line"]) == (False, at)


def test_all_is_there_without_a_network(visit: Visit, app: str) -> None:
    page = visit.page
    page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", 120_000)
    visit.host.close()
    page.reload()
    page.wait_for_selector("wm-world[data-phase=idle]")
    page.evaluate(PATIENT, f"/some/repo/{app}/game/loading-stages.js")
    play(page, seconds=120)
    assert "Complete offline" in page.inner_text(".wm-embed .wm-offline")
