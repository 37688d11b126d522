"""Who plays DoorKey while it is recorded: fetch the key, open the door, go to the goal."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

LEFT, RIGHT, FORWARD, PICKUP, TOGGLE = 0, 1, 2, 3, 5
ASTRAY = 0.4  # share of the steps that are random, so that games differ
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # of the four directions


def solver(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Return the next action on the shortest way."""
    world = env.unwrapped
    if random.random() < ASTRAY:
        return int(random.integers(6))
    things = {
        (x, y): thing
        for x in range(world.width)
        for y in range(world.height)
        if (thing := world.grid.get(x, y)) is not None
    }
    places = {thing.type: place for place, thing in things.items()}
    if "key" in places:
        return _towards(world, things, places["key"], PICKUP)
    if not things[places["door"]].is_open:
        # Without the key at hand, the door stays shut.
        return _towards(world, things, places["door"], TOGGLE)
    return _towards(world, things, places["goal"], FORWARD)


def _towards(world: Any, things: dict[tuple[int, int], Any], target: Any, then: int) -> int:
    """Return the first action of the shortest way to look at a place, and `then` there."""
    start = (*(int(n) for n in world.agent_pos), int(world.agent_dir))
    queue, first = deque([start]), {start: -1}
    while queue:
        x, y, direction = state = queue.popleft()
        ahead = (x + STEPS[direction][0], y + STEPS[direction][1])
        if ahead == target:
            return then if first[state] < 0 else first[state]
        thing = things.get(ahead)
        free = thing is None or thing.type == "goal" or (thing.type == "door" and thing.is_open)
        for action, after in (
            (LEFT, (x, y, (direction - 1) % 4)),
            (RIGHT, (x, y, (direction + 1) % 4)),
            (FORWARD, (*ahead, direction)),
        ):
            if after not in first and (action != FORWARD or free):
                first[after] = action if first[state] < 0 else first[state]
                queue.append(after)
    return LEFT
