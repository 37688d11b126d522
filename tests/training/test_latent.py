"""The family `latent`, on recorded drives: three cameras, range images, paths, axes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sims.driving import Driving
from training.data.dataset import Dataset
from training.evaluation.evaluate import REPEATED, evaluate
from training.families.latent import ranges
from training.families.latent.loss import apart
from training.families.latent.model import Config, Model
from training.likeness import likeness
from training.recipe import Recipe, from_json
from training.trainer.checkpoints import load_model
from training.trainer.train import train
from training.trainer.windows import Windows

LARGE = (
    ("ranges", "scan", (6, 20), 0.0, 60.0),
    ("heat", "field", (5, 7), -1.0, 1.0),
    ("path", "path", (4, 2), -50.0, 50.0),
)


def small(**changes: Any) -> Model:
    told: dict[str, Any] = {
        "palette": (), "actions": 2, "chance": 1, "cameras": 2, "height": 16, "width": 24,
        "sensor_low": (0.0, -1.0), "sensor_high": (1.0, 1.0), "sensor_step": (0.5, 0.5),
        "large": LARGE, "large_step": (5.0, 0.2, 3.0), "channels": 8, "detail": 4, "blocks": 1,
    }  # fmt: skip
    return Model(Config(**(told | changes))).eval()


def shown(rollouts: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> torch.Tensor:
        return torch.rand(rollouts, *size, generator=generator)

    ranges = 60 * drawn(6, 20)
    return {
        "frame": (255 * drawn(2, 16, 24, 4)).to(torch.uint8),
        "sensors": drawn(2),
        "ranges": ranges * (ranges > 20),
        "heat": 2 * drawn(5, 7) - 1,
        "path": 50 * drawn(4, 2),
    }


def test_a_model_that_knows_nothing_repeats_what_it_saw() -> None:
    model, first = small(), shown()
    state = model.initial(first)
    assert state["latent"].shape == (3, 8, *model.latent_shape[1:])
    frame, after, heads = model.step(state, torch.rand(3, 2), torch.rand(3, 1))
    for name in ("sensors", "path"):
        torch.testing.assert_close(after[name], first[name])
    for name, most in (("ranges", 0.5), ("heat", 0.03)):  # each value is mostly its own
        torch.testing.assert_close(after[name], first[name], atol=most, rtol=0)
    assert torch.equal(after["ranges"] > 0, first["ranges"] > 0)
    assert frame.dtype == torch.uint8 and frame.shape == first["frame"].shape
    assert bool((frame[..., 3] == 255).all())
    # Each pixel is mostly itself.
    seen = first["frame"][..., :3].float()
    assert (frame[..., :3].float() - seen).abs().mean() < 0.2 * (seen - seen.mean()).abs().mean()
    assert heads["reward"].shape == heads["terminated"].shape == (3,)


def test_every_observation_and_every_input_count() -> None:
    torch.manual_seed(0)
    model, first = small(), shown()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    action, chance = torch.rand(3, 2), torch.rand(3, 1)
    _, before, _ = model.step(model.initial(first), action, chance)
    changed = {
        name: torch.zeros_like(value) if value.dtype == torch.uint8 else value * 0.5
        for name, value in first.items()
    }
    for name, value in changed.items():
        _, after, _ = model.step(model.initial(first | {name: value}), action, chance)
        assert (after["latent"] != before["latent"]).any(), name
    _, other, _ = model.step(model.initial(first), 1 - action, chance)
    for name in ("frame", "sensors", "ranges", "heat", "path", "latent"):
        assert (other[name] != before[name]).any(), name


def test_a_shifted_picture_is_one_of_its_answers() -> None:
    model = small()
    picture = torch.rand(1, 3, 16, 24)
    odds = torch.zeros(1, 10, 4, 12)
    rows, columns = 16 // model.side, 24 // model.side
    odds = torch.zeros(1, 10, rows, columns)
    odds[:, 2], odds[:, 5 + 3] = 50.0, 50.0  # no row away, one column to the right
    moved = model.moved(picture, odds)
    torch.testing.assert_close(moved[..., :-1], picture[..., 1:], atol=1e-4, rtol=0)


def test_an_edge_in_a_scan_moves_on_by_less_than_a_column_a_step() -> None:
    value, hit = torch.zeros(1, 1, 24), torch.zeros(1, 1, 24)
    value[..., 8:12], hit[..., 8:12] = 0.5, 1.0
    odds = torch.zeros(1, ranges.TAPS, 1, 24)
    odds[:, 0], odds[:, 1], odds[:, 2] = math.log(0.3), math.log(0.7) - ranges.STILL, -50.0
    there = hit
    for _ in range(10):  # three columns to the right
        there = ranges.kept((there > 0.5).float(), there)
        value, there = ranges.moved(value, there, odds)
    assert torch.equal(torch.nonzero(there[0, 0] > 0.5)[:, 0], torch.arange(11, 15))
    torch.testing.assert_close(value[0, 0, 11:15], torch.full((4,), 0.5))
    # What is shown otherwise is what counts.
    shown = 1 - (there > 0.5).float()
    assert torch.equal(ranges.kept(shown, there), shown)


@pytest.mark.slow
def test_a_forecast_finds_what_is_linear() -> None:
    torch.manual_seed(0)
    model = small(large=(), large_step=())
    sensors, action, chance = torch.rand(500, 2) / 2, torch.rand(500, 2), torch.rand(500, 1)
    sensors[:, 0] += 0.1
    after = sensors.clone()
    after[:, 0] += 0.3 * action[:, 1] - 0.1 * sensors[:, 1]
    after[:, 1] += torch.randn(500)  # follows nothing
    model.fit(sensors, action, chance, after)
    state = model.initial(shown(500) | {"sensors": sensors})
    _, made, _ = model.step(state, action, chance)
    torch.testing.assert_close(made["sensors"][:, 0], after[:, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(made["sensors"][:, 1], sensors[:, 1])
    # What is forecast again and again stays in the recorded range.
    state = model.initial(shown(500) | {"sensors": sensors})
    for _ in range(20):
        _, state, _ = model.step(state, torch.ones(500, 2), chance)
    assert float(state["sensors"][:, 0].max()) == 1.0


def test_it_knows_how_fast_its_numbers_change_once_it_saw_two() -> None:
    model = small(large=(), large_step=(), second=20)
    first = shown()
    action, chance = torch.zeros(3, 2), torch.zeros(3, 1)
    _, state, _ = model.step(model.initial(first), action, chance)
    for moved, speed in ((0.05, 0.05), (0.6, 0.0), (0.0, 0.0)):  # a jump is no speed
        now = first["sensors"] + moved
        found = model.speeds(now, state["before"])
        torch.testing.assert_close(found, torch.full((3, 2), speed / (model.tick * 0.5)))
        assert not model.speeds(now, model.initial(first)["before"]).any()


def test_the_loss_knows_a_blurred_picture() -> None:
    picture = torch.rand(2, 1, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(picture, 5, 1, 2)
    assert likeness(picture, picture, 1.0).mean() == pytest.approx(1.0)
    assert likeness(picture, blurred, 1.0).mean() < 0.8
    # The same in another unit, and wherever the windows lie.
    every = likeness(255 * picture, 255 * blurred, 255.0)
    torch.testing.assert_close(likeness(picture, blurred, 1.0, 3), every[..., ::3, ::3])
    assert apart(torch.tensor(3.0), torch.tensor(1.0)) == pytest.approx(2.0, abs=0.1)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return from_json(
        {
            "world": "driving", "family": "latent", "seed": 1,
            "data": {"steps": 100, "worlds": 1, "episode_steps": 100},
            "model": {"patch": 16, "channels": 8, "detail": 4, "blocks": 1, "history": 2},
            "train": {
                "minutes": 5.0, "steps": 24, "batch": 2, "unroll": 3, "dream": 6,
                "teacher_share": 0.0, "validate_games": 2, "validate_steps": 5,
                "learning_rate": 4e-3, "ema": 0.5,
            },
            "evaluate": {"seeds": 1, "rollouts": 3, "horizons": [1, 4], "steps": 4},
            "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
        }
    )  # fmt: skip


def test_windows_of_one_seed_are_the_same_however_they_are_asked_for(
    tiny_drives: Path, recipe: Recipe
) -> None:
    arrays = Dataset.open(tiny_drives).load("train", rgb=True)
    one, other = (Windows(arrays, 3, 5, 2, recipe.train, 7) for _ in range(2))
    batches = [one.next() for _ in range(3)]
    for number, batch in enumerate(batches):
        again = other.read(number)
        assert batch.shown.keys() == {"frame", "sensors", "lidar", "waypoints"}
        for name, value in batch.shown.items():
            assert value.shape[:2] == (3, 6) and np.array_equal(value, again.shown[name])
        assert np.array_equal(batch.actions, again.actions)
    # A window is a piece of one game.
    lidar = arrays.sensors["lidar"]
    start = next(
        row
        for row in range(len(lidar))
        if np.array_equal(lidar[row], batches[0].shown["lidar"][0, 0])
    )
    assert np.array_equal(lidar[start : start + 6], batches[0].shown["lidar"][0])
    assert np.array_equal(arrays.actions[start : start + 5], batches[0].actions[0])


def test_windows_reach_the_ends_of_games_and_go_no_further(
    tiny_drives: Path, recipe: Recipe
) -> None:
    """Also of games that are shorter than a window, and seldom end."""
    arrays = Dataset.open(tiny_drives).load("train", rgb=True)
    dones = np.zeros_like(arrays.dones)
    first, stop = arrays.episodes[0]
    dones[stop - 2 : stop] = True  # The step that ends it, and the frame after the end.
    arrays = dataclasses.replace(arrays, dones=dones)
    source = Windows(arrays, 16, int(stop - first) + 10, 2, recipe.train, 7)
    batches = [source.read(number) for number in range(8)]
    alive, ends = (np.concatenate([getattr(b, k) for b in batches]) for k in ("alive", "ends"))
    assert alive[:, :2].all() and not alive.all()
    ended = (ends * alive).any(1)
    assert 0.05 < ended.mean() < 0.5
    # An end is the last step that counts.
    assert ((ends * alive).argmax(1) == alive.sum(1) - 1)[ended].all()


@pytest.mark.slow
def test_it_learns_and_is_measured_beside_an_unchanging_world(
    tiny_drives: Path, recipe: Recipe, tmp_path: Path
) -> None:
    train(recipe, tiny_drives, tmp_path, Driving, keys={"sim": "x"})
    model = load_model(tmp_path)
    assert model.config.second == 19 and [one[0] for one in model.config.large] == [
        "waypoints", "lidar",
    ]  # fmt: skip
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert {"val_image", "val_scan", "val_path", "val_vector"} <= curve[-1].keys()
    assert curve[-1]["val_vector"] > 0.1  # what follows from the controls
    metrics = evaluate(tmp_path, Driving, recipe)
    rows = {row["name"]: row["values"] for row in metrics["rows"]}
    assert list(rows) == [
        "latent", REPEATED, "action repeated", "actions shuffled", "no carried state",
    ]  # fmt: skip
    shows = {one["name"]: one["kind"] for one in metrics["observations"]}
    assert shows["front"] == "image" and shows["lidar"] == "scan" and shows["waypoints"] == "path"
    for key in ("front.psnr@4", "left.ssim@1", "lidar.error@4", "lidar.hits@4", "speed.range@1"):
        assert rows["latent"][key] and rows[REPEATED][key], key
    assert rows["latent"]["speed.error@4"]["mean"] < rows[REPEATED]["speed.error@4"]["mean"]
    assert (
        rows["latent"]["speed.error@4"]["mean"] < rows["actions shuffled"]["speed.error@4"]["mean"]
    )
    # Recordings alone are a truth too: held-out episodes.
    told = evaluate(tmp_path, None, recipe, tiny_drives)
    assert [c["key"] for c in told["columns"]] == [c["key"] for c in metrics["columns"]]
    assert told["rows"][0]["values"]["front.psnr@4"]["mean"] > 5
