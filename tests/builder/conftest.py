"""What the tests of export, quantization and parity share: one small model and its graphs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from building import copy_of, run

from training.recipe import Recipe, to_json

ROOT = Path(__file__).parents[2]
# Of a model of the starter's world, hardly trained.
RECIPE = """
world = "catcher"
family = "object_laws"
seed = 1
[data]
steps = 2000
worlds = 16
episode_steps = 60
splits = { train = 0.6, val = 0.2, test = 0.2 }
[model]
channels = 32
blocks = 1
[train]
minutes = 5.0
steps = 30
batch = 4
unroll = 4
learning_rate = 2e-3
validate_games = 4
[evaluate]
seeds = 1
rollouts = 4
steps = 12
horizons = [1, 12]
[export]
variants = ["fp32"]
calibration = 8
replays = 1
rollouts = 4
tolerance = {}
[finetune.train]
steps = 4
[finetune.data]
steps = 1000
"""


MODEL: dict[str, Any] = {
    "channels": 16,
    "blocks": 1,
    "drawing": 1,
    "history": 4,
    "landmarks": [{"x": "ball.0", "y": "ball.1", "present": "ball_present"}],
}


@pytest.fixture(scope="session")
def untrained(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Recipe]:
    """A weights folder of a random model that moves pixels, and its recipe: to read only."""
    import torch
    from safetensors.torch import save_file

    from training.data.dataset import Dataset
    from training.trainer.checkpoints import build

    # Untrained, it decides pixels by hair's breadths, which rounding turns.
    export = dataclasses.replace(
        tiny_recipe.export,
        variants=["fp32", "fp16", "int8"],
        tolerance={"pixels": 1.0, "end_recall": 100.0, "end_precision": 100.0, "reward_error": 1e4},
        calibration=32,
        replays=3,
        rollouts=8,
    )
    recipe = dataclasses.replace(tiny_recipe, model=MODEL, export=export)
    torch.manual_seed(1)
    dataset = Dataset.open(tiny_dataset)
    model = build(recipe, dataset.load("train"), dataset.spec)
    with torch.no_grad():
        model.keep.fill_(1.0)
        model.write.weight.mul_(4.0)
    folder = tmp_path_factory.mktemp("weights")
    save_file(model.state_dict(), folder / "weights.safetensors")
    told: dict[str, Any] = {
        "keys": {"sim": "5" * 64},
        "recipe": to_json(recipe),
        "config": model.config.to_json(),
    }
    (folder / "provenance.json").write_text(json.dumps(told))
    return folder, recipe


@pytest.fixture(scope="session")
def graphs(
    untrained: tuple[Path, Recipe], tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """All variants of the random model, gated in onnxruntime and in Chromium: to read only."""
    from builder.export import graphs, parity
    from sims.breakout import Breakout

    weights, recipe = untrained
    out = tmp_path_factory.mktemp("exported") / "graphs"
    with pytest.MonkeyPatch.context() as patch:
        for name, count in {"SAMPLE": 40, "SAMPLE_IN_CHROMIUM": 8}.items():
            patch.setattr(graphs, name, count)
        for name, count in {"STATES": 16, "ON_WEBGPU": 2}.items():
            patch.setattr(parity, name, count)
        graphs.make_graphs(weights, tiny_dataset, Breakout, recipe, out)
    return out


@pytest.fixture(scope="session")
def trained(starter_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose world has a (hardly) trained model. To read only: copy it to change it."""
    folder = copy_of(starter_site, tmp_path_factory.mktemp("trained") / "project")
    (folder / "recipes" / "catcher" / "pixels.toml").unlink()
    (folder / "recipes" / "catcher" / "object_laws.toml").write_text(RECIPE)
    sections = ("evaluation", "architecture", "data", "curves", "rollouts", "provenance")
    fences = (f"```world-report\nworld: catcher\nsection: {s}\n```\n" for s in sections)
    (folder / "docs" / "report.md").write_text("# Report\n\n" + "\n".join(fences))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WMSITE_CHROMIUM", "/nowhere/chromium")
        run(folder)
    return folder


@pytest.fixture
def driving_project(tmp_path: Path) -> Path:
    """A project with the world of driving, whose recipe is short."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "sims" / "driving", folder / "sims" / "driving")
    (folder / "mkdocs.yml").write_text("site_name: test\n")
    recipe = folder / "recipes" / "driving" / "data.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        'world = "driving"\nseed = 1\n[data]\nsteps = 120\nworlds = 3\nepisode_steps = 20\n'
        "shards = 2\nsplits = { train = 0.5, val = 0.5 }\n"
    )
    return folder
