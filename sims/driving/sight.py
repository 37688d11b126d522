"""The drivers' choice of speed: obstacles ahead, right of way, and traffic lights.

All drivers of all worlds are computed together, with the ego last. The result is the acceleration
that each driver would choose. The others use it, and so does the ego's autopilot.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from sims.driving import lanes, rig, route
from sims.driving.ego import red
from sims.driving.lanes import BEND, COS, LENGTH, SIN, X, Y
from sims.driving.route import State
from sims.driving.town import AMBER_EW, AMBER_NS, BOX, COUNT, TILE

VEHICLES, CYCLISTS, WALKERS = 7, 2, 3  # Places for each kind in a world.
RIDERS = VEHICLES + CYCLISTS  # All who drive in a lane; they are the first among the users.
USERS = RIDERS + WALKERS
CAR, VAN, CYCLIST, WALKER = 1, 2, 3, 4
ALONG, SIDE, AIM, WISH, WAITED = range(5)  # The columns of `course`.
TILE_OF, PATH_OF, NEXT_OF = range(3)  # The columns of `place`.

# The intelligent driver model.
PUSH, BRAKE = 1.8, 2.5  # Comfortable acceleration and braking, m/s^2.
HEADWAY, STANDSTILL = 1.2, 2.0  # Seconds and metres of distance to the one ahead.
HARDEST = 8.0  # The hardest braking, m/s^2.
CORNERING = 2.5  # Comfortable acceleration to the side, m/s^2.
LIMIT = 8.4  # Speed limit, m/s.

LOOKS, LOOK_GAP = 12, 4.0  # The checked places ahead on a driver's path, and metres between them.
AHEAD = LOOK_GAP * (np.arange(LOOKS) + 0.5)
CLOSE = 6.0  # The largest distance from such a place to the middle of an obstacle, metres.
MARGIN = 0.35  # Metres of free space on either side.
FORESIGHT = 0.7  # Seconds of a pedestrian's predicted steps.
PATIENCE = 6.0  # After waiting this many seconds, a driver goes, even if another was first.

BLOCK = 48  # Worlds at once, which fit into a core's cache.
STOP = np.where(np.arange(lanes.PATHS) < 32, TILE / 2 - BOX, 7.0)  # Where the box begins.
STOP -= 0.5
HALF = rig.LENGTH / 2


def _crossings() -> tuple[Array, Array]:
    """Return, for paths p and q of a tile, whether they meet, and up to where on q, [p, q]."""
    meet = np.zeros((lanes.PATHS, lanes.PATHS), dtype=np.bool_)
    clear = np.zeros((lanes.PATHS, lanes.PATHS))
    steps = np.arange(0, 60.0, 1.0)
    for p in np.nonzero(lanes.EXISTS)[0]:
        for q in np.nonzero(lanes.EXISTS)[0]:
            if p // 16 != q // 16 or p // 4 == q // 4 or p // 16 == lanes.CURVE:
                continue
            a = lanes.nearby(np.full(60, p), steps)
            b = lanes.nearby(np.full(60, q), steps)
            dx, dy = a[:, None, X] - b[None, :, X], a[:, None, Y] - b[None, :, Y]
            near = dx * dx + dy * dy < 2.8 * 2.8
            near &= (steps < LENGTH[p])[:, None] & (steps < LENGTH[q])
            meet[p, q] = near.any()
            clear[p, q] = min(steps[near.any(axis=0)].max(initial=0.0), LENGTH[q] - 8.0)
    return meet, clear


MEET, CLEAR = _crossings()


def look(state: State) -> None:
    """Update `drive` [N, RIDERS + 1] (the acceleration of each driver), `lead` and `dodge`."""
    for start in range(0, len(state["seed"]), BLOCK):
        _look({name: value[start : start + BLOCK] for name, value in state.items()})


def _look(state: State) -> None:
    users, place, course = state["users"], state["place"], state["course"]
    n = len(users)
    w = np.arange(n)[:, None]
    links = state["links"].reshape(n, -1)

    # All drivers: their path, place, speed, waiting time, length and width.
    index, ego_tile, ego_path, ego_along = route.locate(state, state["progress"][:, None])
    after = np.minimum(index + 1, route.TILES - 1)
    tile = np.concatenate([place[:, :RIDERS, TILE_OF], ego_tile], axis=1)
    path = np.concatenate([place[:, :RIDERS, PATH_OF], ego_path], axis=1)
    later = np.concatenate([place[:, :RIDERS, NEXT_OF], state["route"][w, after, 1]], axis=1)
    s = np.concatenate([course[:, :RIDERS, ALONG], ego_along], axis=1)
    ego = state["ego"]
    speed = np.concatenate([users[:, :RIDERS, 3], ego[:, 3:4]], axis=1)
    half = np.concatenate([users[:, :RIDERS, 4] * 0.5, np.full((n, 1), HALF)], axis=1)
    wide = np.concatenate([users[:, :RIDERS, 5] * 0.5, np.full((n, 1), rig.WIDTH / 2)], axis=1)
    wish = np.concatenate([course[:, :RIDERS, WISH], np.full((n, 1), LIMIT)], axis=1)
    waited = np.concatenate([course[:, :RIDERS, WAITED], state["waited"][:, None]], axis=1)
    there = np.concatenate([state["user_kind"][:, :RIDERS] > 0, np.ones((n, 1), bool)], axis=1)
    next_tile, _ = lanes.onward(tile, path)

    # The places ahead on their paths, [N, drivers, LOOKS].
    length = LENGTH[path]
    ahead = s[..., None] + AHEAD
    beyond = ahead >= length[..., None]
    at_path = np.where(beyond, later[..., None], path[..., None])
    ahead = np.where(beyond, ahead - length[..., None], ahead)
    seen = ahead < LENGTH[at_path]
    point = lanes.nearby(at_path, ahead)
    x, y = lanes.middle(np.where(beyond, next_tile[..., None], tile[..., None]))
    cosine, sine = point[..., COS], point[..., SIN]
    x, y = x + point[..., X], y + point[..., Y]

    straight = np.abs(point[:, -1, :6, BEND]).max(axis=1) < 0.03
    pressure = _leaders(state, x, y, cosine, sine, seen, speed, half, wide, waited, straight)

    # As fast as the driver wishes and the bends ahead allow.
    bend = np.maximum(np.abs(point[..., BEND]), 1e-3)
    square = np.where(seen, CORNERING / bend + 2 * 1.3 * AHEAD, 1e9).min(axis=2)
    target = np.minimum(wish, np.sqrt(square))
    free = speed / np.maximum(target, 0.1)
    free *= free
    free = PUSH * np.maximum(1 - free * free, -1.5)
    drive = free - PUSH * pressure

    # The line before the next junction, where the driver may have to stop.
    here = COUNT[links[w, tile]] >= 3
    inside = here & (s + half > STOP[path] + 0.7) & (s - half < length - STOP[path])
    coming = ~here | (s + half > STOP[path] + 0.7)
    line = np.where(coming, length - s + STOP[later], STOP[path] - s) - half
    cross_tile = np.where(coming, next_tile, tile)
    cross_path = np.where(coming, later, path)
    junction = COUNT[links[w, cross_tile]] >= 3
    shown = state["signals"].reshape(n, -1)[w, cross_tile]
    stop = red(shown, cross_path)
    amber = (shown == AMBER_NS) | (shown == AMBER_EW)
    stop |= amber & (line > speed * speed / 6)
    stop |= _yields(
        np.where(inside, tile, cross_tile),
        np.where(inside, path, cross_path),
        np.where(coming & ~inside, s - length, s),
        inside,
        line,
        speed,
        half,
        waited,
        stop,
        there,
    )
    stop &= junction & there & (line < 40) & (line > speed * speed / 18 - 1.0)
    drive_line = free - PUSH * _pressure(speed, 0.0, np.where(stop, line + 1.2, 1e6))
    drive = np.minimum(drive, drive_line)
    state["drive"][:] = np.clip(np.where(wish > 0, drive, -3.0), -HARDEST, PUSH)


def _pressure(speed: Array, lead_speed: Array | float, gap: Array) -> Array:
    """Return the braking for a leader, in units of PUSH."""
    closing = speed * (speed - lead_speed) * (1 / (2 * np.sqrt(PUSH * BRAKE)))
    wanted = STANDSTILL + np.maximum(speed * HEADWAY + closing, 0.0)
    ratio = wanted / np.maximum(gap, 0.3)
    return np.asarray(ratio * ratio)


def _leaders(
    state: State,
    x: Array,
    y: Array,
    cosine: Array,
    sine: Array,
    seen: Array,
    speed: Array,
    half: Array,
    wide: Array,
    waited: Array,
    straight: Array,
) -> Array:
    """Return each driver's braking for its path, [N, drivers]; update `lead` and `dodge`.

    x, y, cosine, sine, seen: the places ahead of each driver, [N, drivers, LOOKS].
    straight: whether the ego's road goes straight on, bool [N]; it never overtakes before a bend.
    """
    users, kind, ego = state["users"], state["user_kind"], state["ego"]
    n, drivers = speed.shape
    # All users, [N, USERS + 1]; a pedestrian is as long as the next steps.
    other_cosine, other_sine = route.facing(np.concatenate([users[..., 2], ego[:, 2:3]], axis=1))
    fast = np.concatenate([users[..., 3], ego[:, 3:4]], axis=1)
    kinds = np.concatenate([kind, np.full((n, 1), CAR)], axis=1)
    step = np.where(kinds == WALKER, fast * FORESIGHT, 0.0)
    other_half = np.concatenate([users[..., 4] * 0.5, np.full((n, 1), HALF)], axis=1) + step
    other_wide = np.concatenate([users[..., 5] * 0.5, np.full((n, 1), rig.WIDTH / 2)], axis=1)
    other_x = np.concatenate([users[..., 0], ego[:, 0:1]], axis=1) + step * other_cosine
    other_y = np.concatenate([users[..., 1], ego[:, 1:2]], axis=1) + step * other_sine
    # A user that pulls out from the roadside counts as farther out already.
    course = state["course"]
    out = np.clip(course[..., AIM] - course[..., SIDE], 0.0, 1.5)
    out *= (course[..., SIDE] < 0) & (course[..., WISH] > 0) & (kind <= VAN)
    other_x[:, :USERS] -= out * other_sine[:, :USERS]
    other_y[:, :USERS] += out * other_cosine[:, :USERS]
    other_x = np.where(kinds > 0, other_x, -1e4)

    # Only few of these pairs are close to each other; the rest of the work is for these alone.
    dx, dy = other_x[:, None, None, :] - x[..., None], other_y[:, None, None, :] - y[..., None]
    close = dx * dx + dy * dy < CLOSE * CLOSE
    close &= seen[..., None]
    w, i, m, j = np.nonzero(close)
    own = np.append(np.arange(drivers - 1), USERS)
    other = own[i] != j
    w, i, m, j = w[other], i[other], m[other], j[other]
    dx, dy = dx[w, i, m, j], dy[w, i, m, j]
    cosine, sine = cosine[w, i, m], sine[w, i, m]
    there_cosine, there_sine = other_cosine[w, j], other_sine[w, j]
    far = dx * cosine + dy * sine
    beside = dy * cosine - dx * sine
    same = there_cosine * cosine + there_sine * sine
    turned = np.abs(there_sine * cosine - there_cosine * sine)
    along = np.abs(same)
    long, broad = other_half[w, j], other_wide[w, j]
    extent = long * turned + broad * along
    near = np.abs(far) <= LOOK_GAP / 2 + 0.01

    # The ego avoids standing users and cyclists at the side of its lane, without leaving the lane.
    wish = np.concatenate([state["course"][..., WISH], np.full((n, 1), LIMIT)], axis=1)
    parked = (wish <= 0) & (kinds != WALKER)
    slow = parked | (kinds == CYCLIST)
    driven = i == drivers - 1
    aside = driven & near & slow[w, j] & (beside < -0.8)
    dodge = np.zeros(n)
    edge = beside + extent + (rig.WIDTH / 2 + 0.5)
    np.maximum.at(dodge, w[aside], edge[aside])
    state["dodge"][:] = np.minimum(dodge, 0.8)

    # A driver that has waited long passes closely, and every driver passes parked vehicles closely.
    tight = (waited[w, i] > PATIENCE) | (parked[w, j] & ~driven & (beside < -1.5))
    spare = wide[w, i] + np.where(tight, -0.4, MARGIN)
    aside = driven & (straight[w] | (kinds[w, j] != CYCLIST))
    shift = np.where(aside, state["dodge"][w], 0.0)
    near &= np.abs(beside - shift) < extent + spare
    way = AHEAD[m] + far - long * along - broad * turned - half[w, i]
    lead = np.full(n, rig.LEAD_RANGE)
    drives = near & driven & (j < RIDERS)
    np.minimum.at(lead, w[drives], way[drives])
    state["lead"][:] = np.maximum(lead, 0.0)
    # Two that stand face to face would never move: so one of them goes, but never into the ego.
    near &= (waited[w, i] < PATIENCE + i) | (j >= RIDERS) | (same > 0.5)
    w, i, j, way, same = w[near], i[near], j[near], way[near], same[near]
    pressure = np.zeros((n, drivers))
    lead_speed = np.maximum(fast[w, j] * same, 0.0)
    np.maximum.at(pressure, (w, i), _pressure(speed[w, i], lead_speed, way))
    return pressure


def _yields(
    tile: Array,
    path: Array,
    s: Array,
    inside: Array,
    line: Array,
    speed: Array,
    half: Array,
    waited: Array,
    held: Array,
    there: Array,
) -> Array:
    """Return who must give way at a junction, bool [N, drivers].

    The user in the junction goes first, then the nearer one; a left turn counts as farther away.
    This is an order, so that somebody can always go.
    """
    left = (path // 4 - path) % 4 == 3
    order = line + np.where(left, 8.0, 0.0) + 0.01 * np.arange(line.shape[1])
    waits = ~inside & (speed < 0.5) & (line > 4.0)
    counts = there & ~held & ~waits & (line < 30.0)
    before = counts[:, None, :] & (order[:, None, :] < order[:, :, None])
    before &= (waited < PATIENCE)[:, :, None]
    before |= (inside & there)[:, None, :] & (waited < 2 * PATIENCE)[:, :, None]
    before &= tile[:, None, :] == tile[:, :, None]
    mine, theirs = path[:, :, None], path[:, None, :]
    before &= MEET[mine, theirs]
    before &= (s - half)[:, None, :] < CLEAR[mine, theirs]
    return np.asarray(before.any(axis=2) & ~inside)
