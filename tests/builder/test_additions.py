"""What a world, a family or a measure of a user's own takes: a folder or file, a recipe, a page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from building import copy_of, edit, run

from builder.project.entries import Entry
from builder.project.worlds import Project

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r'^```python title="(.+?)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
DETECTOR = '''"""Where basket and apple are."""

import numpy as np

from sims import catcher as c
from sims.detector import Detector


def read(frames):
    red, brown = ((frames[..., :3] == colour).all(-1) for colour in (c.RED, c.BROWN))
    return {
        "x": np.where(red.any((-1, -2)), red.any(-2).argmax(-1), np.nan),
        "y": np.where(red.any((-1, -2)), red.any(-1).argmax(-1), np.nan),
        "basket": np.where(brown.any((-1, -2)), brown.any(-2).argmax(-1), np.nan),
        "lives": (frames[..., 0, :, :3] == c.PINK).all(-1).sum(-1),
    }


def truth(state):
    return {name: state[name].astype(float) for name in ("x", "y", "basket", "lives")}


def compare(mine, true):
    off = np.abs(mine["basket"] - true["basket"])
    return {"basket_held": np.where(off <= 1, 1.0, 0.0)}


def events(before, after):
    return {"missed": after["lives"] < before["lives"]}


class Referee:
    def __init__(self, rollouts):
        pass

    def watch(self, rows, start):
        pass

    def judge(self, before, actions, after):
        return np.isnan(after["basket"])[:, None]


DETECTOR = Detector(
    read=read,
    truth=truth,
    compare=compare,
    labels={"basket_held": ("basket within 1 px", "%", "high")},
    held="basket_held",
    controlled=lambda mine, true: compare(mine, true)["basket_held"],
    control_label="basket within 1 px of the sim's",
    events=events,
    event_labels={"missed": "an apple is missed"},
    referee=Referee,
    rules={"basket": "there is a basket"},
    act=lambda objects, aim: (aim * 3).astype(np.int64),
    over=lambda objects: objects["lives"] == 0,
    statistics=lambda before, after: {"lives": after["lives"].mean(1)},
    statistic_labels={"lives": ("lives", "", "")},
    places=lambda objects: np.ones((len(objects["x"]), 4)),
    adopt=lambda sim, frames, sensors, where: (where, np.zeros_like(where)),
)
'''
RECIPE = """
world = "catcher"
family = "plain"
seed = 1
[data]
steps = 1000
worlds = 8
episode_steps = 60
splits = { train = 0.6, val = 0.2, test = 0.2 }
[train]
minutes = 5.0
steps = 20
batch = 4
unroll = 1
learning_rate = 2e-3
validate_games = 2
[evaluate]
seeds = 1
rollouts = 2
steps = 6
horizons = [1, 6]
games = 2
play_steps = 12
measures = ["speed"]
[export]
variants = ["fp32"]
calibration = 8
replays = 2
rollouts = 2
tolerance = {}
"""
MEASURE = '''"""How far the picture moves."""

import numpy as np

from training.evaluation.players import Model, Still, play


def measure(subject):
    scene = subject.scene(7, 6, 3)
    cast = {subject.recipe.family: Model(subject.model), "repeated": Still()}
    moved = {
        name: np.diff(play(subject.counted(player), scene).astype(float), axis=1).any((2, 3, 4, 5))
        for name, player in cast.items()
    }
    return {
        "title": "How often the picture changes",
        "note": "Three rollouts of six steps.",
        "columns": [{"key": "moves", "label": "steps that change it", "unit": "%", "better": ""}],
        "rows": [
            {"name": name, "values": {"moves": {"mean": 100 * m.mean(), "low": 0.0, "high": 100.0}}}
            for name, m in moved.items()
        ],
        "curve": None,
    }
'''


def test_a_world_with_its_detector_a_family_and_a_measure_are_a_folder_or_a_file_each(
    starter_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMSITE_CHROMIUM", "/nowhere/chromium")
    project = copy_of(starter_site, tmp_path / "project")
    world, family = project / "sims" / "catcher", project / "families" / "plain"
    world.mkdir()
    (project / "sims" / "catcher.py").rename(world / "__init__.py")
    (world / "detector.py").write_text(DETECTOR)
    family.mkdir(parents=True)
    for name, text in BLOCK.findall((ROOT / "docs" / "write-a-family.md").read_text()):
        (project / name).write_text(text)
    (project / "measures").mkdir()
    (project / "measures" / "speed.py").write_text(MEASURE)
    shutil.rmtree(project / "recipes" / "catcher")
    (project / "recipes" / "catcher").mkdir()
    (project / "recipes" / "catcher" / "plain.toml").write_text(RECIPE)
    edit(project / "docs" / "index.md", "sims/catcher.py", "sims/catcher/__init__.py")
    edit(project / "docs" / "index.md", "section: evaluation", "section: measures")
    run(project)

    told = json.loads((project / "site" / "wm" / "site.json").read_text())
    home = project / "site" / "wm" / told["worlds"]["catcher"]
    (model,) = json.loads(home.read_text())["models"]
    assert model["family"] == "plain"
    # The browser gets the sim alone.
    assert not list(home.parent.rglob("detector.py"))
    metrics = json.loads((project / "weights/catcher/plain/metrics.json").read_text())
    assert metrics["rows"][0]["values"]["basket_held@6"]["mean"] >= 0
    assert metrics["events"] and metrics["autonomy"]
    still = metrics["measures"]["speed"]["rows"][1]
    assert still["name"] == "repeated" and still["values"]["moves"]["mean"] == 0
    page = (project / "site" / "index.html").read_text()
    assert "How often the picture changes" in page and "Three rollouts of six steps." in page

    def due() -> tuple[str, ...]:
        return Entry(Project.open(project).world("catcher"), "plain").due().steps

    assert due() == ()
    edit(family / "model.py", "4 * planes", "5 * planes")
    assert due() == ("train", "evaluate", "graphs")
    edit(family / "model.py", "5 * planes", "4 * planes")
    edit(project / "measures" / "speed.py", "7, 6, 3", "8, 6, 3")
    assert due() == ("evaluate",)
    edit(project / "measures" / "speed.py", "8, 6, 3", "7, 6, 3")
    edit(world / "detector.py", "off <= 1", "off <= 2")
    assert due() == ("train", "evaluate", "graphs")
