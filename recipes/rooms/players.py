"""Who walks through Doom's rooms while they are recorded, beside chance."""

from __future__ import annotations

from math import hypot, sin
from typing import Any

import numpy as np

SLOW = 4.0  # whoever walks more slowly meets a wall
ARMOUR = 1040.0, -352.0  # its place
NEAR = 940.0  # from here on to the east, the way to it is straight


def walker(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Walk on, and turn at walls: to which side, the place says."""
    east, north, eastward, northward, *_ = observation["numbers"]
    if random.random() < 0.1:
        return [int(held) for held in random.random(5) < 0.3]
    left = sin(east / 23) + sin(north / 31) > 0
    meets = hypot(eastward, northward) < SLOW
    turns = meets or random.random() < 0.1
    return going(left, turns, not meets or random.random() < 0.5)


def seeker(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Walk as `walker` does, and to the armour where it is near."""
    east, north, _, _, x, y, _ = observation["numbers"]
    if east < NEAR or random.random() < 0.1:
        return walker(observation, env, random)
    u, v = ARMOUR[0] - east, ARMOUR[1] - north
    aside = (x * v - y * u) / max(1.0, hypot(u, v))
    ahead = x * u + y * v > 0
    return going(aside > 0, abs(aside) > 0.1 or not ahead, ahead and abs(aside) < 0.5)


def onlooker(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Turn round and round, and take a step at times."""
    east, north, *_ = observation["numbers"]
    left = sin(east / 11) + sin(north / 17) > 0
    walks = random.random(3) < 0.15
    return [int(left), int(not left), *(int(walk) for walk in walks)]


def going(left: bool, turns: bool, walks: bool) -> list[int]:
    """Return the buttons of a turn to one side, and of a step ahead."""
    return [int(turns and left), int(turns and not left), int(walks), 0, 0]
