"""What the bench says of road users in pictures: it must see them, and miss them when they go."""

import numpy as np
import pytest

from bench.driving_users import FRONT, shows, where
from sims.contract import Array
from sims.driving import Driving

AWAY = 6  # pixels: further than what counts as the same place


@pytest.fixture(scope="module")
def pictures() -> tuple[Array, Array]:
    """Return what the front camera sees of a car ahead, and of the same road without it."""
    sim = Driving(1)
    sim.reset(np.array([3]), "following/clear")
    ahead = np.zeros((2, 1, 3, 64, 96, 3), np.uint8)
    sim.render(ahead[0])
    sim.state["user_kind"][:] = 0
    sim.render(ahead[1])
    return ahead[0, 0, FRONT], ahead[1, 0, FRONT]


def test_a_user_is_seen_where_it_is(pictures: tuple[Array, Array]) -> None:
    real, empty = pictures
    assert where(real, empty).sum() > 30
    assert shows(real, real, empty)
    assert shows(np.roll(real, 2, 1), real, empty)


def test_who_is_three_pixels_wide_is_seen() -> None:
    empty = np.full((64, 96, 3), 90, np.uint8)
    real = empty.copy()
    real[30:38, 40:43] = 200
    assert shows(real, real, empty) and shows(np.roll(real, 2, 1), real, empty)
    assert not shows(empty, real, empty) and not shows(np.roll(real, AWAY, 1), real, empty)


def test_nobody_is_seen_on_an_empty_road_in_haze_or_elsewhere(
    pictures: tuple[Array, Array],
) -> None:
    real, empty = pictures
    assert not shows(empty, real, empty)
    assert not shows(np.full_like(real, 128), real, empty)
    assert not shows(real // 2 + empty // 2, real, empty)
    seen = np.nonzero(where(real, empty).any(0))[0]
    moved = empty.copy()
    to = np.clip(seen + AWAY + len(seen), 0, real.shape[1] - 1)
    moved[:, to] = real[:, seen]
    assert not shows(moved, real, empty)
