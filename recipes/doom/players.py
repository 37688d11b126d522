"""Who plays Doom while it is recorded, beside chance: a hunter, one who aims beside, a wanderer."""

from __future__ import annotations

from typing import Any

import numpy as np

LEFT, RIGHT, FIRE = [1, 0, 0], [0, 1, 0], [0, 0, 1]
AHEAD = 5  # steps from pulling the trigger to the shot
WIDE = 12.0  # how far from its middle the monster is hit, about


def hunter(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Go where the monster is, and shoot; now and then do anything."""
    return played(observation, 0.0, 0.1, random)


def near(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Do the same, but aim beside it, to either side: some shots hit, many miss."""
    monster = observation["numbers"][2]
    return played(observation, 50 * np.sin(monster), 0.2, random)


def wanderer(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Walk from wall to wall and shoot at times, and seldom at the monster."""
    place, speed, monster, *_ = observation["numbers"]
    way = RIGHT if speed < 0 else LEFT
    if abs(place) > 180:
        way = RIGHT if place > 0 else LEFT
    if random.random() < 0.1:
        way = [0, 0, 0]
    shoots = abs(monster - place) > 3 * WIDE and random.random() < 0.1
    return [*way[:2], int(shoots)]


def played(observation: Any, beside: float, errs: float, random: np.random.Generator) -> list[int]:
    """Return the buttons that bring the player to the monster, or `beside` it, and shoot."""
    if random.random() < errs:
        return [int(held) for held in random.random(3) < 0.4]
    place, speed, monster, _, _ = observation["numbers"]
    off = monster + beside - place - AHEAD * speed
    way = LEFT if off > WIDE / 2 else RIGHT if off < -WIDE / 2 else [0, 0, 0]
    return [*way[:2], int(abs(off) < WIDE)]
