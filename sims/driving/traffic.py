"""The other road users: their ways, and where new ones appear as others fall behind.

Cars, vans and cyclists stay in their lanes and choose their way at junctions by chance. Pedestrians
walk on the pavement, and cross a straight road if nobody drives near. A user far from the ego is
removed and appears again elsewhere, so that the ego always meets somebody.

Each tick updates one of the users' places, so that a small vector of chance decides for all of
them: whether a user appears there, where, and whether a pedestrian crosses.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import lanes, route
from sims.driving.lanes import COS, HEADING, LENGTH, SIN, TURN, X, Y
from sims.driving.rig import DT
from sims.driving.route import State
from sims.driving.sight import (
    AIM,
    ALONG,
    CAR,
    CYCLIST,
    LIMIT,
    PATH_OF,
    RIDERS,
    SIDE,
    TILE_OF,
    USERS,
    VAN,
    VEHICLES,
    WAITED,
    WALKER,
    WISH,
)
from sims.driving.town import BITS, COUNT, GRID, LANE, TILE

# Length, width and height in metres of each kind: none, car, van, cyclist, pedestrian.
SIZES = np.array(
    [(0, 0, 0), (4.2, 1.8, 1.5), (5.6, 2.0, 2.5), (1.8, 0.6, 1.7), (0.5, 0.6, 1.75)],
    dtype=np.float64,
)
VAN_SHARE = 0.25
NEAR, FAR, GONE = 45.0, 115.0, 120.0  # Metres from the ego where users appear, and disappear.
ROOM = 11.0  # Metres of free space around a new user.

PAVED = -(LANE / 2 + 1.25)  # The pedestrians' place: this far left of the lane's middle.
ACROSS = LANE - PAVED  # The pavement on the other side.
CYCLE_SIDE = -1.1
STROLL, STRIDE = 1.2, 1.5  # Metres a second along the pavement and across the road.
WHIM = 0.04  # The probability that a pedestrian crosses in a tick that asks.

# The scripts of a scenario's actor, which is user 0 or RIDERS.
NO_SCRIPT, HARD_BRAKE, STOP_AND_GO, CUT_IN, CROSS, ONCOMING = range(6)


def advance(state: State, chance: Array) -> None:
    """Move all users by one tick; chance float32 [N, 4]: spawn, place, turn, walk."""
    u = chance.astype(np.float64)
    _decide(state, u)
    users, course = state["users"], state["course"]
    speed = users[..., 3]
    push = state["drive"][:, :RIDERS].copy()
    _play(state, push)
    state["braking"][:, :RIDERS] = (push < -0.7) & (state["course"][:, :RIDERS, WISH] > 0)
    speed[:, :RIDERS] = np.maximum(speed[:, :RIDERS] + push * DT, 0.0)
    present = state["user_kind"] > 0
    crossing = (state["user_kind"] == WALKER) & (course[..., AIM] > 0)
    course[..., WAITED] = np.where(speed < 0.3, course[..., WAITED] + DT, 0.0)
    course[..., ALONG] += np.where(crossing, 0.0, speed * DT) * present
    rate = np.where(crossing, STRIDE, np.minimum(speed * 0.4, 1.6)) * DT
    course[..., SIDE] += np.clip(course[..., AIM] - course[..., SIDE], -rate, rate)
    _pass_on(state, u[:, 2])
    _turn_back(state, crossing)
    settle(state)


def settle(state: State) -> None:
    """Set users' positions from their tile, path and course."""
    place, course, users = state["place"], state["course"], state["users"]
    at = lanes.along(place[..., PATH_OF], course[..., ALONG])
    x, y = lanes.middle(place[..., TILE_OF])
    side = course[..., SIDE]
    there = state["user_kind"] > 0
    crossing = (state["user_kind"] == WALKER) & (course[..., AIM] > 0)
    drift = np.clip(course[..., AIM] - side, -1, 1) * 0.04  # In turns: a user steers to move aside.
    drift = np.where(crossing, 0.25, drift)
    users[..., 0] = np.where(there, x + at[..., X] - side * at[..., SIN], 0.0)
    users[..., 1] = np.where(there, y + at[..., Y] + side * at[..., COS], 0.0)
    users[..., 2] = np.where(there, route.wrapped((at[..., HEADING] + drift) * TURN), 0.0)


def _pass_on(state: State, u: Array) -> None:
    """Move users at the end of their tile into the next, and choose the way after it."""
    place, course = state["place"], state["course"]
    w, k = np.nonzero(course[..., ALONG] >= LENGTH[place[..., PATH_OF]])
    if not len(w):
        return
    tile, path, later = place[w, k].T
    course[w, k, ALONG] -= LENGTH[path]
    tile, _ = lanes.onward(tile, path)
    # All users draw from the same number, each with its own offset.
    part = u[w] + k * 0.381966
    choice = _next(state, w, tile, later, part - np.floor(part), k >= RIDERS)
    guided = state["guide"][w, k]
    state["guide"][w, k] = np.where(guided >= 0, guided + 1, -1)
    on = np.clip(guided + 2, 0, route.TILES - 1)
    choice = np.where(guided >= 0, state["route"][w, on, 1], choice)
    place[w, k] = np.stack([tile, later, choice], axis=1)


def _next(state: State, w: Array, tile: Array, path: Array, u: Array, walks: Array) -> Array:
    """Choose a path through the tile after (`tile`, `path`) in worlds `w`; all int64 [n]."""
    n = len(state["seed"])
    links, rounds = state["links"].reshape(n, -1), state["roundabout"].reshape(n, -1)
    after, entry = lanes.onward(tile, path)
    bits = links[w, after]
    exit_ = lanes.choose(bits, entry, u)
    # Pedestrians stay on the pavement on the right.
    right, ahead = (entry + 3) % 4, (entry + 2) % 4
    keep = np.where((bits & BITS[right]) > 0, right, np.where(bits & BITS[ahead], ahead, exit_))
    exit_ = np.where(walks, keep, exit_)
    return lanes.path_of(bits, rounds[w, after], entry, exit_)


def after(state: State, w: Array, tile: Array, path: Array) -> Array:
    """Return a path through the tile after (`tile`, `path`) in worlds `w`: by its first side."""
    return _next(state, w, tile, path, np.zeros(len(w)), np.zeros(len(w), dtype=np.bool_))


def _turn_back(state: State, crossing: Array) -> None:
    """Let pedestrians who have reached the other pavement walk along it."""
    place, course = state["place"], state["course"]
    w, k = np.nonzero(crossing & (course[..., SIDE] >= ACROSS - 1e-6))
    if not len(w):
        return
    tile, path, _ = place[w, k].T
    course[w, k, ALONG] = np.maximum(LENGTH[path] - course[w, k, ALONG], 0.0)
    course[w, k, SIDE] = course[w, k, AIM] = PAVED
    back = path // 16 * 16 + path % 4 * 4 + path // 4 % 4
    state["users"][w, k, 3] = STROLL
    later = _next(state, w, tile, back, np.zeros(len(w)), np.ones(len(w), bool))
    place[w, k] = np.stack([tile, back, later], axis=1)


def _decide(state: State, u: Array) -> None:
    """Update one place in each world: remove a far user, add another, let a pedestrian cross."""
    n = len(u)
    w = np.arange(n)
    k = state["tick"] % USERS
    ego, who = state["ego"], state["users"][w, k]
    dx, dy = who[:, 0] - ego[:, 0], who[:, 1] - ego[:, 1]
    gone = (dx * dx + dy * dy > GONE * GONE) | (state["user_kind"][w, k] == 0)
    gone &= state["wanted"][w, k]
    if gone.any():
        actor = np.where(state["script"] == CROSS, RIDERS, 0)
        state["script"][gone & (k == actor)] = NO_SCRIPT
        spawn(state, np.nonzero(gone)[0], k[gone], u[gone], NEAR)

    k = RIDERS + state["tick"] % (USERS - RIDERS)
    tile, path, _ = state["place"][w, k].T
    s = state["course"][w, k, ALONG]
    asks = (u[:, 3] < WHIM) & (state["user_kind"][w, k] == WALKER) & (path < 16)
    asks &= (COUNT[state["links"].reshape(n, -1)[w, tile]] == 2) & (s > 4) & (s < TILE - 4)
    asks &= (state["course"][w, k, AIM] < 0) & (state["script"] != CROSS)
    if asks.any():
        safe = asks & _clear(state, w, k)
        step_off(state, np.nonzero(safe)[0], k[safe])


def _clear(state: State, w: Array, k: Array) -> Array:
    """Return whether nobody drives near user `k` of each world, bool [N]."""
    here = state["users"][w, k]
    x = np.concatenate([state["users"][:, :RIDERS, 0], state["ego"][:, 0:1]], axis=1)
    y = np.concatenate([state["users"][:, :RIDERS, 1], state["ego"][:, 1:2]], axis=1)
    fast = np.concatenate([state["users"][:, :RIDERS, 3], state["ego"][:, 3:4]], axis=1)
    dx, dy = x - here[:, 0, None], y - here[:, 1, None]
    room = 7.0 + 2.5 * fast
    near = dx * dx + dy * dy < room * room
    near[:, :RIDERS] &= state["user_kind"][:, :RIDERS] > 0
    return np.asarray(~near.any(axis=1))


def step_off(state: State, w: Array, k: Array) -> None:
    """Let the pedestrians `k` of worlds `w` start to cross the road."""
    state["course"][w, k, AIM] = ACROSS
    state["users"][w, k, 3] = STRIDE


def spawn(state: State, w: Array, k: Array, u: Array, near: float) -> None:
    """Add a user at place `k` of worlds `w`, at least `near` metres away, if there is room."""
    n = len(state["seed"])
    ego = state["ego"][w]
    links = state["links"].reshape(n, -1)[w]
    x, y = lanes.middle(np.arange(GRID * GRID))
    dx, dy = x - ego[:, 0, None], y - ego[:, 1, None]
    distance = dx * dx + dy * dy
    fits = (links > 0) & (distance > near * near) & (distance < FAR * FAR)
    count = fits.sum(axis=1)
    pick = np.minimum((u[:, 0] * count).astype(np.int64), count - 1)
    tile = (np.cumsum(fits, axis=1) <= pick[:, None]).sum(axis=1)
    tile = np.minimum(tile, GRID * GRID - 1)
    rows = np.arange(len(w))
    bits = links[rows, tile]
    entry = lanes.choose(bits, np.full(len(w), 9), u[:, 1])
    first = u[:, 1] * 97
    exit_ = lanes.choose(bits, entry, first - np.floor(first))
    walks = k >= RIDERS
    right, ahead = (entry + 3) % 4, (entry + 2) % 4
    keep = np.where((bits & BITS[right]) > 0, right, np.where(bits & BITS[ahead], ahead, exit_))
    exit_ = np.where(walks, keep, exit_)
    path = lanes.path_of(bits, state["roundabout"].reshape(n, -1)[w, tile], entry, exit_)
    s = (u[:, 2] * 0.98) * LENGTH[path]
    part = u[:, 2] * 89
    later = _next(state, w, tile, path, part - np.floor(part), walks)

    point = lanes.along(path, s)
    x, y = lanes.middle(tile)
    x, y = x + point[:, X], y + point[:, Y]
    others = state["users"][w]
    dx, dy = others[..., 0] - x[:, None], others[..., 1] - y[:, None]
    near_one = (dx * dx + dy * dy < ROOM * ROOM) & (state["user_kind"][w] > 0)
    near_one[rows, k] = False
    dx, dy = ego[:, 0] - x, ego[:, 1] - y
    free = (count > 0) & ~near_one.any(axis=1) & (dx * dx + dy * dy > 0.6 * near * near)
    w, k, u, tile, path, later, s = (a[free] for a in (w, k, u, tile, path, later, s))
    kind = np.where(u[:, 3] < VAN_SHARE, VAN, CAR)
    kind = np.where(k >= VEHICLES, CYCLIST, kind)
    put(state, w, k, np.where(k >= RIDERS, WALKER, kind), tile, path, later, s)
    wish = np.where(k >= VEHICLES, 4.0 + 1.2 * u[:, 3], LIMIT - 1.6 * u[:, 3])
    state["course"][w, k, WISH] = wish
    state["users"][w, k, 3] = np.where(k >= RIDERS, STROLL, 0.6 * wish)


def put(
    state: State,
    w: Array,
    k: Array,
    kind: Array,
    tile: Array,
    path: Array,
    later: Array,
    s: Array,
) -> None:
    """Put users of `kind` into places `k` of worlds `w`, `s` metres along their paths."""
    side = np.where(kind == WALKER, PAVED, np.where(kind == CYCLIST, CYCLE_SIDE, 0.0))
    zero = np.zeros(len(w))
    state["user_kind"][w, k] = kind
    state["users"][w, k, 4:] = SIZES[kind]
    state["place"][w, k] = np.stack([tile, path, later], axis=1)
    state["course"][w, k] = np.stack([s, side, side, zero, zero], axis=1)
    state["guide"][w, k] = -1


def _play(state: State, push: Array) -> None:
    """Run the scripts of scenarios' actors; `push` [N, RIDERS] is their usual acceleration."""
    script, cue, course = state["script"], state["cue"], state["course"]
    if not script.any():
        return
    tick = state["tick"]
    first = course[:, 0]  # A view.
    brake = (script == HARD_BRAKE) & (tick >= cue[:, 0]) & (tick < cue[:, 1])
    push[:, 0] = np.where(brake, -7.0, push[:, 0])
    pause = (script == STOP_AND_GO) & ((tick + cue[:, 0]) % 160 < 60) & (tick < 500)
    push[:, 0] = np.where(pause, np.minimum(push[:, 0], -3.0), push[:, 0])

    ahead = cue[:, 2] - state["progress"]  # Metres along the route to the actor's place.
    near = ahead < cue[:, 0] + cue[:, 1] * state["ego"][:, 3]
    go = near & (script == CUT_IN) & (first[:, AIM] != 0)
    first[:, WISH] = np.where(go, LIMIT - 2.0, first[:, WISH])
    push[:, 0] = np.where(go, 2.0, push[:, 0])
    first[:, AIM] = np.where(go, 0.0, first[:, AIM])
    go = near & (script == CROSS)
    if go.any():
        w = np.nonzero(go)[0]
        step_off(state, w, np.full(len(w), RIDERS))
        script[w] = NO_SCRIPT

    dx, dy = (state["users"][:, 0, i] - state["ego"][:, i] for i in (0, 1))
    back = (script == ONCOMING) & (dx * dx + dy * dy < cue[:, 0] * cue[:, 0])
    first[:, AIM] = np.where(back, 0.0, first[:, AIM])


def shuffle(seed: Array, stream: int, n: int) -> Array:
    """Draw float64 [N, n] in [0, 1) from the seeds alone, for starts."""
    return exact.uniform(seed, np.zeros(len(seed), dtype=np.int64), stream, n).astype(np.float64)
