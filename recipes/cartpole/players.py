"""Who plays CartPole while it is recorded, beside chance."""

from __future__ import annotations

from typing import Any

import numpy as np

LATE = 0.3  # share of the steps at which a person keeps the key, whatever happens


def steady(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Push under the pole, wherever that takes the cart."""
    _, _, angle, turn = observation
    return int(3 * angle + turn + random.normal() * 0.5 > 0)


def person(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Push under the pole, and often too late."""
    if random.random() < LATE:
        return int(observation[3] < 0)
    return steady(observation, env, random)


def leaving(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Balance the pole so that it leans to the nearer edge: the cart leaves the frame."""
    place, _, angle, turn = observation
    lean = 0.03 if place > 0 else -0.03
    return int(3 * (angle - lean) + turn + random.normal() * 0.3 > 0)
