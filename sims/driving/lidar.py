"""LiDAR: the distances to things all around.

Its columns go from behind over the left, the front and the right, its rings from the highest
down. From above, columns are rays like a camera's: four views of a quarter each. Where a
column hits a box, the rings whose beams are neither above nor below the box return.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import boxes, scenery
from sims.driving.boxes import Fan
from sims.driving.rig import (
    LIDAR_COLUMNS,
    LIDAR_ELEVATIONS,
    LIDAR_PLACE,
    LIDAR_RANGE,
    LIDAR_RINGS,
)
from sims.driving.things import THINGS

BLOCK = 64  # Worlds at once, which fit into a core's cache.
TURN = 6.283185307179586
QUARTER = LIDAR_COLUMNS // 4


def _fan() -> Fan:
    """Return the columns as four views: behind to the left, ahead and so on, in their order."""
    middle = np.array([0.375, 0.125, -0.125, -0.375])  # Turns to the left.
    yaw = zip(exact.cosine(middle).tolist(), exact.sine(middle).tolist(), strict=True)
    angle = 0.125 - (np.arange(QUARTER) + 0.5) / LIDAR_COLUMNS
    slopes = (exact.sine(angle) / exact.cosine(angle)).astype(np.float32)
    return Fan(LIDAR_PLACE[:2], tuple(yaw), slopes, LIDAR_RANGE)


FAN = _fan()
_ANGLE = np.array(LIDAR_ELEVATIONS) / TURN
RISE = (exact.sine(_ANGLE) / exact.cosine(_ANGLE)).astype(np.float32)  # Metres up a metre.
LONGER = (1 / exact.cosine(_ANGLE)).astype(np.float32)  # Along the beam, for a metre of ground.
STRETCH = np.sqrt(1 + FAN.slopes * FAN.slopes)  # Along the ray, for a metre ahead.
HEIGHT = np.array([thing.height for thing in THINGS], dtype=np.float32)
CROWN = np.array([thing.crown for thing in THINGS], dtype=np.float32)
TRUNK = np.float32(0.3)  # Half of its width in metres.
EYE = np.float32(LIDAR_PLACE[2])


def _empty_ground() -> Array:
    """Return the range of each ring on level ground, float32 [rings]; out of reach: infinite."""
    down = np.maximum(-RISE, np.float32(1e-6))
    metres = EYE / down * LONGER
    return np.where(metres <= LIDAR_RANGE, metres, np.float32(np.inf)).astype(np.float32)


GROUND = _empty_ground()
RING = (np.arange(LIDAR_RINGS) * LIDAR_COLUMNS)[:, None]  # The start of each ring in a scan.


def scan(state: dict[str, Array]) -> Array:
    """Return each world's range image in metres, float32 [N, 16, 128]; 0: no return."""
    n = len(state["ego"])
    out = np.empty((n, LIDAR_RINGS, LIDAR_COLUMNS), dtype=np.float32)
    for start in range(0, n, BLOCK):
        part = slice(start, min(start + BLOCK, n))
        _scan({name: state[name][part] for name in scenery.NEEDED if name in state}, out[part])
    return out


def _scan(state: dict[str, Array], out: Array) -> None:
    """Scan one block of worlds into `out`, float32 [N, 16, 128]."""
    ego = state["ego"]
    turns = ego[:, 2] * (1 / TURN)
    x, y = np.clip(ego[:, 0], -60.0, 380.0), np.clip(ego[:, 1], -60.0, 380.0)
    pose = np.stack([x, y, exact.cosine(turns), exact.sine(turns)]).astype(np.float32)
    batch = scenery.near(state, x, y, 5)
    hits = boxes.cast(batch, pose, FAN)

    thing = batch.take(hits.boxes.place + boxes.THING * boxes.SLOTS).astype(np.intp)
    height = HEIGHT.take(thing).take(hits.box)
    # Below its crown, a tree is as wide as its trunk.
    low = CROWN.take(thing).take(hits.box)
    trees = np.flatnonzero(low)
    along, _ = hits.met(trees)
    beside = np.abs(along - hits.boxes.half[1].take(hits.box.take(trees)))
    low[trees] *= beside > TRUNK
    # The rings that hit, [rings, hits], and their places in `out`.
    view, column = hits.column // QUARTER, hits.column % QUARTER
    metres = hits.depth * STRETCH.take(column)
    column += view // 4 * (LIDAR_RINGS * LIDAR_COLUMNS) + view % 4 * QUARTER
    up = metres * RISE[:, None]
    up += EYE
    back = np.flatnonzero((up >= low) & (up < height))
    place = (column.astype(np.intp) + RING).reshape(-1).take(back)
    ranges = (metres * LONGER[:, None]).reshape(-1).take(back)
    out[:] = GROUND[:, None]
    np.minimum.at(out.reshape(-1), place, ranges)
    out[out > LIDAR_RANGE] = 0


def birds_eye(scan: Array) -> Array:
    """Return the ends of a scan's beams, float32 [..., 16, 128, 3]: metres forward, left and up.

    scan: float32 [..., 16, 128]. Up is above the ground. Beams without a return are NaN.
    """
    angle = 0.5 - (np.arange(LIDAR_COLUMNS) + 0.5) / LIDAR_COLUMNS
    flat = np.where(scan > 0, scan, np.nan).astype(np.float64) / LONGER[:, None]
    forward = flat * exact.cosine(angle) + LIDAR_PLACE[0]
    left = flat * exact.sine(angle) + LIDAR_PLACE[1]
    up = flat * RISE[:, None] + LIDAR_PLACE[2]
    return np.stack([forward, left, up], axis=-1).astype(np.float32)
