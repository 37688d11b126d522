from __future__ import annotations

import numpy as np
import pytest
import torch

from sims import breakout
from sims.errors import UserError
from training.models import family
from training.models.recurrent import Config, Model
from training.objective import choose
from training.scenes import rgba

PALETTE = tuple(tuple(int(v) for v in colour) for colour in breakout.PALETTE)


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(Config(PALETTE, actions=3, chance=1, channels=16, blocks=1, history=4)).eval()


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    sim = breakout.Breakout(3)
    sim.reset(np.arange(3), "half")
    out = []
    for _ in range(5):
        sim.step(sim.act("good"))
        out.append(rgba(sim))
    return torch.from_numpy(np.stack(out, 1))


def test_frames_survive_index_pack_unpack_and_paint(model: Model, frames: torch.Tensor) -> None:
    index = model.index(frames[:, 0])
    packed = model.pack(index)
    assert packed.shape == (3, 16, 16, 16)
    assert torch.equal(model.unpack(packed), index)
    assert torch.equal(model.paint(index), frames[:, 0])
    assert torch.equal(model.choose(model.one_hot(packed)), packed)
    assert torch.equal(choose(model.one_hot(packed), model.colours).long(), packed)


def test_unseen_colours_become_their_nearest(model: Model, frames: torch.Tensor) -> None:
    noisy = frames[:, 0].int()
    noisy[..., :3] = (noisy[..., :3] + torch.randint(-3, 4, noisy[..., :3].shape)).clamp(0, 255)
    assert torch.equal(model.index(noisy.to(torch.uint8)), model.index(frames[:, 0]))


def test_a_step_keeps_the_contract(model: Model, frames: torch.Tensor) -> None:
    action, chance = torch.eye(3), torch.rand(3, 1)
    frame, state, heads = model.step(model.initial(frames[:, 0]), action, chance)
    assert frame.dtype == torch.uint8 and frame.shape == (3, 1, 64, 64, 4)
    assert torch.equal(state["frame"], frame)
    assert state["hidden"].shape == (3, 16, 16, 16)
    assert heads["reward"].shape == heads["terminated"].shape == (3,)
    assert bool(((heads["terminated"] >= 0) & (heads["terminated"] <= 1)).all())


def test_encode_is_stepping_with_the_frames_that_were_seen(
    model: Model, frames: torch.Tensor
) -> None:
    actions, chances = torch.rand(3, 4, 3), torch.rand(3, 4, 1)
    state = model.initial(frames[:, 0])
    for t in range(4):
        _, state, _ = model.step(state, actions[:, t], chances[:, t])
        state["frame"] = frames[:, t + 1]
    encoded = model.encode(frames, actions, chances)
    torch.testing.assert_close(encoded["hidden"], state["hidden"])
    assert torch.equal(encoded["frame"], frames[:, -1])


def test_an_unknown_family_is_named_with_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"family 'gan': unknown\. Known families: recurrent"):
        family("gan")
