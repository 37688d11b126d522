"""A user's own shaded world: two cameras of different size, a field, axes; learned and played."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drive import game, play, sees, until

from builder import chromium

pytestmark = pytest.mark.slow  # It trains.

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECIPE = """
world = "glow"
family = "latent"
seed = 1

[data]
steps = 3000
worlds = 8
episode_steps = 120
splits = { train = 0.8, val = 0.1, test = 0.1 }

[model]
patch = 8
channels = 12
detail = 8
blocks = 2
history = 2

[train]
minutes = 4
steps = 150
batch = 4
unroll = 5
dream = 10
teacher_share = 0.0
learning_rate = 4e-3
ema = 0.9
validate_minutes = 10
validate_games = 4
validate_steps = 10

[evaluate]
seeds = 1
rollouts = 6
horizons = [1, 10]
steps = 10

[export]
variants = ["fp32"]
tolerance = {}
calibration = 8
replays = 3
rollouts = 0
webgpu = false
"""


@pytest.fixture(scope="module")
def glow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glow")
    for name in ("docs", "sims", "recipes/glow", ".wmsite"):
        (folder / name).mkdir(parents=True)
    (folder / "docs/index.md").write_text("# Glow\n\n```world\nworld: glow\n```\n")
    (folder / "sims/glow.py").write_text((HERE / "glow.py.txt").read_text())
    (folder / "recipes/glow/latent.toml").write_text(RECIPE)
    (folder / "mkdocs.yml").write_text(
        "site_name: Glow\ntheme:\n  name: material\n  font: false\nplugins: [search, wmsite]\n"
    )
    (folder / ".wmsite/vendor").symlink_to(ROOT / ".wmsite" / "vendor")
    command = [sys.executable, "-m", "builder.cli", "-C", str(folder), "build"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def page(glow: Path, browser: Any) -> Iterator[Any]:
    with chromium.serve_folder(glow / "site") as address:
        opened = browser.new_page(viewport={"width": 1280, "height": 800})
        opened.goto(address)
        opened.wait_for_selector("wm-world[data-phase=idle]")
        yield opened
        opened.close()


def test_every_observation_is_learned_better_than_if_nothing_changed(glow: Path) -> None:
    metrics = json.loads((glow / "weights/glow/latent/metrics.json").read_text())
    rows = {row["name"]: row["values"] for row in metrics["rows"]}
    still = rows["last observation repeated"]
    kinds = {one["name"]: one["kind"] for one in metrics["observations"]}
    assert kinds == {"above": "image", "strip": "image", "place": "vector", "heat": "field"}
    for key in ("above.psnr@10", "strip.psnr@10"):
        assert rows["latent"][key]["mean"] > still[key]["mean"], key
    for key in ("place.error@10", "heat.error@10"):
        assert rows["latent"][key]["mean"] < still[key]["mean"], key
    model = json.loads((glow / "weights/glow/latent/graphs/model.json").read_text())
    shapes = {s["input"]: s["shape"] for s in model["state"] if s["observed"]}
    assert shapes == {
        "state_frame": [1, 2, 64, 64, 4],
        "state_sensors": [1, 2],
        "state_heat": [1, 8, 8],
    }


def test_its_sensors_are_compared_over_rollouts_in_every_runtime(glow: Path) -> None:
    told = json.loads((glow / "weights/glow/latent/graphs/parity.json").read_text())
    wanted = told["pytorch"]
    for figures in (v["figures"] for v in told["variants"] if not v["failures"]):
        for key in ("place.range", "heat.range"):
            for mode in ("grounded", "free"):
                exact = figures["onnxruntime"][f"{key} {mode}"]
                assert exact == pytest.approx(wanted[mode][key], abs=1.0)
                assert figures["wasm"][f"{key} {mode}"] > 0


def test_it_plays_alone_by_its_own_pictures(page: Any) -> None:
    play(page)
    game(page, "g.setMode('neural')")
    until(page, "s.shown === 'neural'")
    begun = until(page, "s.modelFrames > 5")["modelFrames"]
    page.focus(".wm-stage")
    page.keyboard.down("ArrowRight")
    until(page, f"s.modelFrames > {begun} + 30")
    page.keyboard.up("ArrowRight")
    # The light went to the right by the model's own account.
    sees(page, "g.said && g.said.read('sensor.place.0') > 40")
