"""The lanes: for each way through a tile, a path of lines and arcs, sampled into a table.

A path's number comes from the kind of its tile and the sides where it enters and leaves:
kind * 16 + entry * 4 + exit. Tiles of a kind share their paths, relative to the tile's middle.
"""

from __future__ import annotations

import math

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving.town import (
    BITS,
    BOX,
    COUNT,
    CURB,
    GRID,
    LANE,
    RING,
    SOUTH,
    STEP_X,
    STEP_Y,
    TILE,
)

PLAIN, CURVE, ROUND = 0, 1, 2  # Kinds: straights and junctions, curves, roundabouts.
PATHS = 48
SPACING = 0.5  # Metres between two samples of a path.
SAMPLES = 136
TURN = 2 * math.pi

Piece = tuple[float, float]  # Its length in metres, and its bend as a part of a full turn.


def _sine(turns: float) -> float:
    return float(exact.sine(np.array([turns]))[0])


def _arc(radius: float, turn: float) -> Piece:
    return radius * TURN * abs(turn), turn


def _pieces(kind: int, way: int) -> list[Piece]:
    """Return the pieces of a path from the south; way 0 is ahead, 1 right, 3 left."""
    half, side = TILE / 2, LANE / 2
    if kind == CURVE:
        return [_arc(half - side, -0.25) if way == 1 else _arc(half + side, 0.25)]
    if kind == PLAIN:
        if way == 0:
            return [(TILE, 0.0)]
        arc = _arc(CURB + side, -0.25) if way == 1 else _arc(CURB + 3 * side, 0.25)
        return [(half - BOX, 0.0), arc, (half - BOX, 0.0)]
    # In and out by arcs to the right that touch the ring, at this distance from the arms' middles:
    away = 33 / 360
    lean, rise = _sine(away), _sine(0.25 - away)
    radius = (RING * lean - side) / (1 - lean)
    straight = half - (RING + radius) * rise
    ring = {1: 0.25, 0: 0.5, 3: 0.75}[way] - 2 * away
    swing = _arc(radius, away - 0.25)
    return [(straight, 0.0), swing, _arc(RING, ring), swing, (straight, 0.0)]


def _sampled(pieces: list[Piece]) -> tuple[float, Array]:
    """Return a path's length and float64 [SAMPLES, 4]: x, y, heading (turns), curvature."""
    total = 0.0
    for length, _ in pieces:  # Not `sum`: newer Pythons round its result differently.
        total += length
    at = np.arange(SAMPLES) * SPACING  # The last piece continues beyond the end.
    points = np.zeros((SAMPLES, 4))
    x, y, heading, start = LANE / 2, -TILE / 2, 0.25, 0.0
    for length, turn in pieces:
        here = at >= start - 1e-9
        s = at[here] - start
        bend = turn * TURN / length
        now = heading + turn * s / length
        sine, cosine = _sine(heading), _sine(heading + 0.25)
        if turn:
            points[here, 0] = x + (exact.sine(now) - sine) / bend
            points[here, 1] = y - (exact.cosine(now) - cosine) / bend
            x += (_sine(heading + turn) - sine) / bend
            y -= (_sine(heading + turn + 0.25) - cosine) / bend
        else:
            points[here, 0] = x + s * cosine
            points[here, 1] = y + s * sine
            x, y = x + length * cosine, y + length * sine
        points[here, 2], points[here, 3] = now, bend
        heading, start = heading + turn, start + length
    return total, points


def _tables() -> tuple[Array, Array, Array]:
    """Return each path's length [PATHS], its samples [PATHS, SAMPLES, 6], and if it exists."""
    length = np.full(PATHS, TILE)
    table = np.zeros((PATHS, SAMPLES, 6))
    exists = np.zeros(PATHS, dtype=np.bool_)
    for kind in (PLAIN, CURVE, ROUND):
        for way in (0, 1, 3):
            if kind == CURVE and way == 0:
                continue
            total, points = _sampled(_pieces(kind, way))
            x, y, heading, bend = points.T
            for clockwise in range(4):  # From the south, the west, the north, the east.
                path = kind * 16 + (SOUTH + clockwise) % 4 * 4 + (way + clockwise) % 4
                length[path], exists[path] = total, True
                table[path, :, 2] = heading - clockwise / 4
                table[path, :, 3] = exact.cosine(heading - clockwise / 4)
                table[path, :, 4] = exact.sine(heading - clockwise / 4)
                table[path, :, 5] = bend
                table[path, :, 0], table[path, :, 1] = x, y
                x, y = y, -x
    return length, table, exists


LENGTH, _TABLE, EXISTS = _tables()
X, Y, HEADING, COS, SIN, BEND = range(6)
_FLAT = _TABLE.reshape(PATHS * SAMPLES, 6)


def path_of(links: Array, roundabout: Array, entry: Array, exit_: Array) -> Array:
    """Return the path from side to side through a tile with `links` and `roundabout`."""
    straight = (entry + 2) % 4 == exit_
    kind = np.where(roundabout, ROUND, np.where((COUNT[links] == 2) & ~straight, CURVE, PLAIN))
    return np.asarray(kind * 16 + entry * 4 + exit_)


def nearby(path: Array, s: Array) -> Array:
    """Return the sample at or just before `s` metres: [..., 6], from the tile's middle.

    Its columns are X, Y (metres), HEADING (turns), COS, SIN of it, BEND (1/m, + is left).
    """
    index = (s * (1 / SPACING)).astype(np.int64)
    np.clip(index, 0, SAMPLES - 1, out=index)
    return _FLAT[path * SAMPLES + index]


def along(path: Array, s: Array) -> Array:
    """Return the values of `nearby`, linear between two samples."""
    place = s * (1 / SPACING)
    index = place.astype(np.int64)
    np.clip(index, 0, SAMPLES - 2, out=index)
    part = (place - index)[..., None]
    index += path * SAMPLES
    low = _FLAT[index]
    return np.asarray(low + (_FLAT[index + 1] - low) * part)


def middle(tile: Array) -> tuple[Array, Array]:
    """Return x and y of the middles of tiles; a tile's number is row * GRID + column."""
    return (tile % GRID + 0.5) * TILE, (tile // GRID + 0.5) * TILE


def onward(tile: Array, path: Array) -> tuple[Array, Array]:
    """Return the tile after a path, and the side where the path enters it."""
    exit_ = path % 4
    return tile + STEP_Y[exit_] * GRID + STEP_X[exit_], (exit_ + 2) % 4


def choose(links: Array, entry: Array, u: Array) -> Array:
    """Choose an exit side, other than `entry`, from `u` in [0, 1); all of one shape."""
    open_ = (links[..., None] & BITS) > 0
    open_ &= np.arange(4) != entry[..., None]
    count = open_.sum(axis=-1)
    pick = np.minimum((u * count).astype(np.int64), count - 1)
    return np.asarray((np.cumsum(open_, axis=-1) <= pick[..., None]).sum(axis=-1))
