"""What may happen on a drive: somebody is suddenly in the way, or the weather changes."""

from __future__ import annotations

import math

import numpy as np

from sims.contract import Array
from sims.driving import route, traffic
from sims.driving.rig import CONDITIONS
from sims.driving.route import State
from sims.driving.sight import AIM, CAR, USERS, VEHICLES, WALKER
from sims.incidents import Incident

LAST_CAR, LAST_WALKER = VEHICLES - 1, USERS - 1  # The places that are the least often taken.


def walker(state: State, metres: float) -> None:
    """Let a pedestrian step onto the road, so many metres ahead of the car's middle."""
    _appear(state, LAST_WALKER, WALKER, metres)
    state["course"][:, LAST_WALKER, AIM] = traffic.ACROSS


def car(state: State, metres: float) -> None:
    """Put a standing car into the lane, its tail so many metres ahead."""
    _appear(state, LAST_CAR, CAR, metres + traffic.SIZES[CAR, 0] / 2)


def weather(state: State, later: float) -> None:
    """Change the weather to one of the others, so many further in their order."""
    state["condition"][:] = (state["condition"] + math.ceil(later)) % len(CONDITIONS)


def _appear(state: State, place: int, kind: int, metres: float) -> None:
    """Put a standing user on the car's route."""
    count = len(state["seed"])
    worlds, places = np.arange(count), np.full(count, place)
    ahead: Array = state["progress"][:, None] + metres
    index, tile, path, local = (found[:, 0] for found in route.locate(state, ahead))
    later = state["route"][worlds, np.minimum(index + 1, route.TILES - 1), 1]
    traffic.put(state, worlds, places, np.full(count, kind), tile, path, later, local)
    state["users"][:, place, 3] = 0.0
    state["guide"][:, place] = index
    state["wanted"][:, place] = True
    traffic.settle(state)


INCIDENTS = {
    "walker": Incident(
        "A pedestrian steps out",
        "A pedestrian appears at the edge of the road, so far ahead, and crosses it.",
        "m", (24, 16, 10), 60, walker,
    ),
    "car": Incident(
        "A car in the way",
        "A standing car appears in the lane, so far ahead.",
        "m", (24, 16, 10), 60, car,
    ),
    "weather": Incident(
        "Other weather",
        f"The weather changes to the one so many places later in: {', '.join(CONDITIONS)}.",
        "places", (1, 2, 3), 3, weather,
    ),
}  # fmt: skip
