"""A world with two models: how they are compared, and how one takes the place of the other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drive import play, sees, state, until
from playwright.sync_api import expect

from builder import chromium

ROOT = Path(__file__).parents[2]
RECIPE = """
world = "breakout"
family = "denoiser"
seed = 3
[data]
steps = 3000
worlds = 12
episode_steps = 120
splits = { train = 0.6, val = 0.2, test = 0.2 }
[model]
channels = 16
blocks = 1
offered = [1, 4]
[train]
minutes = 5.0
steps = 20
batch = 4
unroll = 1
validate_games = 4
validate_steps = 8
[evaluate]
seeds = 1
rollouts = 2
horizons = [1, 16]
steps = 16
games = 2
play_steps = 16
[export]
variants = ["fp32"]
calibration = 8
replays = 4
rollouts = 0
webgpu = false
tolerance = { pixels = 1.0 }
"""
COMPARISON = """
```world-report
world: breakout
section: comparison
```

```world-report
world: breakout
section: provenance
model: denoiser
```
"""


@pytest.fixture(scope="module")
def address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site with the committed model and another, hardly trained."""
    project = tmp_path_factory.mktemp("two") / "project"
    shutil.copytree(site.parent, project, symlinks=True)
    (project / "recipes" / "breakout" / "denoiser.toml").write_text(RECIPE)
    with (project / "docs" / "index.md").open("a") as index:
        index.write(COMPARISON)
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "build", "--strict"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    with chromium.serve_folder(project / "site") as url:
        yield url


def test_they_stand_side_by_side(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    figures, cost = page.locator(".wm-report").first.locator("table").all()[:2]
    heads = ["Figure", "recurrent", "denoiser", "denoiser, 4 evaluations"]
    assert figures.locator("thead th").all_inner_texts()[:4] == heads
    rows = {row.locator("th").inner_text(): row for row in cost.locator("tbody tr").all()}
    macs = rows["Million multiplications a frame"].locator("td").all_inner_texts()
    assert 0 < float(macs[1]) < float(macs[2])
    assert page.locator(".wm-report").first.locator("svg").count() > 3
    page.close()


def test_one_takes_the_place_of_the_other_while_the_game_goes_on(
    browser: Any, address: str
) -> None:
    page = browser.new_page()
    page.goto(address)
    play(page)
    page.click("[data-opens=settings]")
    steps = page.get_by_label("Denoising steps")
    assert steps.is_disabled()  # The first model has no such thing.
    models = page.locator("label:has(> span:text-is('Model')) select")
    page.locator("label:has(> span:text-is('Who plays')) select").select_option("good")
    tick = state(page)["tick"]
    page.get_by_label("Precision").select_option("fp16")
    until(page, "s.variant === 'fp16'")
    models.select_option("denoiser")
    # It has no fp16: what was asked of the other model does not stop it.
    sees(page, "g.model.model.family === 'denoiser'")
    assert state(page)["variant"] in {"int8", "fp32"}
    expect(steps).to_be_enabled()  # once that model has its first frame
    steps.fill("2")
    sees(page, "g.model.evaluations === 4")
    frames = state(page)["modelFrames"]
    after = until(page, f"s.modelFrames > {frames + 3}")
    assert after["tick"] > tick and after["phase"] == "playing"
    models.select_option("recurrent")
    page.get_by_label("Precision").select_option("auto")
    sees(page, "g.model.model.family === 'recurrent' && g.model.variant.name === 'int8'")
    assert steps.is_disabled()
    page.close()
