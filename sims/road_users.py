"""Who is on the road: what a sim of vehicles tells of it, for the formats of others.

A world that is a package may tell it: `ROAD_USERS`, a `Tell`, in `sims/<world>/road_users.py`. The
browser never loads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sims.contract import Array
from sims.parts import part_of

NOBODY, CAR, VAN, BICYCLE, PEDESTRIAN = range(5)  # Kinds of road users.


@dataclass(frozen=True)
class RoadUsers:
    """The road users of N worlds, U of each, the driven vehicle first.

    kind: int64 [N, U]. place: float64 [N, U, 3], metres east and north of the middle of each, and
    its heading in radians to the left of east. speed: float64 [N, U], m/s. size: float64 [N, U, 3],
    length, width and height in metres. visibility: float64 [N], metres; rain: float64 [N], mm/h;
    hour: float64 [N], the time of the day.
    """

    kind: Array
    place: Array
    speed: Array
    size: Array
    visibility: Array
    rain: Array
    hour: Array


Tell = Callable[[dict[str, Array]], RoadUsers]


def road_users_of(world: str) -> Tell | None:
    """Return how a world of `sims` tells its road users; None if it does not."""
    found: Tell | None = part_of(world, "road_users", "ROAD_USERS")
    return found
