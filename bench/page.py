"""The page in Chromium: Play to the first frame, the size of the first load, the pace of play."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.table import OUT, ROOT, Figure, median
from builder import chromium
from builder.site import download
from sims.errors import UserError

LOADS = 5
SECONDS = 60
PLAY = """
() => new Promise((resolve, reject) => {
  const world = document.querySelector("wm-world");
  const start = performance.now();
  const look = () => {
    const { phase, error, simFrames } = world.state ?? {};
    if (phase === "error") reject(new Error(error));
    else if (simFrames > 0) resolve(performance.now() - start);
    else requestAnimationFrame(look);
  };
  world.querySelector("button").click();
  look();
})
"""
IDLE = "wm-world[data-phase=idle]"
STATE = "document.querySelector('wm-world').state"
GAME = "document.querySelector('wm-world').game"
MODELS = f"{GAME}.world.models.length"


def build() -> Path:
    """Build this project's site into bench/out."""
    out = OUT / "site"
    command = [sys.executable, "-m", "builder.cli", "build", "--train", "never", "--wait"]
    done = subprocess.run(
        [*command, "--site-dir", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"build failed: {done.stderr.strip().splitlines()[-1]}")
    return out


def first_play(page: Any, url: str) -> float:
    """Open the home page and play; return milliseconds from Play to the sim's first frame."""
    page.goto(url)
    page.wait_for_selector(IDLE)
    ms: float = page.evaluate(PLAY)
    return ms


def loads(browser: Any, url: str, site: Path) -> list[Figure]:
    """Play in new browsers, and again from the files that their service worker has stored."""
    cold, warm = [], []
    asked: set[Path] = set()
    for _ in range(LOADS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        here: set[Path] = set()

        def note(response: Any, here: set[Path] = here) -> None:
            # The service worker's downloads for offline use do not count as part of the first load.
            if response.request.service_worker is None:
                here.add(served(site, url, response.url))

        context.on("response", note)
        cold.append(first_play(page, url))
        page.wait_for_function(f"() => {STATE}.modelFrames > 0 || !{MODELS}")
        asked = asked or set(here)
        # The service worker stores the played world; from then on all files come from it.
        page.wait_for_selector(".wm-offline[data-state=kept]", timeout=120_000)
        warm.append(first_play(page, url))
        context.close()
    files = sorted(f for f in asked if f.is_file())
    total = download.compressed(files, known=OUT / "sizes.json") / 1e6
    return [
        Figure("Play to first sim frame, cold", median(cold) / 1000, "s", at_most=4.0),
        Figure(
            "Play to first sim frame, from the service worker",
            median(warm) / 1000,
            "s",
            at_most=2.0,
        ),
        Figure(
            "first load to play, brotli",
            total,
            "MB",
            at_most=12.0,
            note=f"{len(files)} files, quality 5, as hosts compress on the fly",
        ),
    ]


def served(site: Path, url: str, asked: str) -> Path:
    """Return the file of a URL of the site; a folder means its index.html."""
    path = urlsplit(asked).path.removeprefix(urlsplit(url).path)
    return site / path / "index.html" if not path or path.endswith("/") else site / path


def pace(browser: Any, url: str) -> list[Figure]:
    """Play for a minute in overlay mode with keys, and read the page's own frame intervals."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    first_play(page, url)
    page.wait_for_function(f"() => {STATE}.modelFrames > 30 || !{MODELS}")
    if not page.evaluate(MODELS):
        return [Figure("overlay: frame interval p95", None, "ms", note="this site has no model")]
    page.check("wm-world input[value=overlay]", force=True)
    rng = random.Random(0)

    def play() -> None:
        key = rng.choice(["ArrowLeft", "ArrowRight"])
        page.keyboard.down(key)
        page.wait_for_timeout(rng.uniform(100, 700))
        page.keyboard.up(key)

    state, figure = played(page, play)
    model = (
        f", model step p50 {state['stepMs']['model']['p50']:.1f} ms "
        f"({state['variant']} on {state['backend']})"
    )
    context.close()
    return [replace(figure, note=figure.note + model)]


def drive(browser: Any, url: str) -> list[Figure]:
    """Drive for a minute, with the autopilot and all cameras and sensors drawn."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    first_play(page, f"{url}worlds/driving/")
    page.evaluate(f"{GAME}.autoplay('autopilot')")
    _, figure = played(page, lambda: page.wait_for_timeout(500))
    context.close()
    return [figure]


def played(page: Any, play: Callable[[], None]) -> tuple[dict[str, Any], Figure]:
    """Play for SECONDS; return the page's state and its frame intervals as a figure."""
    spec = page.evaluate(f"{GAME}.world.spec")
    page.evaluate(f"{GAME}.loop.intervals.clear()")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        play()
    state = page.evaluate(STATE)
    ideal = 1000 / spec["rate"]
    found, sim = state["intervals"], state["stepMs"]["sim"]
    return state, Figure(
        f"{spec['name']}, {state['mode']} mode, {SECONDS} s of play: frame interval p95",
        found["p95"],
        "ms",
        at_most=1.25 * ideal,
        note=f"ideal {ideal:.1f}, median {found['p50']:.1f}, {found['count']} frames (none for "
        f"3 s after a game over); sim step p50 {sim['p50']:.1f}, p95 {sim['p95']:.1f} ms",
    )


def measure() -> list[Figure]:
    """Build the site, and play it."""
    shutil.rmtree(OUT / "site", ignore_errors=True)
    site = build()
    with chromium.serve_folder(site) as url, chromium.browser() as browser:
        return [*loads(browser, url, site), *pace(browser, url), *drive(browser, url)]
