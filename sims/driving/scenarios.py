"""The situations that a drive can start in, each made from the seed."""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import lanes, route, town
from sims.driving.route import State

SCENARIOS = (
    "free-road",
    "following",
    "hard-brake",
    "cut-in",
    "crossing-pedestrian",
    "late-pedestrian",
    "occluded-pedestrian",
    "junction",
    "left-turn",
    "roundabout",
    "red-light",
    "fog",
    "rain",
    "dusk",
    "off-lane",
    "cyclist",
    "oncoming",
    "parked-vehicle",
    "stop-and-go",
    "dense-traffic",
)


def start(state: State, scenario: str, condition: str) -> None:
    """Fill the state of fresh worlds, whose "seed" is set and all else is zero."""
    seeds = state["seed"]
    n = len(seeds)
    state.update(town.build(seeds))
    u = exact.uniform(seeds, np.zeros(n, dtype=np.int64), 11, 8 + route.TILES).astype(np.float64)
    bits = state["links"].reshape(n, -1)
    tile = np.argmax((bits > 0) * (1 + u[:, :1] * np.arange(64) % 1), axis=1)
    w = np.arange(n)
    entry = lanes.choose(bits[w, tile], np.full(n, 9), u[:, 1])
    none: Array = np.zeros((n, 0), dtype=np.int64)
    state["route"], state["starts"] = route.plan(
        state["links"], state["roundabout"], tile, entry, none, u[:, 8:]
    )
    state["progress"][:] = 2.0
    state["goal"][:] = route.GOAL
    at = route.points(state, state["progress"][:, None])[:, 0]
    state["ego"][:, 0], state["ego"][:, 1] = at[:, 0], at[:, 1]
    state["ego"][:, 2] = route.wrapped(at[:, 2] * lanes.TURN)
    state["ego"][:, 3] = 6.0
    # For now, a few who stand about: a car, a van, a cyclist and a pedestrian.
    ahead = route.points(state, state["progress"][:, None] + np.array([25.0, 45.0, 12.0, 18.0]))
    aside = np.array([-4.0, -4.0, -1.2, -4.5])
    state["users"][:, :4, 0] = ahead[..., 0] - aside * ahead[..., 4]
    state["users"][:, :4, 1] = ahead[..., 1] + aside * ahead[..., 3]
    state["users"][:, :4, 2] = route.wrapped(ahead[..., 2] * lanes.TURN)
    state["users"][:, :4, 4:] = [(4.2, 1.8, 1.5), (5.6, 2.1, 2.6), (1.8, 0.6, 1.7), (0.5, 0.6, 1.7)]
    state["user_kind"][:, :4] = [1, 2, 3, 4]
    if condition:
        state["condition"][:] = ("clear", "rain", "fog", "dusk").index(condition)
