"""Held-out games while a model trains: which weights are kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sims.breakout import Breakout
from training.data.dataset import Dataset
from training.recipe import Recipe, Train
from training.trainer.checkpoints import fit, load_model
from training.trainer.divergence import Watch
from training.trainer.train import AS_GOOD, schedule, train
from training.trainer.validation import wholeness

pytestmark = pytest.mark.slow  # It trains.


def test_weights_are_not_kept_whose_rollouts_are_whole_for_much_shorter(
    tiny_recipe: Recipe,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = dataclasses.replace(
        tiny_recipe.train, steps=120, minutes=10.0, unroll=1, select="whole", validate_minutes=0.0
    )
    recipe = dataclasses.replace(tiny_recipe, train=plan)

    def spoilt(plan: Train, progress: float) -> tuple[float, int]:
        """Ruin the last weights by a rate that is far too high."""
        rate, horizon = schedule(plan, progress)
        return (3000.0 if progress > 0.95 else rate), horizon

    monkeypatch.setattr("training.trainer.train.schedule", spoilt)
    monkeypatch.setattr(Watch, "exploded", lambda self, loss: False)
    train(recipe, tiny_dataset, tmp_path, Breakout, keys={})
    curve = json.loads((tmp_path / "curve.json").read_text())
    most = max(point["val_whole"] for point in curve)
    assert curve[-1]["val_whole"] < AS_GOOD * most
    last = [point for point in curve if point["val_whole"] >= AS_GOOD * most][-1]
    assert json.loads((tmp_path / "provenance.json").read_text())["kept_step"] == last["step"]
    assert "steps alone that look like recorded ones, median: " in capsys.readouterr().err

    kept, dataset = load_model(tmp_path), Dataset.open(tiny_dataset)
    arrays, held_out = (fit(kept, dataset.load(split)) for split in ("train", "val"))
    judge = wholeness(recipe, arrays, held_out, kept.config.history)
    assert judge and judge.median(kept) == last["val_whole"]


def test_where_it_cannot_be_told_how_long_frames_are_whole_training_says_so(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # No held-out game is longer than the history.
    model, plan = (
        {**tiny_recipe.model, "history": 500},
        dataclasses.replace(tiny_recipe.train, select="whole", steps=1),
    )
    recipe = dataclasses.replace(tiny_recipe, model=model, train=plan)
    train(recipe, tiny_dataset, tmp_path, Breakout, keys={})
    assert "the last weights are kept" in capsys.readouterr().err
    told = json.loads((tmp_path / "provenance.json").read_text())
    assert told["kept_step"] == told["steps"]


def test_weights_are_the_last_ones_unless_the_recipe_selects(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    train(tiny_recipe, tiny_dataset, tmp_path, Breakout, keys={})
    told = json.loads((tmp_path / "provenance.json").read_text())
    assert told["kept_step"] == told["steps"] == tiny_recipe.train.steps
    assert "val_whole" not in json.loads((tmp_path / "curve.json").read_text())[-1]
