"""The ego's route: its tiles, the car's position on it, and the points ahead."""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import lanes
from sims.driving.lanes import BEND, COS, HEADING, SIN, TURN, X, Y
from sims.driving.rig import WAYPOINT_GAP, WAYPOINTS
from sims.driving.town import BITS, GRID, TILE

TILES = 14  # The number of tiles of a route; each is 28 metres long or more.
LOST = 4.0  # Metres from its lane, in another tile, at which the ego gets a new route.
STREAM = 30
GOAL = 250.0  # Metres from the start to the goal.

State = dict[str, Array]
_AHEAD = WAYPOINT_GAP * np.arange(1, WAYPOINTS + 1)


def plan(
    links: Array, roundabout: Array, tile: Array, entry: Array, exits: Array, u: Array
) -> tuple[Array, Array]:
    """Continue routes from `tile`, entered at the side `entry` (int64 [N] each).

    exits: int64 [N, n], the sides at which to leave the first n tiles (-1: by chance).
    u: [N, TILES] in [0, 1). Returns the route, int64 [N, TILES, 2] (tile, path), and the start of
    each of its tiles, metres [N, TILES].
    """
    n = len(tile)
    w = np.arange(n)
    links, roundabout = links.reshape(n, -1), roundabout.reshape(n, -1)
    route = np.zeros((n, TILES, 2), dtype=np.int64)
    for i in range(TILES):
        bits = links[w, tile]
        exit_ = lanes.choose(bits, entry, u[:, i])
        if i < exits.shape[1]:
            exit_ = np.where(exits[:, i] >= 0, exits[:, i], exit_)
        path = lanes.path_of(bits, roundabout[w, tile], entry, exit_)
        route[:, i, 0], route[:, i, 1] = tile, path
        tile, entry = lanes.onward(tile, path)
    starts = np.zeros((n, TILES))
    starts[:, 1:] = np.cumsum(lanes.LENGTH[route[:, :-1, 1]], axis=1)
    return route, starts


def locate(state: State, s: Array) -> tuple[Array, Array, Array, Array]:
    """Return index, tile, path and metres within it for `s` ([N, M]) metres along the route."""
    index = (state["starts"][:, None, 1:] <= s[:, :, None]).sum(axis=2)
    w = np.arange(len(s))[:, None]
    found = state["route"][w, index]
    return index, found[..., 0], found[..., 1], s - state["starts"][w, index]


def points(state: State, s: Array) -> Array:
    """Return the middle of the lane `s` ([N, M]) metres along the route: [N, M, 6], in the town.

    The columns are the same as in `lanes.nearby`.
    """
    _, tile, path, local = locate(state, s)
    found = lanes.along(path, local)
    x, y = lanes.middle(tile)
    found[..., X] += x
    found[..., Y] += y
    return found


def follow(state: State) -> None:
    """Find the ego on its route; update `progress`, `bearing` and `waypoints`."""
    ego, s = state["ego"], state["progress"].copy()
    at = points(state, s[:, None])[:, 0]
    for again in (True, False):
        dx, dy = ego[:, 0] - at[:, X], ego[:, 1] - at[:, Y]
        side = dy * at[:, COS] - dx * at[:, SIN]
        ahead = dx * at[:, COS] + dy * at[:, SIN]
        # On the outside of a bend, the same metres of the route are a longer way.
        move = ahead / np.maximum(1 - at[:, BEND] * side, 0.4)
        s += np.clip(move, -2.0, 2.0)
        np.clip(s, 0.0, state["starts"][:, -1], out=s)
        if again:
            at = points(state, s[:, None])[:, 0]
    found = points(state, np.concatenate([s[:, None], s[:, None] + _AHEAD], axis=1))
    at = found[:, 0]
    dx, dy = ego[:, 0] - at[:, X], ego[:, 1] - at[:, Y]
    state["progress"][:] = s
    state["bearing"][:, 0] = dy * at[:, COS] - dx * at[:, SIN]
    state["bearing"][:, 1] = wrapped(ego[:, 2] - at[:, HEADING] * TURN)
    cosine, sine = facing(ego[:, 2])
    dx, dy = found[:, 1:, X] - ego[:, 0, None], found[:, 1:, Y] - ego[:, 1, None]
    state["waypoints"][..., 0] = dx * cosine[:, None] + dy * sine[:, None]
    state["waypoints"][..., 1] = dy * cosine[:, None] - dx * sine[:, None]


def mend(state: State) -> None:
    """Continue the route from the ego if it left it; the remaining distance stays the same."""
    ego = state["ego"]
    n = len(ego)
    tile = tile_at(ego[:, 0], ego[:, 1])
    index = locate(state, state["progress"][:, None])[0]
    known = state["route"][
        np.arange(n)[:, None], np.clip(index + np.arange(-1, 2), 0, TILES - 1), 0
    ]
    # The ego entered at the nearest side, which must have a road.
    x, y = lanes.middle(tile)
    entry = np.stack([ego[:, 1] - y, ego[:, 0] - x, y - ego[:, 1], x - ego[:, 0]]).argmax(axis=0)
    bits = state["links"].reshape(n, -1)[np.arange(n), tile]
    lost = (known != tile[:, None]).all(axis=1) & ((bits & BITS[entry]) > 0)
    lost &= np.abs(state["bearing"][:, 0]) > LOST
    w = np.nonzero(lost)[0]
    if len(w):
        u = exact.uniform(state["seed"][w], state["tick"][w], STREAM, TILES).astype(np.float64)
        none: Array = np.zeros((len(w), 0), dtype=np.int64)
        links, rounds = state["links"][w], state["roundabout"][w]
        state["route"][w], starts = plan(links, rounds, tile[w], entry[w], none, u)
        state["starts"][w] = starts + state["progress"][w, None]
        state["guide"][w] = -1


def facing(heading: Array) -> tuple[Array, Array]:
    """Return cosine and sine of headings in radians."""
    turns = heading * (1 / TURN)
    return exact.cosine(turns), exact.sine(turns)


def wrapped(angle: Array) -> Array:
    """Return the same angles in radians, from -pi to pi."""
    turns = angle * (1 / TURN)
    return np.asarray((turns - np.floor(turns + 0.5)) * TURN)


def tile_at(x: Array, y: Array) -> Array:
    """Return the number of each point's tile; outside of the town, the nearest tile."""
    column = np.clip(np.floor(x / TILE), 0, GRID - 1).astype(np.int64)
    row = np.clip(np.floor(y / TILE), 0, GRID - 1).astype(np.int64)
    return row * GRID + column
