"""Who plays DoorKey while it is recorded, beside chance: who seeks the goal, strays, or tinkers."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, WAIT = range(7)
AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))  # of each direction of the agent


def seeker(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Fetch the key, open the door, go to the goal; now and then do anything."""
    return int(random.integers(7)) if random.random() < 0.15 else plan(env.unwrapped)


def stray(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Do the same, but mostly go elsewhere and try things on the way."""
    if random.random() < 0.45:
        return plan(env.unwrapped)
    return int(random.choice(7, p=[0.2, 0.2, 0.3, 0.08, 0.08, 0.12, 0.02]))


def tinker(observation: Any, env: Any, random: np.random.Generator) -> int:
    """Do the same, and put the key down, pick it up, open and close the door on the way."""
    world, dice = env.unwrapped, random.random()
    if world.carrying is not None and dice < 0.2:
        return DROP
    return int(random.choice([LEFT, RIGHT, FORWARD, TOGGLE])) if dice > 0.85 else plan(world)


def plan(world: Any) -> int:
    """Return the next action on the shortest way to what comes next."""
    things = {(x, y): world.grid.get(x, y) for x in range(world.width) for y in range(world.height)}
    places = {thing.type: place for place, thing in things.items() if thing}
    door = things[places["door"]]
    if door.is_open:
        return walk(world, things, places["goal"], FORWARD)
    if world.carrying is None and "key" in places:
        return walk(world, things, places["key"], PICK_UP)
    return walk(world, things, places["door"], TOGGLE)


def walk(world: Any, things: dict[tuple[int, int], Any], to: tuple[int, int], then: int) -> int:
    """Return the first action on the shortest way to face `to`, or `then` where it is faced."""
    start = (*(int(v) for v in world.agent_pos), int(world.agent_dir))
    first: dict[tuple[int, int, int], int] = {start: WAIT}
    queue = deque([start])
    while queue:
        x, y, turned = at = queue.popleft()
        ahead = (x + AHEAD[turned][0], y + AHEAD[turned][1])
        if ahead == to:
            return then if at == start else first[at]
        steps = [(LEFT, (x, y, (turned - 1) % 4)), (RIGHT, (x, y, (turned + 1) % 4))]
        if things[ahead] is None or (things[ahead].type == "door" and things[ahead].is_open):
            steps.append((FORWARD, (*ahead, turned)))
        for action, place in steps:
            if place not in first:
                first[place] = action if at == start else first[at]
                queue.append(place)
    return DROP  # What is carried, or lies in the way, blocks it.
