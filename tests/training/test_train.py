from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sims.breakout import BALL, LIFE, PADDLE, Breakout
from sims.errors import UserError
from training.data.dataset import Dataset
from training.evaluation.evaluate import evaluate
from training.recipe import Recipe, Train, from_json, load, to_json
from training.trainer.checkpoints import build, fit, load_model, start_from
from training.trainer.divergence import Watch
from training.trainer.train import schedule, train

SMALL = {
    "channels": 16,
    "blocks": 1,
    "drawing": 1,
    "history": 4,
    "landmarks": [{"x": "ball.0", "y": "ball.1", "present": "ball_present"}],
}
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # All of it trains.
KEYS = {"sim": "s", "data": "d", "train": "t"}


def small(recipe: Recipe, **changes: float) -> Recipe:
    plan = dataclasses.replace(recipe.train, **changes)
    return dataclasses.replace(recipe, model=SMALL, train=plan)


def test_training_learns_and_writes_all_that_made_it(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    taught = {
        "batch": 8,
        "unroll": 1,
        "teacher_share": 0.7,
        "minutes": 10.0,
        "validate_minutes": 10.0,
        "validate_steps": 100,
    }
    train(
        small(tiny_recipe, steps=1, **taught), tiny_dataset, tmp_path / "one", Breakout, keys=KEYS
    )
    untrained = json.loads((tmp_path / "one" / "curve.json").read_text())[-1]
    recipe = small(tiny_recipe, steps=400, **taught)
    train(recipe, tiny_dataset, tmp_path, Breakout, keys=KEYS)
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance["keys"] == KEYS and provenance["recipe"] == to_json(recipe)
    assert provenance["steps"] == 400
    assert not (tmp_path / "checkpoint.pt").exists()
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert curve[-1]["step"] == 400
    # Not the loss of frames: it weighs what is still wrong, so it need not fall as fewer are.
    assert curve[-1]["sensor_loss"] < untrained["sensor_loss"] * 0.7
    assert curve[-1]["moved_right"] > untrained["moved_right"] + 0.15
    assert list((tmp_path / "tensorboard").glob("events.*"))

    metrics = evaluate(tmp_path, Breakout, recipe)
    rows = {row["name"]: row["values"] for row in metrics["rows"]}
    baselines = ["last frame repeated", "action zeroed", "no carried state"]
    assert list(rows) == ["object_laws", *baselines, "the sim's frames, as read"]
    keys = [column["key"] for column in metrics["columns"]]
    assert all(set(rows[name]) == set(keys) for name in ("object_laws", *baselines))
    for table, players in (("events", list(rows)), ("autonomy", ["object_laws", baselines[2]])):
        found = metrics[table]
        names = [row["name"] for row in found["rows"]]
        assert names[: len(players)] == players
        keys = [column["key"] for column in found["columns"]]
        assert all(set(row["values"]) <= set(keys) for row in found["rows"])
    sim = metrics["autonomy"]["rows"][-1]
    assert sim["name"] == "the sim itself" and sim["values"]["survived"]["mean"] == 100
    assert set(metrics["autonomy"]["curve"]["series"]) == {"object_laws", baselines[2], sim["name"]}
    assert (tmp_path / metrics["strips"][0]["file"]).is_file()


def test_a_killed_run_goes_on_where_it_was(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    recipe = small(tiny_recipe, steps=100_000, minutes=0.5, checkpoint_minutes=0.01)
    script = tmp_path / "run.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\nfrom training.recipe import from_json\n"
        "from sims.breakout import Breakout\nfrom training.trainer.train import train\n"
        "recipe = from_json(json.loads(Path(sys.argv[1]).read_text()))\n"
        f"train(recipe, Path(sys.argv[2]), Path(sys.argv[3]), Breakout, keys={KEYS!r})\n"
    )
    (tmp_path / "recipe.json").write_text(json.dumps(to_json(recipe)))
    out = tmp_path / "out"
    command = [sys.executable, str(script), str(tmp_path / "recipe.json"), str(tiny_dataset)]
    running = subprocess.Popen([*command, str(out)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 120
        while not (out / "checkpoint.pt").exists():
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    saved = torch.load(out / "checkpoint.pt", weights_only=True)["step"]
    assert saved > 0 and not (out / "weights.safetensors").exists()

    more = dataclasses.replace(
        recipe, train=dataclasses.replace(recipe.train, steps=saved + 3, minutes=10.0)
    )
    train(more, tiny_dataset, out, Breakout, keys=KEYS)
    assert json.loads((out / "provenance.json").read_text())["steps"] == saved + 3
    load_model(out)


def test_training_recovers_from_an_explosion_and_says_so(
    tiny_recipe: Recipe,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = small(tiny_recipe, steps=150, batch=4, unroll=1, teacher_share=1.0)
    learned = {}
    for name, watches in (("watched", True), ("alone", False)):
        steps = iter(range(10**6))

        def exploding(plan: Train, progress: float, steps: Iterator[int] = steps) -> Any:
            rate, horizon = schedule(plan, progress)
            return (3000.0 if 110 <= next(steps) < 114 else rate), horizon

        with monkeypatch.context() as patch:
            patch.setattr("training.trainer.train.schedule", exploding)
            if not watches:
                patch.setattr(Watch, "exploded", lambda self, loss: False)
            train(recipe, tiny_dataset, tmp_path / name, Breakout, keys=KEYS)
        said = capsys.readouterr().err
        assert ("the loss exploded; back to the weights before it, at 50 %" in said) == watches
        learned[name] = json.loads((tmp_path / name / "curve.json").read_text())[-1]
    # Without help it is still lost, or no number at all.
    print(learned)
    assert learned["watched"]["sensor_loss"] < 1.0
    assert not learned["alone"]["sensor_loss"] < 5 * learned["watched"]["sensor_loss"]


def test_fine_tuning_starts_from_the_nearest_weights(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    recipe = small(tiny_recipe, steps=3)
    train(recipe, tiny_dataset, tmp_path / "first", Breakout, keys=KEYS)
    dataset = Dataset.open(tiny_dataset)
    arrays = dataset.load("train")
    fresh = build(recipe, arrays, dataset.spec)
    copied = start_from(fresh, tmp_path / "first", arrays)
    old, mine = load_model(tmp_path / "first").state_dict(), dict(fresh.named_parameters())
    assert copied == len(mine)
    assert all(torch.equal(value, old[name]) for name, value in mine.items())
    wider = build(
        dataclasses.replace(recipe, model={**SMALL, "channels": 24}), arrays, dataset.spec
    )
    assert 0 < start_from(wider, tmp_path / "first", arrays) < copied
    # What was widened once, for a sim of before, is not narrowed.
    seen = dataclasses.replace(recipe, model={**SMALL, "glimpse": 17})
    train(seen, tiny_dataset, tmp_path / "wide", Breakout, keys=KEYS)
    after = build(recipe, arrays, dataset.spec, tmp_path / "wide")
    assert after.config.glimpse == 17
    assert start_from(after, tmp_path / "wide", arrays) == copied


def test_edited_colours_are_told_apart(tiny_dataset: Path) -> None:
    dataset = Dataset.open(tiny_dataset)
    arrays = dataset.load("train")
    recipe = load(ROOT / "recipes" / "breakout" / "object_laws.toml")
    shipped = ROOT / "weights" / "breakout" / "object_laws"
    # Three colours become others, and with that all of them may stand in another order.
    edits = {BALL: (3, 200, 7), PADDLE: (250, 251, 1), LIFE: (9, 9, 9)}
    now = [edits.get(tuple(c), tuple(c)) for c in arrays.palette.tolist()]
    order = sorted(range(len(now)), key=lambda k: now[k])
    place = np.argsort(order).astype(np.uint8)
    edited = dataclasses.replace(
        arrays,
        palette=np.array([now[k] for k in order], np.uint8),
        frames=place[arrays.frames],
    )
    assert order != sorted(order)
    model = build(recipe, edited, dataset.spec)
    fit(model, edited)
    start_from(model, shipped, edited)
    old = load_model(shipped)
    for name, axis in (("stamp", 1), ("write.bias", 0)):
        known = dict(old.named_parameters())[name]
        mine = dict(model.named_parameters())[name]
        parts = known.reshape(*known.shape[:axis], len(order), -1, *known.shape[axis + 1 :])
        assert torch.equal(mine, parts.index_select(axis, torch.tensor(order)).reshape(mine.shape))


def test_the_schedule_grows_from_teaching_to_playing(tiny_recipe: Recipe) -> None:
    plan = dataclasses.replace(tiny_recipe.train, teacher_share=0.3, dream=100)
    taught, first, last = (schedule(plan, at) for at in (0.29, 0.3, 1.0))
    assert [dreamt for _, dreamt in (taught, first, last)] == [0, 8, 100]
    assert taught[0] > first[0] > last[0] and last[0] < 0.05


def test_a_model_key_that_is_not_there_is_named(tiny_recipe: Recipe, tiny_dataset: Path) -> None:
    dataset = Dataset.open(tiny_dataset)
    arrays = dataset.load("train")

    def asked(**model: object) -> None:
        build(dataclasses.replace(tiny_recipe, model=model), arrays, dataset.spec)

    def read(**model: object) -> None:
        from_json(to_json(tiny_recipe) | {"model": model, "finetune": None})

    with pytest.raises(UserError, match=r"unknown key model\.chanels; nearest is model\.channels"):
        read(chanels=3)
    with pytest.raises(UserError, match=r"unknown key model\.landmarks\[0\]\.z; nearest is"):
        read(landmarks=[{"z": "ball.0"}])
    with pytest.raises(UserError, match=r"no sensor value 'bal\.0'; the sim has ball\.0, ball\.1"):
        asked(landmarks=[{"x": "bal.0"}])
    ball, paddle = {"x": "ball.0", "y": "ball.1"}, {"x": "paddle"}
    with pytest.raises(UserError, match=r"'paddle' is like 'bal', which is the x of no landmark"):
        asked(landmarks=[ball, paddle | {"like": "bal"}])
    with pytest.raises(UserError, match="'paddle' has 1 values and 'ball' 4"):
        asked(landmarks=[ball, paddle | {"like": "ball.0"}])
    with pytest.raises(UserError, match="but they share a sensor"):
        asked(landmarks=[ball, ball | {"like": "ball.0"}])


def test_weights_that_are_cut_short_are_refused(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    train(small(tiny_recipe, steps=1), tiny_dataset, tmp_path, Breakout, keys=KEYS)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="can't be read"):
        load_model(tmp_path)


def test_two_ranks_train_the_model_together(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    losses = {}
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        # They play other games than one rank would: see test_ranks for what must be equal.
        recipe = small(tiny_recipe, steps=20, batch=16, unroll=2, minutes=10.0, ranks=ranks)
        train(recipe, tiny_dataset, out, Breakout, keys=KEYS)
        losses[ranks] = json.loads((out / "curve.json").read_text())[-1]["frame_loss"]
        assert json.loads((out / "provenance.json").read_text())["steps"] == 20
    assert losses[2] == pytest.approx(losses[1], rel=0.5)


def test_a_rank_that_dies_is_told_and_the_run_goes_on_later(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    recipe = small(tiny_recipe, steps=100_000, batch=4, ranks=2, checkpoint_minutes=0.01)

    def fell() -> None:
        while not (tmp_path / "checkpoint.pt").exists():
            time.sleep(0.05)
        for child in multiprocessing.active_children():
            child.kill()

    threading.Thread(target=fell, daemon=True).start()
    with pytest.raises(UserError, match="another of the 2 ranks has died"):
        train(recipe, tiny_dataset, tmp_path, Breakout, keys=KEYS)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"]
    more = small(tiny_recipe, steps=saved + 2, batch=4, ranks=2, minutes=10.0)
    train(more, tiny_dataset, tmp_path, Breakout, keys=KEYS)
    assert json.loads((tmp_path / "provenance.json").read_text())["steps"] == saved + 2


def test_a_batch_that_ranks_cannot_share_is_refused(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"train\.batch is 5, which 2 ranks can't share"):
        train(small(tiny_recipe, batch=5, ranks=2), tiny_dataset, tmp_path, Breakout, keys=KEYS)
