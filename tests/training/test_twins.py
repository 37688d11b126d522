from __future__ import annotations

import dataclasses

import pytest
import torch

from sims import breakout
from training.families.object_laws.laws import DOUBT, GIVEN
from training.families.object_laws.model import Config, Model

PALETTE = tuple(tuple(int(v) for v in colour) for colour in breakout.PALETTE)
BALL, PADDLE = (0, 1, 6, 0.0, 0.0), (4, -1, -1, 6.5, 59.0)
NAMES = ("ball.0", "ball.1", "ball.2", "ball.3", "paddle", "lives", "ball_present")
# A second ball comes between the first and the paddle, and its landmark before both.
SECOND = ("ball2.0", "ball2.1", "ball2.2", "ball2.3", "ball2_present")
ORDER = [0, 1, 2, 3, 9, 10, 11]  # where the values from before stand now
PLACES = [4, 5, 6, 7, 8]
OTHERS = [0, 1, 2, 3, 11]


def values(old: tuple[float, ...]) -> tuple[float, ...]:
    """Sensor values with a second ball's, which are the first's."""
    return (*old[:4], *old[:4], old[6], *old[4:])


ONE = Config(
    PALETTE,
    actions=3,
    chance=1,
    sensor_low=(0, 0, -1.5, -1.5, 1, 0, 0),
    sensor_high=(64, 64, 1.5, 1.5, 51, 3, 1),
    sensor_whole=(False,) * 5 + (True,) * 2,
    sensors=NAMES,
    landmarks=(BALL, PADDLE),
    channels=8,
    memory=2,
    glance=16,
    touch=4,
    wide=24,
)
TWO = dataclasses.replace(
    ONE,
    sensor_low=values(ONE.sensor_low),
    sensor_high=values(ONE.sensor_high),
    sensor_whole=(*(False,) * 8, True, False, True, True),
    sensors=(*NAMES[:4], *SECOND, *NAMES[4:]),
    landmarks=((4, 5, 8, 0.0, 0.0), (0, 1, 11, 0.0, 0.0), (9, -1, -1, 6.5, 59.0)),
    twins=(tuple(zip(PLACES, OTHERS, strict=True)),),
)


@pytest.fixture(scope="module")
def old() -> Model:
    torch.manual_seed(0)
    model = Model(ONE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.nn.init.normal_(model.laws.weight[:, GIVEN:], std=0.1)
    return model


@pytest.fixture(scope="module")
def new(old: Model) -> Model:
    model = Model(TWO).eval()
    weights = model.inherited(old.state_dict(), ONE)
    model.go_on_from(weights)
    fits = {k: v for k, v in weights.items() if v.shape == model.state_dict()[k].shape}
    assert set(fits) >= {name for name, _ in model.named_parameters()}
    model.load_state_dict(fits, strict=False)
    return model


def look(model: Model, sensors: torch.Tensor) -> torch.Tensor:
    """How likely each way of each sensor is, for one picture."""
    torch.manual_seed(1)
    index = torch.randint(0, len(PALETTE), (1, 1, 64, 64)).expand(len(sensors), -1, -1, -1)
    hidden = torch.zeros(len(sensors), model.config.memory, *model.grid)
    action, chance = torch.eye(3)[:1], torch.tensor([[0.3]])
    with torch.no_grad():
        _, choice, _ = model.look(
            model.one_hot(model.pack(index)), sensors, hidden,
            action.expand(len(sensors), -1), chance.expand(len(sensors), -1),
        )  # fmt: skip
    return choice


def test_what_was_known_is_known_beside_a_new_thing(old: Model, new: Model) -> None:
    sensors = torch.tensor([[20.0, 33.0, 1.0, -1.0, 14.0, 2.0, 1.0]])
    more = torch.zeros(1, 12)
    more[:, ORDER] = sensors  # and no second ball yet
    torch.testing.assert_close(look(new, more)[:, ORDER], look(old, sensors))
    laws = (model.laws.weight[rows, GIVEN:] for model, rows in ((new, ORDER), (old, range(7))))
    torch.testing.assert_close(*(law[..., -1] for law in laws))


def test_a_twin_is_judged_as_what_it_is_like(old: Model, new: Model) -> None:
    first = torch.tensor([[20.0, 33.0, 1.0, -1.0, 14.0, 2.0, 1.0]])
    both = torch.zeros(2, 12)
    both[:, ORDER] = first
    both[:, PLACES] = torch.tensor([41.0, 12.0, -1.0, 0.5, 1.0])
    both[1, PLACES], both[1, OTHERS] = both[0, OTHERS], both[0, PLACES]
    choice = look(new, both)
    # The same choices, but less sure of them.
    torch.testing.assert_close(choice[0, PLACES], DOUBT * choice[1, OTHERS])
    assert not torch.allclose(choice[0, PLACES], DOUBT * choice[0, OTHERS])
    # Where it is alone, it is what the old model knew.
    alone = torch.zeros(1, 12)
    alone[:, ORDER] = first
    alone[:, PLACES], alone[:, OTHERS] = first[:, [0, 1, 2, 3, 6]], 0.0
    known = DOUBT * look(old, first)[:, [0, 1, 2, 3, 6]]
    torch.testing.assert_close(look(new, alone)[:, PLACES], known)


def test_a_twins_laws_are_those_of_what_it_is_like_with_both_exchanged(new: Model) -> None:
    laws = new.laws
    like = laws.like(1)
    reads = laws.weight[0, GIVEN, :12]
    assert torch.equal(like[4, 0, [4, 9]], reads[[0, 9]]) and like[4, 0, 0] == 0
    assert torch.equal(laws.low[PLACES], laws.low[OTHERS])


def test_what_has_other_names_is_not_taken_over(old: Model) -> None:
    other = dataclasses.replace(ONE, sensors=(*NAMES[:5], "points", NAMES[6]))
    weights = Model(other).inherited(old.state_dict(), ONE)
    known = old.control.weight.detach().clone()
    known[:, 4 + 5] = 0  # after actions and chance
    assert torch.equal(weights["control.weight"], known)
