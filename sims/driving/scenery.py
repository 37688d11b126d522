"""Scenery: buildings, trees, signs and traffic lights along the roads of the town.

The things on a tile depend on its roads and on one of VARIANTS ways to fill it, which the town's
seed chooses. All ways are computed once, when this file is loaded. `near` collects those of the
tiles around a car, with the other road users: the boxes that cameras and LiDAR see.

Slots of a tile: 0 to 7 belong to a junction's arms (a light or sign at the stop line, and another
across the junction), or 0 and 1 to signs along a straight. Then come four buildings, then trees.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import boxes, palette
from sims.driving.boxes import FIELDS, NONE, SLOTS
from sims.driving.ground import BORDER, SPAN
from sims.driving.palette import SET_SIZE
from sims.driving.things import NUMBER, THINGS
from sims.driving.town import BITS, BOX, COUNT, GRID, LANE, PAVEMENT, TILE, off_road

VARIANTS = 8
STREAM = 20  # The source of random numbers for tiles.
# The parts of a state that cameras and LiDAR read; "braking" (bool, like "user_kind") is optional.
_TOWN = ("seed", "tick", "condition", "ego", "links", "roundabout", "signals")
NEEDED = (*_TOWN, "users", "user_kind", "braking")
ARMS, SIGNS, BUILDINGS, TREES = 0, 0, 8, 12  # First slots.
KERBSIDE = LANE + 0.9  # Metres from the middle of a road to a sign's pole.

_SIZES = np.array([thing.size for thing in THINGS])
_PAINT = np.array([thing.paint for thing in THINGS], dtype=np.int64)
_PAINTS = np.array([thing.paints for thing in THINGS], dtype=np.int64)
_CAR, _VAN, _CYCLIST, _WALKER = (NUMBER[k] for k in ("car", "van", "cyclist", "walker"))
# The thing of each kind of road user (braking, or with the other foot down: the next thing).
_USER = np.array([0, _CAR, _VAN, _CYCLIST, _WALKER], dtype=np.int64)


def _light_table() -> Array:
    """Return the light in each arm's slots, by the tile's signal, float32 [5, 8]."""
    red, amber, green = NUMBER["red"], NUMBER["amber"], NUMBER["green"]
    north_south = (0, green, amber, red, red)
    east_west = (0, red, red, green, amber)
    rows = [[ns, ew, ns, ew] * 2 for ns, ew in zip(north_south, east_west, strict=True)]
    return np.array(rows, dtype=np.float32)


LIGHTS = _light_table()


def _put(record: Array, slot: int, thing: int, x: float, y: float, cos: int, sin: int) -> None:
    """Put a sign (or another thing with a fixed size) into a record, float64 [FIELDS, SLOTS]."""
    length, width = _SIZES[thing] / 2
    record[:, slot] = (x, y, cos, sin, length, width, 0.6, thing, _PAINT[thing])


def _furnish(record: Array, bits: int, round_: bool, variant: int) -> None:
    """Place the signs of one kind of tile."""
    roads = COUNT[bits]
    for arm in range(4):
        if not bits & BITS[arm]:
            continue
        # Out along the arm, and to the right when driving out.
        out = ((0, 1), (1, 0), (0, -1), (-1, 0))[arm]
        right = (out[1], -out[0])
        if roads >= 3:
            # A driver who comes in sees the near one on the right, the far one across the junction.
            name = "stop" if roads == 4 or not bits & BITS[(arm + 2) % 4] else "nothing"
            thing = NUMBER["roundabout ahead" if round_ else name]
            near, aside = (TILE / 2 - 5, -KERBSIDE) if round_ else (BOX + 0.2, -KERBSIDE)
            across = -BOX - 0.4 if bits & BITS[(arm + 2) % 4] else -LANE - 1.2
            for slot, along in ((arm, near), (arm + 4, across)):
                x, y = (along * out[i] + aside * right[i] for i in (0, 1))
                _put(record, ARMS + slot, NUMBER["red"], x, y, *out)
                record[boxes.THING, ARMS + slot] = thing if slot < 4 else 0
                record[boxes.PAINT, ARMS + slot] = _PAINT[thing]
        elif roads == 2 and bits & BITS[(arm + 2) % 4] and variant % 4 == 0:
            thing = NUMBER["speed 50" if variant else "speed 30"]
            x, y = (4.0 * out[i] - KERBSIDE * right[i] for i in (0, 1))
            _put(record, SIGNS + arm // 2, thing, x, y, *out)


def _beside(kinds: Array, x: Array, y: Array) -> Array:
    """Return metres beside the road for points [n, m] in tiles of `kinds` (int64 [n])."""
    n, m = x.shape
    grid = np.broadcast_to(kinds.repeat(m)[:, None, None], (n * m, GRID, GRID))
    x, y = x.reshape(-1) + TILE / 2, y.reshape(-1) + TILE / 2
    return off_road(grid & 15, grid >= 16, x, y).reshape(n, m)


def _records() -> Array:
    """Fill each kind of tile in each way: float32 [32 * VARIANTS, FIELDS, SLOTS]."""
    kinds = np.arange(32).repeat(VARIANTS)
    made = np.zeros((len(kinds), FIELDS, SLOTS))
    made[:, boxes.RADIUS] = NONE
    u = exact.uniform(np.arange(len(kinds)), 0 * kinds, STREAM, 600).astype(np.float64)
    for i in range(len(kinds)):
        _furnish(made[i], int(kinds[i] & 15), bool(kinds[i] >= 16), i % VARIANTS)
    # A building in each quarter: the largest of a few sizes that leaves the pavement free.
    things = np.array([NUMBER[name] for name in ("house", "house", "flats", "office")])
    taken = []
    for quarter in range(4):
        draw = u[:, quarter * 8 : quarter * 8 + 8]
        east, north = (1, -1)[quarter % 2], (1, -1)[quarter // 2]
        placed = np.zeros(len(kinds), dtype=np.bool_)
        for half in (6.2, 5.2, 4.2, 3.4):
            wide, deep = half - draw[:, 0], half - draw[:, 1]
            x = east * (TILE / 2 - 0.6 - wide)
            y = north * (TILE / 2 - 0.6 - deep)
            edge = np.array([-1.0, 0.0, 1.0])
            px = (x[:, None, None] + edge[:, None] * wide[:, None, None]) + 0 * edge
            py = (y[:, None, None] + edge * deep[:, None, None]) + 0 * edge[:, None]
            free = _beside(kinds, px.reshape(-1, 9), py.reshape(-1, 9)).min(axis=1)
            fits = (free > PAVEMENT + 0.7) & ~placed & ((kinds & 15 > 0) | (draw[:, 2] < 0.5))
            thing = things[(draw[:, 3] * 4).astype(np.int64)]
            paint = _PAINT[thing] + SET_SIZE * (draw[:, 4] * _PAINTS[thing]).astype(np.int64)
            radius = np.sqrt(wide * wide + deep * deep)
            fields = np.stack([x, y, 0 * x + 1, 0 * x, wide, deep, radius, thing, paint], axis=1)
            made[fits, :, BUILDINGS + quarter] = fields[fits]
            placed |= fits
        taken.append(made[:, :, BUILDINGS + quarter])
    # Trees: of a few random places, the free one that is nearest to the road.
    plants = np.array([NUMBER[name] for name in ("tree", "tree", "tree", "pine", "bush")])
    rows = np.arange(len(kinds))
    for tree in range(TREES, SLOTS):
        draw = u[:, 40 + 40 * (tree - TREES) : 80 + 40 * (tree - TREES)]
        x, y = (draw[:, :16] - 0.5) * (TILE - 1), (draw[:, 16:32] - 0.5) * (TILE - 1)
        off = _beside(kinds, x, y)
        off = np.where(off < PAVEMENT + 0.5, 99.0, off)
        for box in taken:
            near_x = np.abs(x - box[:, boxes.X, None]) - box[:, boxes.HALF_LENGTH, None]
            near_y = np.abs(y - box[:, boxes.Y, None]) - box[:, boxes.HALF_WIDTH, None]
            off = np.where((np.maximum(near_x, near_y) < 1.2) & (near_x < 90), 99.0, off)
        for other in range(TREES, tree):
            far_x = x - made[:, boxes.X, other, None]
            far_y = y - made[:, boxes.Y, other, None]
            off = np.where(far_x * far_x + far_y * far_y < 12, 99.0, off)
        # Half of the trees stand along the road, the others anywhere.
        off = np.where(off < 99, off if tree % 2 else 1.0 * np.arange(16), off)
        best = off.argmin(axis=1)
        free = off[rows, best] < 99
        free &= draw[:, 36] < 0.9
        x, y = x[rows, best], y[rows, best]
        thing = plants[(draw[:, 32] * len(plants)).astype(np.int64)]
        paint = _PAINT[thing] + SET_SIZE * (draw[:, 33] * _PAINTS[thing]).astype(np.int64)
        half = _SIZES[thing] / 2
        still = 0 * x
        plant = [x, y, still, still, half[:, 0], half[:, 1], half[:, 1], thing, paint]
        made[free, :, tree] = np.stack(plant, axis=1)[free]
    return made.astype(np.float32)


RECORDS = _records()


def _tiles(state: dict[str, Array]) -> tuple[Array, Array]:
    """Return the record of each tile, and its signal: int64 [N, SPAN * SPAN] both.

    The map has a border of BORDER tiles without roads around the town.
    """
    links = state["links"]
    n = len(links)
    record = np.empty((n, SPAN, SPAN), dtype=np.int64)
    record[:] = _BORDER_WAYS
    signal = np.zeros((n, SPAN, SPAN), dtype=np.int64)
    inner = slice(BORDER, BORDER + GRID)
    u = exact.uniform(state["seed"], 0 * state["seed"], STREAM, GRID * GRID)
    way = (u * np.float32(VARIANTS)).astype(np.int64).reshape(n, GRID, GRID)
    record[:, inner, inner] = (links + 16 * state["roundabout"]) * VARIANTS + way
    signal[:, inner, inner] = state["signals"]
    return record.reshape(n, -1), signal.reshape(n, -1)


_BORDER_WAYS = (np.arange(SPAN) * 3 + np.arange(SPAN)[:, None] * 5) % VARIANTS


def near(state: dict[str, Array], x: Array, y: Array, side: int) -> Array:
    """Gather the boxes in the side x side tiles around (x, y), float64 [N], and the road users.

    Returns a batch as in `boxes.py`, float32 [N, G, FIELDS, SLOTS], in the world's metres.
    """
    n = len(x)
    record, signal = _tiles(state)
    offset = np.arange(side) - side // 2
    column = np.clip(np.floor(x / TILE).astype(np.int64)[:, None] + offset + BORDER, 0, SPAN - 1)
    row = np.clip(np.floor(y / TILE).astype(np.int64)[:, None] + offset + BORDER, 0, SPAN - 1)
    cell = (row[:, :, None] * SPAN + column[:, None, :]).reshape(n, -1)
    flat = cell + np.arange(n)[:, None] * (SPAN * SPAN)
    batch = np.empty((n, side * side + 1, FIELDS, SLOTS), dtype=np.float32)
    scene = batch[:, :-1]
    scene[:] = RECORDS.take(record.take(flat), axis=0)
    tile = np.float32(TILE)
    scene[:, :, boxes.X] += ((cell % SPAN - BORDER) * tile + tile / 2)[:, :, None]
    scene[:, :, boxes.Y] += ((cell // SPAN - BORDER) * tile + tile / 2)[:, :, None]
    # Traffic lights replace signs.
    arms = scene[:, :, :, ARMS : ARMS + 8]
    thing, paint, radius = (arms[:, :, i] for i in (boxes.THING, boxes.PAINT, boxes.RADIUS))
    shows = signal.take(flat)
    lit = (shows > 0)[:, :, None]
    np.copyto(thing, LIGHTS.take(shows, axis=0), where=lit)
    np.copyto(paint, np.float32(palette.SIGNAL_SET), where=lit)
    np.copyto(radius, np.float32(NONE), where=thing == 0)
    _add_users(state, batch[:, -1])
    return batch


def _add_users(state: dict[str, Array], group: Array) -> None:
    """Write the other road users, at most SLOTS, into the last group of a batch."""
    users, kind = state["users"], state["user_kind"]
    n, k = kind.shape
    group[:] = 0
    group[:, boxes.RADIUS] = NONE
    turns = users[:, :, 2] * (1 / 6.283185307179586)
    half_length, half_width = (np.maximum(users[:, :, i], 0.1) / 2 for i in (4, 5))
    radius = np.sqrt(half_length * half_length + half_width * half_width)
    thing = _USER[kind]
    # Feet and pedals move with each half metre; brake lights need "braking" in the state.
    step = np.floor((users[:, :, 0] + users[:, :, 1]) * 2).astype(np.int64) & 1
    brakes = state["braking"] if "braking" in state else np.zeros((n, k), dtype=np.bool_)
    thing = thing + np.where(kind >= 3, step, brakes & (kind > 0))
    paint = (np.arange(k) * 5 + state["seed"][:, None]) % _PAINTS[thing]
    fields = (
        users[:, :, 0],
        users[:, :, 1],
        exact.cosine(turns),
        exact.sine(turns),
        half_length,
        half_width,
        np.where(kind > 0, radius, NONE),
        thing,
        _PAINT[thing] + SET_SIZE * paint,
    )
    for i, values in enumerate(fields):
        group[:, i, :k] = values
