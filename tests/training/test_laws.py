from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sims.breakout import Breakout
from training.evaluation.starts import one_hot, sensor_matrix
from training.families.object_laws.landmarks import Landmarks
from training.families.object_laws.laws import GIVEN, Laws
from training.families.object_laws.loss import surprise
from training.families.object_laws.twins import Twins

LOW, HIGH = (0.0, -1.5, 1.0), (62.0, 1.5, 51.0)  # a place, a speed, another place


@pytest.fixture(scope="module")
def laws() -> Laws:
    torch.manual_seed(0)
    marks = Landmarks(((0, -1, -1, 0.0, 8.0), (2, -1, -1, 6.5, 59.0)), 3, 64, 64, 4)
    return Laws(
        LOW,
        HIGH,
        (False, False, True),
        marks,
        Twins((), 3, [0, 2]),
        actions=2,
        chance=1,
        wide=8,
        found=2,
    )


def foreseen(laws: Laws, sensors: torch.Tensor) -> torch.Tensor:
    """All ways that the sensors may go, in their own units, [B, S, ways]."""
    b, given = len(sensors), (torch.zeros(len(sensors), 2), torch.zeros(len(sensors), 1))
    places = laws.places(sensors)
    _, ways = laws.foresee(torch.zeros(b, 8), sensors, sensors, *given, places)
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


@pytest.mark.slow
def test_the_forecast_and_the_laws_are_found_in_play() -> None:
    """Free flight, the serve, the angle off the paddle: what a few thousand steps show, exactly."""
    sim = Breakout(64)
    sim.reset(np.arange(64), "half")
    parts: list[list[torch.Tensor]] = [[], [], [], []]
    for step in range(500):
        sim.reset(1000 * step + np.arange(64), "half", sim.state["lives"] == 0)
        action = sim.act(("good", "random", "bad")[step // 50 % 3])
        values = [sensor_matrix(sim), one_hot(sim, action), sim.draw()]
        sim.step(action, values[2])
        for part, value in zip(parts, [*values, sensor_matrix(sim)], strict=True):
            part.append(torch.from_numpy(value.copy()))
    sensors, action, chance, after = (torch.cat(part) for part in parts)
    low, high = (tuple(v.tolist()) for v in (sensors.amin(0), sensors.amax(0)))
    whole = (False,) * 5 + (True,) * 2
    marks = Landmarks(((0, 1, 6, 0.0, 0.0), (4, -1, -1, 6.5, 59.0)), 7, 64, 64, 4)
    twins = Twins((), 7, [0, 4])
    laws = Laws(low, high, whole, marks, twins, actions=3, chance=1, wide=8, found=2)
    laws.fit(sensors, action, chance, after)

    ahead = laws.ahead(sensors, action)
    assert torch.isclose(ahead[:, 4], after[:, 4], atol=1e-4).all()  # the paddle, walls and all
    assert torch.isclose(ahead, after, atol=1e-4).all(1).float().mean() > 0.9
    free = laws.settle(ahead)
    judged = torch.zeros(len(free), 8)
    _, ways = laws.foresee(judged, sensors, free, action, chance, laws.places(free))
    ways = torch.stack([laws.units(ways[:, :, k]) for k in range(1 + GIVEN + 2)], 2)
    off = (ways - after[:, :, None]).abs().amin(2)
    served = (sensors[:, 6] == 0) & (after[:, 6] == 1)
    # (a game over stays as it is, and is put anew)
    saved = (sensors[:, 3] > 0) & (after[:, 3] < 0) & (after[:, 1] > 50)
    assert served.sum() > 100 and saved.sum() > 100
    assert off[served].quantile(0.95) < 0.002 and off[saved].quantile(0.95) < 0.002
    # The given laws alone explain neither.
    given = (ways[:, :, : 1 + GIVEN] - after[:, :, None]).abs().amin(2)
    assert (given[served].amax(1) > 0.1).float().mean() > 0.9

    # A network that knew them the other way round finds each in the place where it knew it.
    mine, theirs = GIVEN, GIVEN + 1
    known = laws.weight.clone()
    known[:, [mine, theirs]] = known[:, [theirs, mine]]
    other = Laws(low, high, whole, marks, twins, actions=3, chance=1, wide=8, found=2)
    other.go_on_from(laws.low, laws.span, known)
    other.fit(sensors, action, chance, after)
    torch.testing.assert_close(other.weight, known)
    # What holds no longer is found anew, in its place.
    known[:, mine] *= 0.9
    other.go_on_from(laws.low, laws.span, known)
    other.fit(sensors, action, chance, after)
    torch.testing.assert_close(other.weight[:, theirs], known[:, theirs])
    again = other.follow(other.inputs(sensors, free, action, chance, laws.places(free)))[:, :, mine]
    off = (laws.units(again) - after)[:, 2:4].abs().amax(1)
    event = min((served, saved), key=lambda steps: float(off[steps].median()))
    # In all of these steps: also where a speed comes to an end of its range, as a given law says.
    assert off[event].quantile(0.99) < 0.002


def test_units_from_before_are_kept_while_the_range_is_that_of_the_data(laws: Laws) -> None:
    wide = torch.tensor([HIGH]) + 3
    other = Laws(LOW, tuple(wide[0].tolist()), (False,) * 3, laws.marks, laws.twins, 2, 1, 8, 2)
    other.go_on_from(laws.low, laws.span, laws.weight)
    sensors = torch.tensor([[13.37, -1.25, 20.0]])
    assert torch.equal(other.parts(sensors), laws.parts(sensors))
    torch.testing.assert_close(other.settle(wide + 1), wide)
    edge = foreseen(other, sensors)[:, :, 1:][:, :, 3:5]
    torch.testing.assert_close(edge, torch.stack([torch.tensor([LOW]), wide], 2))
    below, above = other.beyond(other.parts(wide + torch.tensor([-1.0, 0.0, 1.0])))
    assert below.tolist() == [[0, 0, 0]] and above.tolist() == [[0, 0, 1]]


def test_too_little_play_leaves_laws_unfound(laws: Laws) -> None:
    laws = copy.deepcopy(laws)
    sensors = torch.rand(20, 3) * 3
    laws.fit(sensors, torch.zeros(20, 2), torch.zeros(20, 1), sensors.flip(0))
    assert not laws.weight[:, GIVEN:].any()


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
