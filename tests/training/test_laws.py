from __future__ import annotations

import pytest
import torch

from training.models.landmarks import Landmarks
from training.models.laws import GIVEN, Laws
from training.objective import surprise

LOW, HIGH = (0.0, -1.5, 1.0), (62.0, 1.5, 51.0)  # a place, a speed, another place


@pytest.fixture(scope="module")
def laws() -> Laws:
    torch.manual_seed(0)
    marks = Landmarks(((0, -1, -1, 0.0, 8.0), (2, -1, -1, 6.5, 59.0)), 3, 64, 64, 4)
    return Laws(LOW, HIGH, (False, False, True), marks, actions=2, wide=8, learned=2)


def foreseen(laws: Laws, sensors: torch.Tensor) -> torch.Tensor:
    """All ways that the sensors may go, in their own units, [B, S, ways]."""
    b = len(sensors)
    whole = torch.floor(sensors[:, [0, 2]] + torch.tensor([0.0, 6.5]))
    rows = torch.tensor([8.0, 59.0]).expand(b, 2)
    places = torch.cat([whole / 32, rows / 32, torch.zeros(b, laws.linear.in_features - 12)], 1)
    _, ways = laws.foresee(torch.zeros(b, 8), sensors, sensors, torch.zeros(b, 2), places)
    return torch.stack([laws.units(ways[:, :, k]) for k in range(ways.shape[2])], 2)


def test_given_laws_are_exact(laws: Laws) -> None:
    sensors = torch.tensor([[13.37, -1.25, 20.0], [40.9, 0.3, 3.0]])
    ways = foreseen(laws, sensors)
    assert ways.shape == (2, 3, 1 + GIVEN + 2 + 1)
    known = ways[:, :, 1 : 1 + GIVEN]
    torch.testing.assert_close(known[:, :, 0], sensors)
    torch.testing.assert_close(known[:, 1, 1], -sensors[:, 1])
    torch.testing.assert_close(known[:, 1, 2], torch.zeros(2))
    for edge, values in ((3, LOW), (4, HIGH)):
        torch.testing.assert_close(known[:, :, edge], torch.tensor(values).expand(2, 3))
    # Half pixels around the one that a landmark is in; its shift is where it is drawn.
    half = torch.arange(-2, 5) / 2
    torch.testing.assert_close(known[0, 0, 5:], 13 + half)
    torch.testing.assert_close(known[1, 0, 5:], 40 + half)
    torch.testing.assert_close(known[1, 2, 5:], 9 + half - 6.5)


def test_one_way_is_picked_whole_and_settled(laws: Laws) -> None:
    choice = torch.full((1, 3, 4), -1.0)
    choice[0, torch.arange(3), torch.tensor([0, 2, 3])] = 1.0
    ways = torch.linspace(-1.2, 1.2, 4).expand(1, 3, 4)
    # The first is out of its range, the last a whole number.
    expected = torch.tensor([[0.0, 0.4 * 1.5, 51.0]])
    torch.testing.assert_close(laws.decide(choice, ways), expected)


def test_to_choose_what_happens_is_no_surprise() -> None:
    off = torch.tensor([[[0.3, 0.0, 0.02]]])
    sure = [float(surprise(5.0 * torch.eye(3)[k].view(1, 1, 3), off)) for k in range(3)]
    assert sure[1] < 0.1 and sure[1] < sure[2] < sure[0]
    # Where a way is nearly right, nearer is better.
    near = [float(surprise(torch.zeros(1, 1, 1), torch.tensor([[[d]]]))) for d in (0.0, 0.002, 0.1)]
    assert near[0] < near[1] < near[2]
