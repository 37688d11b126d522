"""Driving's road users, for the formats of others: see `sims.road_users`."""

from __future__ import annotations

import numpy as np

from sims.driving.rig import CONDITIONS, HEIGHT, LENGTH, WIDTH
from sims.driving.route import State
from sims.road_users import CAR, RoadUsers

# Of each condition: metres that one sees, mm of rain in an hour, and the hour of the day.
AIR = {"clear": (10_000, 0, 12), "rain": (600, 8, 12), "fog": (70, 0, 9), "dusk": (5_000, 0, 20)}


def read(state: State) -> RoadUsers:
    """Return the road users of a state; the sim's kinds are those of `sims.road_users`."""
    ego, users = state["ego"], state["users"]
    count = len(ego)
    own = np.broadcast_to(np.array([LENGTH, WIDTH, HEIGHT]), (count, 1, 3))
    air = np.array([AIR[name] for name in CONDITIONS], np.float64)[state["condition"]]
    return RoadUsers(
        kind=np.concatenate([np.full((count, 1), CAR), state["user_kind"]], 1),
        place=np.concatenate([ego[:, None, :3], users[..., :3]], 1),
        speed=np.concatenate([ego[:, 3:4], users[..., 3]], 1),
        size=np.concatenate([own, users[..., 4:]], 1),
        visibility=air[:, 0],
        rain=air[:, 1],
        hour=air[:, 2],
    )


ROAD_USERS = read
