"""The family `pixels`: cells, their contents, a step, and a small training of Breakout."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from builder.export.export import export
from builder.export.runtimes import open_session
from sims.breakout import Breakout
from sims.contract import Array
from sims.errors import UserError
from training.data.dataset import Dataset
from training.families.pixels.cells import Contents, cells_of, read, written
from training.families.pixels.cuda_graph import Graph
from training.families.pixels.loss import loss, source
from training.families.pixels.model import BESIDE, KEEPS, PARTS, Config, Model
from training.families.pixels.options import MORE_STAY
from training.recipe import Recipe
from training.trainer.checkpoints import build, load_model
from training.trainer.train import train

RNG = np.random.default_rng(0)
PALETTE = ((0, 0, 0), (255, 255, 255), (200, 30, 30))


def frames(n: int = 6, cameras: int = 2) -> Array:
    return RNG.integers(0, len(PALETTE), (n, cameras, 8, 12), dtype=np.uint8)


def small(**changes: Any) -> Model:
    torch.manual_seed(1)
    contents = RNG.integers(0, len(PALETTE), (5, 16), dtype=np.uint8)
    told: dict[str, Any] = {
        "palette": PALETTE, "actions": 2, "chance": 1, "cameras": 2, "height": 8, "width": 12,
        "channels": 8, "blocks": 3, "contents": written(contents),
    }  # fmt: skip
    return Model(Config(**(told | changes))).eval()


def all_contents() -> Array:
    return RNG.integers(0, len(PALETTE), (40, 16), dtype=np.uint8)


def shown(games: int = 3) -> dict[str, torch.Tensor]:
    palette = np.array([[*colour, 255] for colour in PALETTE], np.uint8)
    return {"frame": torch.from_numpy(palette[frames(games)]), "sensors": torch.zeros(games, 0)}


def test_contents_are_numbered_once_and_told_back() -> None:
    seen, contents = frames(), Contents(4)
    first, again = contents.number(seen), contents.number(seen[::-1].copy())
    assert first.shape == (6, 12) and np.array_equal(first[::-1], again)
    assert np.array_equal(contents.told[first], cells_of(seen, 4))
    assert len(np.unique(contents.told, axis=0)) == len(contents.told)
    assert np.array_equal(read(written(contents.told)), contents.told)


def test_a_world_of_too_many_shapes_is_sent_to_another_family() -> None:
    with pytest.raises(UserError, match=r"more than 20 different squares .* 'latent' learns"):
        Contents(4).number(frames(), most=20)


def test_a_cell_that_stays_keeps_what_no_recording_shows() -> None:
    model, first = small(), shown()
    state = model.initial(first)
    with torch.no_grad():
        model.write.bias[0] = 1000.0  # type: ignore[index]
        frame, after, heads = model.step(state, torch.rand(3, 2), torch.rand(3, 1))
        assert torch.equal(frame, first["frame"]) and heads["reward"].shape == (3,)
        assert set(after) == set(state) and not torch.equal(after["memory"], state["memory"])
        # Whatever it draws is one of its contents.
        model.write.bias[0] = -1000.0  # type: ignore[index]
        frame, *_ = model.step(state, torch.rand(3, 2), torch.rand(3, 1))
    index = (frame[..., None, :3] == torch.tensor(PALETTE)).all(-1).int().argmax(-1)
    drawn = cells_of(index.numpy().astype(np.uint8), 4).reshape(-1, 16)
    known = read(model.config.contents)
    assert (drawn[:, None] == known[None]).all(-1).any(1).all()


def test_its_memory_follows_what_is_shown_and_not_what_it_drew() -> None:
    model, first, other = small(), shown(), shown()
    action, chance = torch.rand(3, 2), torch.rand(3, 1)
    with torch.no_grad():
        _, after, _ = model.step(model.initial(first), action, chance)
        model.prior.weight.add_(torch.randn_like(model.prior.weight))
        _, drawn_otherwise, _ = model.step(model.initial(first), action, chance)
        _, elsewhere, _ = model.step(model.initial(other), action, chance)
    assert torch.equal(after["memory"], drawn_otherwise["memory"])
    assert not torch.equal(after["memory"], elsewhere["memory"])


def test_a_number_of_chance_points_to_a_place_that_all_cells_are_told_alike() -> None:
    model = small()
    rows, columns = model.grid
    for axis, cells in enumerate((rows, columns)):
        chance = torch.arange(cells) * 4 / (4 * cells - 1)  # the first pixel of each cell
        with torch.no_grad():
            told = model.spots(chance[:, None])[axis]
        assert told.shape == (cells, 8, rows, columns)
        told = told.amax(3 - axis)  # [chance, features, cells along this axis]
        for k in range(cells):
            assert torch.allclose(told[k, :, k], told[0, :, 0], atol=1e-5)
            assert told[k].sum().item() == pytest.approx(1, abs=1e-4)


def test_contents_that_keep_pixels_are_likelier_and_share_what_is_learned_of_pixels() -> None:
    model = small()
    planes = model.listed[:1]
    with torch.no_grad():
        kept = model.kept(planes)[0]
        changed = (model.contents != model.contents[0]).sum(1)
        assert torch.allclose(kept[1:], -KEEPS * changed, atol=1e-5)
        assert kept[0] == 0  # To stay is told by `write` alone.
        before = model.writing()
        model.write_pixels.weight[:, 5] += 1.0  # the second pixel, in the third colour
        moved = (model.writing() - before).abs().sum(1) > 0
    assert moved.tolist() == [False, *(model.contents[:, 1] == 2).tolist()]


def test_a_cell_is_told_what_happens_far_away() -> None:
    model = small(cameras=1, height=64, width=64, blocks=2)
    features = torch.zeros(1, 8, *model.grid)
    with torch.no_grad():
        features[0, :, 0, 0] = torch.randn(8)
        here, there = model.opened(features), model.opened(features.roll(5, 1))
    assert not torch.equal(here[0, :, -1, -1], there[0, :, -1, -1])


def test_it_goes_on_from_weights_of_other_colours_and_contents() -> None:
    blue = (10, 20, 250)
    before = small(contents=written(all_contents()))
    order = [2, 0, 1]  # this model's colours, as numbers of the other's
    palette = tuple(PALETTE[k] for k in order)
    contents = read(before.config.contents)[::-1][:12]
    told = {"palette": palette, "contents": written(np.argsort(order)[contents].astype(np.uint8))}
    for edited in (palette, (palette[0], palette[1], blue)):  # white, edited into blue
        model = small(**told | {"palette": edited})
        model.load_state_dict(model.inherited(before.state_dict(), before.config), strict=False)
        first = shown(2)
        turned = {**first, "frame": first["frame"].clone()}
        turned["frame"][(first["frame"] == 255).all(-1)] = torch.tensor([*edited[2], 255]).byte()
        with torch.no_grad():
            cells = [m.one_hot(m.cells(f["frame"])) for m, f in ((before, first), (model, turned))]
            one, two = (m.read(c) for m, c in zip((before, model), cells, strict=True))
            assert torch.allclose(one, two, atol=1e-6)
            row = {one: k for k, one in enumerate(before.config.contents)}
            rows = [1 + row[one] for one in written(contents)]
            weight = before.writing()[[0, *rows]]
            assert torch.allclose(weight, model.writing(), atol=1e-6)
    model = small(palette=(*PALETTE, blue))
    found = model.inherited(before.state_dict(), before.config)
    assert found["keep"].shape == model.keep.shape and len(found["palette"]) == 4
    assert small(patch=2, contents=()).inherited(before.state_dict(), before.config)


def test_a_drawn_latent_repeats_and_differs_from_step_to_step() -> None:
    model, first = small(contents=written(all_contents())).warmer(1.0), shown(1)
    with torch.no_grad():
        model.write.bias[0] = -1000.0  # type: ignore[index]
        model.tell.weight.mul_(100.0)  # What is drawn is the latent's alone.
        games = [[model.initial(first)], [model.initial(first)]]
        for states in games:
            for _ in range(6):
                still = states[-1] | {"frame": first["frame"], "memory": states[0]["memory"]}
                states.append(model.step(still, torch.zeros(1, 2), torch.zeros(1, 1))[1])
    one, again = (torch.stack([state["frame"] for state in states[1:]]) for states in games)
    assert torch.equal(one, again)
    # The frame, memory and action were the same at each step.
    assert len(one.flatten(1).unique(dim=0)) > 1


@pytest.mark.parametrize(("height", "width"), [(32, 48), (20, 28)])
def test_a_cell_is_drawn_as_training_told_it_beside_what_the_others_took(
    height: int, width: int
) -> None:
    model = small(cameras=1, height=height, width=width)
    with torch.no_grad():
        model.write.bias.zero_()  # type: ignore[union-attr]
        model.beside.weight.mul_(10.0)  # What lies beside it matters.
        known = torch.randn(8, 16, *model.grid)
        stays, listed = torch.randn(8, BESIDE, *model.grid), torch.randn(5, BESIDE)
        kept = torch.randn(8, 6, *model.grid)
        picks = model.picked(known, kept, stays, listed)
        took = listed[(picks - 1).clamp_min(0)].permute(0, 3, 1, 2)
        took = torch.where(picks[:, None] > 0, took, stays)
        weight = model.writing()[:, :, None, None]
        alone, beside = (
            (F.conv2d(torch.relu(known + told), weight, model.write.bias) + kept).argmax(1)
            for told in (0, model.told(took))
        )
    assert torch.equal(picks, beside) and not torch.equal(picks, alone)


def test_when_it_plays_a_cell_stays_where_training_would_hardly_change_it() -> None:
    model, first = small(), shown(1)
    with torch.no_grad():
        for weight in (model.write.weight, model.write.bias, model.write_pixels.weight, model.keep):
            weight.zero_()  # type: ignore[union-attr]
        for ahead, stays in ((MORE_STAY - 0.1, True), (MORE_STAY + 0.1, False)):
            model.write.bias[3] = ahead  # type: ignore[index]
            frame, *_ = model.step(model.initial(first), torch.zeros(1, 2), torch.zeros(1, 1))
            assert torch.equal(frame, first["frame"]) == stays


def test_every_part_of_the_range_of_chance_is_told_apart() -> None:
    told = small().given(torch.zeros(101, 2), torch.linspace(0, 1, 101)[:, None])
    assert told.shape == (101, 2 + PARTS + 1)
    # How near it is to the parts around it; and the number itself.
    assert torch.allclose(told[:, :-1].sum(1), torch.ones(101))
    assert torch.equal(told[:, -1], torch.linspace(0, 1, 101))
    assert len(told.unique(dim=0)) == 101
    assert small(chance=0).given(torch.zeros(3, 2), torch.zeros(3, 0)).shape == (3, 2)


@pytest.mark.slow
def test_it_learns_what_moves_and_loads_again(
    tiny_recipe: Recipe, tiny_dataset: Path, tmp_path: Path
) -> None:
    plan = dataclasses.replace(
        tiny_recipe.train, minutes=60.0, steps=40, batch=4, unroll=4, teacher_share=0.5
    )
    recipe = dataclasses.replace(tiny_recipe, family="pixels", model={"size": "small"}, train=plan)
    train(recipe, tiny_dataset, tmp_path, Breakout, keys={})
    model = load_model(tmp_path)
    dataset = Dataset.open(tiny_dataset)
    arrays = dataset.load("train")
    fresh = build(recipe, arrays, dataset.spec)
    assert model.config == fresh.config and model.config.channels == 48
    losses = []
    for one in (fresh, model):
        torch.manual_seed(0)
        games = source(arrays, Breakout, recipe, 16, 0, one)
        losses.append(float(loss(one, games, None, plan, 0.0)[0].detach()))
    assert losses[1] < 0.7 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_its_graph_draws_the_same_frames(temperature: float, tmp_path: Path) -> None:
    model = small().warmer(temperature)
    with torch.no_grad():
        # It draws every cell anew.
        model.write.bias[0] = -1000.0  # type: ignore[index]
    graph = open_session(export(model, tmp_path, {}))
    state = model.initial({name: value[:1] for name, value in shown().items()})
    first = state["frame"]
    with torch.no_grad():
        for _ in range(4):
            action, chance = torch.rand(1, 2), torch.rand(1, 1)
            fed = {f"state_{name}": value.numpy() for name, value in state.items()}
            fed |= {"action": action.numpy(), "chance": chance.numpy()}
            drawn = graph.run(["frame"], fed)[0]
            frame, state, _ = model.step(state, action, chance)
            assert np.array_equal(drawn, frame.numpy())
    assert not torch.equal(frame, first)


@pytest.mark.slow
def test_a_game_that_left_the_recording_does_not_count_until_another_begins(
    tiny_recipe: Recipe, tiny_dataset: Path
) -> None:
    plan = dataclasses.replace(tiny_recipe.train, batch=4, unroll=3, dream_share=1.0, stream=200)
    recipe = dataclasses.replace(tiny_recipe, family="pixels", model={"size": "small"}, train=plan)
    dataset = Dataset.open(tiny_dataset)
    arrays = dataset.load("train")
    model = build(recipe, arrays, dataset.spec)
    games = source(arrays, Breakout, recipe, 4, 0, model)
    _, figures, carried = loss(model, games, None, plan, 0.0)
    assert figures["frame_loss"] > 0 and not carried.state.lost.any()
    # All of them have left it, and the next steps are told as if nobody had noticed.
    told = games.next(3)
    steps = [torch.from_numpy(value) for value in vars(told).values()]
    given = torch.tensor(0.01), *steps
    state = vars(carried.state) | {"lost": torch.ones(4).bool()}
    _, sums, *_, lost = carried.played(*given, *state.values())
    assert not told.fresh.any() and lost.all()
    assert sums[2].tolist() == pytest.approx([0.0, 3.0], abs=1e-4)
    _, sums, *_ = carried.played(*given, *vars(carried.state).values())
    assert sums[2, 0] > 0 and sums[2, 1] == 12
    # The next call knows of it: others begin.
    assert games.next(1, np.ones(4, bool)).fresh.all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_cuda_graph_gives_the_loss_and_its_gradients() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            out = self.layer(x)
            return out.square().sum(), out

    module = Twice().cuda()
    graph = Graph(module, (torch.zeros(4, 5, device="cuda"),))
    for _ in range(2):
        x = torch.randn(4, 5, device="cuda")
        mine, out = graph(x)
        (2 * mine).backward()
        found = [one.grad.clone() for one in module.parameters() if one.grad is not None]
        module.zero_grad()
        loss_of, expected = module(x)
        (2 * loss_of).backward()
        assert torch.allclose(mine, loss_of) and torch.allclose(out, expected)
        for one, gradient in zip(module.parameters(), found, strict=True):
            assert one.grad is not None and torch.allclose(one.grad, gradient)
        module.zero_grad()
        with torch.no_grad():
            module.layer.weight.mul_(1.5)
