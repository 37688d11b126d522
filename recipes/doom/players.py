"""Who plays Doom while it is recorded, beside chance: a hunter, one who aims beside, a wanderer."""

from __future__ import annotations

from typing import Any

import numpy as np

LEFT, RIGHT, STILL = (1, 0), (0, 1), (0, 0)
AHEAD = 5  # steps from pulling the trigger to the shot
HIT = 27.0  # how far from its middle the monster is hit, about
SURE = 8.0  # and how near to where it aims a player shoots


def hunter(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Go where the monster is, and shoot; now and then do anything."""
    return played(observation, 0.0, 0.1, random)


def near(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Do the same, but aim each shot beside it, so that half of the shots just miss."""
    place, _, aside, bullets, _ = observation["numbers"]
    beside = (10 * (place + aside) + 17 * bullets) % (4 * HIT) - 2 * HIT
    return played(observation, beside, 0.15, random)


def wanderer(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Walk from wall to wall and shoot at times, never at the monster."""
    place, speed, aside, *_ = observation["numbers"]
    way = RIGHT if speed < 0 else LEFT
    if abs(place) > 180:
        way = RIGHT if place > 0 else LEFT
    if random.random() < 0.1:
        way = STILL
    shoots = abs(aside) > 1.5 * HIT and random.random() < 0.1
    return [*way, int(shoots)]


def played(observation: Any, beside: float, errs: float, random: np.random.Generator) -> list[int]:
    """Return the buttons that bring the player to the monster, or `beside` it, and shoot."""
    if random.random() < errs:
        return [int(held) for held in random.random(3) < 0.4]
    _, speed, aside, *_ = observation["numbers"]
    off = aside + beside - AHEAD * speed
    way = LEFT if off > SURE / 2 else RIGHT if off < -SURE / 2 else STILL
    return [*way, int(abs(off) < SURE)]
