"""Who walks through Doom's rooms while they are recorded, beside chance."""

from __future__ import annotations

from math import hypot
from typing import Any

import numpy as np

# The middle of each room and turning, and from where one walks straight to where.
PLACES = {
    "west": (240, -176), "middle": (464, -176), "north": (464, 48), "centre": (688, 48),
    "lower": (688, -176), "east": (1040, 48), "hall": (1040, -176), "armour": (1040, -352),
    "south": (464, -464), "corner": (464, -672), "end": (550, -672),
}  # fmt: skip
WAYS = [
    ("west", "middle"), ("middle", "north"), ("north", "centre"), ("centre", "lower"),
    ("lower", "middle"), ("centre", "east"), ("east", "hall"), ("hall", "armour"),
    ("middle", "south"), ("south", "corner"), ("corner", "end"),
]  # fmt: skip
THERE = 24.0  # units from a place: close enough to go on
STRAYS = 0.3  # share of places where it first looks into a corner
FAR, NEAR = 64.0, 12.0  # units from the middle of a place, at most: there, and else
GIVES_UP = 0.005  # share of steps in which it turns back, as where a wall is in its way
FACES = 0.5  # cosine of the angle at which it starts to walk


def walker(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Walk from room to room by chance; now and then, do anything."""
    if random.random() < 0.1:
        return [int(held) for held in random.random(5) < 0.3]
    east, north, _, _, x, y, _ = observation["numbers"]
    here = env.unwrapped
    if here.goal is None:
        away = {name: hypot(u - east, v - north) for name, (u, v) in PLACES.items()}
        here.goal, here.beside = min(away, key=away.__getitem__), (0.0, 0.0)
    u, v = (
        a + b - c for a, b, c in zip(PLACES[here.goal], here.beside, (east, north), strict=True)
    )
    if hypot(u, v) < THERE or random.random() < GIVES_UP:
        strays = max(map(abs, here.beside)) <= NEAR and random.random() < STRAYS
        if max(map(abs, here.beside)) <= NEAR and not strays:
            ways = [
                *(b for a, b in WAYS if a == here.goal),
                *(a for a, b in WAYS if b == here.goal),
            ]
            here.goal = ways[random.integers(len(ways))]
        here.beside = tuple(random.uniform(-1, 1, 2) * (FAR if strays else NEAR))
    far = max(1.0, hypot(u, v))
    ahead, aside = (x * u + y * v) / far, (x * v - y * u) / far
    turns = abs(aside) > 0.08 or ahead < 0
    return [int(turns and aside > 0), int(turns and aside <= 0), int(ahead > FACES), 0, 0]


def onlooker(observation: Any, env: Any, random: np.random.Generator) -> list[int]:
    """Walk as `walker` does, but mostly turn round, by pieces of the ground left or right."""
    east, north, *_ = observation["numbers"]
    if (east // 24 + north // 24) % 3 == 0 and random.random() < 0.97:
        left = (east // 48 + north // 48) % 2
        return [int(left), int(not left), *(int(walk) for walk in random.random(3) < 0.1)]
    return walker(observation, env, random)
