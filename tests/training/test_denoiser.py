from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import torch

from sims import breakout
from training.evaluation.evaluate import evaluate
from training.evaluation.players import tensors
from training.evaluation.starts import make_scene
from training.families.base import watch
from training.families.denoiser.loss import torn, windows
from training.families.denoiser.model import CONTEXT, PURE, SPREAD, Config, Model, shares
from training.recipe import Recipe
from training.trainer.train import train

PALETTE = tuple(tuple(int(v) for v in colour) for colour in breakout.PALETTE)
SMALL = {"channels": 24, "blocks": 2, "offered": [1, 4]}


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(Config(PALETTE, actions=3, chance=1, channels=16, blocks=2)).eval()


def test_colours_are_those_of_the_palette_and_come_back(model: Model) -> None:
    index = torch.randint(0, len(PALETTE), (2, 1, 64, 64))
    planes = model.planes_of(index)
    assert planes.shape == (2, len(PALETTE), 64, 64) and torch.equal(model.named(planes), index)
    frames = model.paint(planes + 0.01 * torch.randn_like(planes))
    assert torch.equal(frames[..., :3], model.palette[index].to(torch.uint8))
    assert torch.equal(model.colours(frames), planes)
    assert torch.equal(model.unpack(model.pack(planes)), planes)


def test_noise_falls_geometrically_from_a_warm_start_or_from_pure_noise(model: Model) -> None:
    assert model.levels() == [model.config.most]
    levels = model.sampled(4).levels()
    ratios = [b / a for a, b in itertools.pairwise(levels)]
    assert levels[0] == model.config.most and levels[-1] == pytest.approx(model.config.least)
    assert ratios == pytest.approx([ratios[0]] * 3)
    assert model.sampled(4, warm=False).levels()[0] == PURE
    assert model.config.evaluations == 1  # The others are models of their own.


def test_what_a_noisy_frame_shows_is_believed_by_how_much_of_it_is_true() -> None:
    truth, noise = SPREAD * torch.randn(2, 200_000, generator=torch.Generator().manual_seed(0))
    for sigma, way in ((0.05, 0.0), (0.2, 0.25), (0.8, 0.9), (0.8, 1.0)):
        keep, off = (float(part) for part in shares(torch.tensor(sigma), torch.tensor(way)))
        shown = (1 - way) * truth + sigma / SPREAD * noise
        left = truth - keep * shown
        assert float(left.std()) == pytest.approx(off, rel=0.02)
        assert abs(float((left * shown).mean())) < 0.03 * SPREAD * sigma  # No more can be had.
    assert keep == 0  # A warm start shows nothing of what is to come.


def test_no_two_steps_draw_the_same_noise_until_it_begins_again(model: Model) -> None:
    drawn = [model.drawn(torch.tensor([[float(turn)]])) for turn in range(64)]
    assert drawn[0].shape == (1, len(PALETTE), 64, 64)
    assert all(0.9 < d.std() < 1.1 for d in drawn)
    assert all(not torch.equal(drawn[0], d) for d in drawn[1:])


def test_it_sees_the_frames_that_it_was_shown_and_no_others(
    model: Model, tiny_recipe: Recipe
) -> None:
    scene = make_scene(breakout.Breakout, tiny_recipe, 0, CONTEXT, 2, 3)
    given = tensors(scene.history_parts)
    state = watch(model, **given)
    frames = given["shown"]["frame"]
    assert set(state) == {"frame", "past", "given", "turn"}
    assert torch.equal(state["frame"], frames[:, -1])
    assert torch.equal(state["past"], frames[:, :-1])
    assert torch.equal(state["given"], torch.cat([given["actions"], given["chances"]], 2))
    with torch.no_grad():
        frame, after, heads = model.step(state, torch.zeros(3, 3), torch.zeros(3, 1))
    assert torch.equal(after["past"], frames[:, 1:]) and torch.equal(after["frame"], frame)
    assert frame.dtype == torch.uint8 and heads["reward"].shape == (3,)


def test_a_window_of_a_frame_is_that_part_of_the_frame(model: Model) -> None:
    frames = model.planes_of(torch.randint(0, len(PALETTE), (2 * CONTEXT, 1, 64, 64)))
    context = frames.reshape(2, CONTEXT, len(PALETTE), 64, 64)
    x, sigma, way = context[:, -1] + 0.1, torch.full((2, 1), 0.8), torch.full((2, 1), 0.5)
    torch.nn.init.normal_(model.write.weight, std=0.02)
    moved = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    moved[:, :, 40, 21] = True
    window = windows(moved, model.grid)
    numbers = torch.arange(32 * 32).reshape(1, 32, 32).expand(2, -1, -1)
    with torch.no_grad():
        given = torch.zeros(2, CONTEXT, 4)
        full, heads = model.denoise(x, sigma, way, context, given)
        whole, _ = model.denoise(x, sigma, way, context, given, numbers)
        part, others = model.denoise(x, sigma, way, context, given, window)
    assert torch.equal(whole, full) and torch.equal(heads, others)
    for k in range(2):
        row, column = (2 * int(v) for v in (window[k, 0, 0] // 32, window[k, 0, 0] % 32))
        assert part.shape[2:] == (32, 32)
        # Two blocks reach four cells: so far from the window's edge all is as in the frame.
        there = full[k, :, row + 8 : row + 24, column + 8 : column + 24]
        assert torch.allclose(part[k, :, 8:24, 8:24], there, atol=1e-4)


def test_what_is_torn_is_in_part_as_it_was_in_the_frame_before() -> None:
    shown = torch.arange(5)[None, :, None, None, None].expand(400, -1, 1, 8, 8)
    spoilt = torn(shown, 0.25)
    stayed = (spoilt != shown).flatten(2).float().mean(2)
    assert torch.equal(spoilt[:, 0], shown[:, 0])
    assert ((spoilt == shown) | (spoilt == shown - 1)).all()
    assert 0.15 < (stayed[:, 1:] > 0).any(1).float().mean() < 0.35 and stayed.max() < 0.8
    assert torch.equal(torn(shown, 0.0), shown)


@pytest.mark.slow
def test_it_learns_by_the_recipe_and_is_evaluated_with_every_sampler(
    tiny_denoiser: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    changes = {"batch": 8, "minutes": 5.0, "distil_share": 0.3, "unroll": 1, "validate_steps": 8}
    plan = dataclasses.replace(tiny_denoiser.train, **changes)
    recipe = dataclasses.replace(tiny_denoiser, model=SMALL, train=plan)
    right = {}
    for steps in (1, 150):
        out = tmp_path / str(steps)
        once = dataclasses.replace(plan, steps=steps)
        part = dataclasses.replace(recipe, train=once)
        train(part, tiny_dataset, out, breakout.Breakout, keys={"sim": "s"})
        right[steps] = json.loads((out / "curve.json").read_text())[-1]["val_moved_right"]
    assert right[150] > right[1] + 0.05
    metrics = evaluate(tmp_path / "150", breakout.Breakout, recipe)
    names = [row["name"] for row in metrics["rows"]]
    assert metrics["samplers"] == {"4 evaluations": 4, "4 evaluations, from noise alone": 4}
    assert names[:3] == ["denoiser", *metrics["samplers"]]
    values = [row["values"] for row in metrics["rows"][:3]]
    assert all(set(value) == set(values[0]) for value in values)
    assert values[0] != values[1]
