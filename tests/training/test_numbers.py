"""The family `numbers`: numbers that decide the next ones, the picture, and the end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sims.contract import Action, Camera, Spec
from sims.errors import UserError
from sims.lander import Lander
from training.data.dataset import Arrays
from training.data.record import record
from training.evaluation import players
from training.evaluation.evaluate import REPEATED, evaluate
from training.evaluation.starts import recorded
from training.families.numbers.loss import loss, source
from training.families.numbers.model import Config, Model
from training.families.numbers.options import check
from training.recipe import Recipe, from_json
from training.trainer.checkpoints import build
from training.trainer.train import train


def small(**changes: Any) -> Model:
    told: dict[str, Any] = {
        "palette": (), "actions": 2, "chance": 1, "cameras": 2, "height": 16, "width": 24,
        "sensor_low": (0.0, -1.0), "sensor_high": (10.0, 1.0), "sensor_whole": (True, False),
        "sensor_step": (1.0, 0.1), "channels": 8, "wide": 16,
    }  # fmt: skip
    return Model(Config(**(told | changes))).eval()


def inputs(model: Model, count: int = 3) -> tuple[dict[str, torch.Tensor], torch.Tensor, Any]:
    generator = torch.Generator().manual_seed(0)
    c = model.config
    frame = torch.randint(0, 256, (count, c.cameras, c.height, c.width, 4), generator=generator)
    state = {"frame": frame.to(torch.uint8), "sensors": torch.tensor([[3.0, 0.5]] * count)}
    return state, torch.rand(count, 2, generator=generator), torch.zeros(count, 1)


def test_numbers_stay_whole_and_within_their_range() -> None:
    model = small()
    torch.nn.init.constant_(model.change[-1].bias, 2.3)  # type: ignore[arg-type]
    state, action, chance = inputs(model)
    seen = []
    for _ in range(8):
        _, state, _ = model.step(state, action, chance)
        seen.append(state["sensors"][0].tolist())
    whole, other = np.array(seen).T
    assert (whole == np.round(whole)).all() and whole[0] == 5 and whole[-1] == 10
    _, after, _ = model.train().step(inputs(model)[0], action, chance)
    assert after["sensors"][0, 0] % 1 > 0.2  # While it learns, what it is off by is seen.
    assert other[-1] == 1


def test_a_number_at_an_end_of_its_range_learns_to_leave_it() -> None:
    """What it predicts beyond the end is the end, and yet a gradient tells it to jump back."""
    model = small().train()
    torch.nn.init.constant_(model.change[-1].bias, 2.0)  # type: ignore[arg-type]
    _, action, chance = inputs(model, 1)
    after, _ = model.advance(torch.tensor([[10.0, 1.0]]), action, chance)
    assert after.tolist() == [[10.0, 1.0]]
    after.sum().backward()
    bias = model.change[-1].bias.grad
    assert isinstance(bias, torch.Tensor) and (bias > 0).all()
    graph, _ = model.eval().advance(torch.tensor([[10.0, 1.0]]), action, chance)
    assert torch.equal(graph, after)


def test_a_small_step_near_an_end_of_a_range_is_seen_well() -> None:
    model = small()
    near, middle = torch.tensor([[0.001, -0.5]]), torch.tensor([[5.0, -0.5]])
    step = torch.tensor([[0.01, 0.0]])  # a thousandth of the first range

    def told(values: torch.Tensor) -> float:
        return float((model.borders(values + step) - model.borders(values)).abs().sum())

    assert told(near) > 1 > 0.1 > told(middle) > 0
    top = torch.tensor([[9.999, -0.5]])
    assert told(top - step) > 1


def test_what_the_numbers_do_not_decide_stays_as_it_was() -> None:
    model = small()
    state, action, chance = inputs(model)
    torch.nn.init.zeros_(model.halves[-1].weight)  # type: ignore[arg-type]
    torch.nn.init.constant_(model.halves[-1].bias, -50.0)  # type: ignore[arg-type]
    frame, after, told = model.step(state, action, chance)
    assert torch.equal(frame[..., :3], state["frame"][..., :3]) and (frame[..., 3] == 255).all()
    assert after["frame"] is frame and set(told) == {"reward", "terminated"}
    # And what they decide is the same whatever was there.
    torch.nn.init.constant_(model.halves[-1].bias, 50.0)  # type: ignore[arg-type]
    frame, _, _ = model.step(state, action, chance)
    assert (frame[..., :3] == 255).all()


def test_the_linear_part_is_found_before_training() -> None:
    model = small(sensor_whole=(False, False))
    random = torch.Generator().manual_seed(1)
    values = torch.rand(200, 2, generator=random) * 0.5
    action, chance = torch.rand(200, 2, generator=random), torch.rand(200, 1, generator=random)
    after = values + 0.3 * values[:, 1:] - 0.1 * action[:, :1] + 0.05
    model.fit(values, action, chance, after)
    with torch.no_grad():
        found, _ = model.advance(values, action, chance)
    assert float((found - after).abs().max()) < 1e-3


def recipe() -> Recipe:
    return from_json({
        "world": "disc", "family": "numbers", "seed": 1, "dataset": "tapes/disc",
        "model": {"channels": 16, "wide": 32, "patch": 4},
        "train": {"minutes": 1.0, "steps": 1, "batch": 16, "unroll": 4, "dream": 8, "pictures": 1},
        "evaluate": {"seeds": 1, "rollouts": 2, "horizons": [1], "steps": 2},
        "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
    })  # fmt: skip


def disc(games: int = 20, steps: int = 30) -> Arrays:
    """A disc that slides on a line and is drawn; a game ends where it passes 12 px."""
    random = np.random.default_rng(0)
    rows: list[tuple[float, float, int, bool]] = []
    episodes = []
    for _ in range(games):
        first, at, speed, over = len(rows), float(random.uniform(2, 8)), 0.0, False
        while len(rows) - first < steps and not over:
            act, after = int(random.integers(2)), float(np.clip(at + speed, 1, 15))
            over = after > 12
            rows.append((at, speed, act, over))
            at, speed = after, 0.9 * speed + (0.5 if act else -0.3)
        if over:  # The frame after the end.
            rows.append((at, speed, 0, True))
        episodes.append((first, len(rows)))
    state = np.array([row[:2] for row in rows], np.float32)
    x, y = np.arange(16), np.arange(8)
    light = np.clip(3 - np.hypot(x[None, None] - state[:, :1, None], y[None, :, None] - 4), 0, 1)
    spans = np.array(episodes)
    zeros = np.zeros(len(rows))
    return Arrays(
        np.repeat((255 * light).astype(np.uint8)[:, None, :, :, None], 3, -1),
        np.zeros((0, 3), np.uint8), np.eye(2, dtype=np.float32)[[row[2] for row in rows]],
        np.zeros((len(rows), 1), np.float32), zeros.astype(np.float32),
        np.array([row[3] for row in rows]), {}, state, np.stack([state.min(0), state.max(0)]), {},
        spans, np.repeat(np.arange(games), spans[:, 1] - spans[:, 0]), zeros.astype(np.int64),
    )  # fmt: skip


def test_what_was_always_whole_is_whole_though_it_is_told_as_a_fraction() -> None:
    arrays = disc()
    arrays.state[:, 1] = np.arange(len(arrays.state)) % 7
    spec = {"sensors": [{"name": n, "shape": [], "dtype": "float32"} for n in ("at", "count")]}
    assert build(recipe(), arrays, spec).config.sensor_whole == (False, True)


def test_training_learns_numbers_pictures_and_ends() -> None:
    torch.manual_seed(0)
    arrays, asked = disc(), recipe()
    spec = {"sensors": [{"name": n, "shape": [], "dtype": "float32"} for n in ("at", "speed")]}
    model = build(asked, arrays, spec)
    windows = source(arrays, None, asked, 16, 1, model)
    windows.horizon = 8
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    carried, figures = None, []
    for _ in range(400):
        total, told, carried = loss(model, windows, carried, asked.train, 0.0)  # type: ignore[arg-type]
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        figures.append([told[name] for name in ("sensor_loss", "frame_loss", "head_loss")])
    first, last = (np.mean(part, 0) for part in (figures[:20], figures[-20:]))
    assert (last < first * [0.2, 0.1, 0.5]).all(), (first, last)

    # Alone for eight steps: where the disc is, what is seen of it, and when the game ends.
    scene = recorded(arrays, 40, 8, 1, 3)
    player = players.Model(model.eval())
    player.watch(scene)
    for t in range(8):
        frame = player.step(scene.actions[:, t], scene.chances[:, t])
        alive, true = scene.alive[:, t], scene.shown["sensors"][:, t]
        assert np.abs(player.shown["sensors"] - true)[alive, 0].mean() < 0.2, t
        off = frame[alive][..., :3].astype(int) - scene.shown["frame"][alive, t][..., :3]
        assert np.abs(off).mean() < 10, t
        assert player.heads
        assert (player.heads.ends == scene.ends[:, t])[alive].mean() > 0.9, t


def test_what_is_drawn_worst_is_drawn_sooner_where_it_counts_more() -> None:
    arrays, asked = disc(), recipe()
    arrays.frames[:, :, 0] = np.random.default_rng(1).integers(0, 256, arrays.frames[:, :, 0].shape)
    spec = {"sensors": [{"name": n, "shape": [], "dtype": "float32"} for n in ("at", "speed")]}
    drawn = {}
    for weight in (0.0, 2.0):
        torch.manual_seed(0)
        model = build(asked, arrays, spec)
        windows = source(arrays, None, asked, 16, 1, model)
        windows.horizon = 8
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
        carried, plan = None, dataclasses.replace(asked.train, hard_weight=weight)  # type: ignore[call-arg]
        for _ in range(120):
            total, _, carried = loss(model, windows, carried, plan, 0.0)  # type: ignore[arg-type]
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            picture, _ = model.drawn(
                torch.from_numpy(arrays.state), torch.zeros(len(arrays.state), 2)
            )
        off = np.abs(255 * picture[:, 0].movedim(1, -1).numpy() - arrays.frames[:, 0])
        drawn[weight] = off[:, 1:].max((1, 2, 3)).mean()  # Of the disc; the row above it is noise.
    assert drawn[2.0] < 0.8 * drawn[0.0], drawn


@pytest.mark.slow
def test_it_is_measured_beside_a_sim(tmp_path: Path) -> None:
    recipe = from_json({
        "world": "lander", "family": "numbers", "seed": 1,
        "data": {
            "steps": 1200, "worlds": 12, "episode_steps": 100,
            "splits": {"train": 0.6, "val": 0.2, "test": 0.2},
        },
        "model": {"patch": 8, "channels": 8, "wide": 32},
        "train": {
            "minutes": 5.0, "steps": 20, "batch": 4, "unroll": 4, "dream": 8, "teacher_share": 0.0,
            "validate_games": 4, "validate_steps": 8, "learning_rate": 2e-3, "ema": 0.5,
        },
        "evaluate": {"seeds": 1, "rollouts": 4, "horizons": [1, 5], "steps": 5},
        "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
    })  # fmt: skip
    folder = record(Lander, recipe, tmp_path, "tiny")
    train(recipe, folder, tmp_path / "out", Lander, keys={"sim": "s"})
    rows = {
        row["name"]: row["values"] for row in evaluate(tmp_path / "out", Lander, recipe)["rows"]
    }
    # What falls is foreseen: the linear part is fitted, not trained.
    for name in ("height", "fuel", "pad"):
        assert rows["numbers"][f"{name}.error@5"]["mean"] < 0.1, name
    assert rows[REPEATED]["height.error@5"]["mean"] > 0.3


def test_a_world_without_numbers_and_odd_cells_are_refused() -> None:
    spec = Spec("plain", "Plain", 10.0, (Camera("screen", 16, 16),), actions=(Action("wait"),))
    with pytest.raises(UserError, match=r"world 'plain' has none\. Run: name the file latent"):
        check({}, spec, "recipe 'x'")
    with pytest.raises(UserError, match=r"model\.patch is 12, .* Run: make it 2, 4, 8"):
        check({"patch": 12}, spec, "recipe 'x'")
