"""Boxes: what stands on the ground near each car, and which rays of a sensor meet it where.

Cameras and LiDAR are both fans of rays in the plane: a camera's columns look straight ahead or to
the side, and the LiDAR's all around. `cast` finds where rays meet boxes, in three steps: it drops
the boxes outside of a view, finds which columns each of the others may cover, and tries only those.

A batch of boxes is float32 [N, G, FIELDS, SLOTS]: G groups (the tiles around the car, and the other
road users) of SLOTS boxes each. A field is a row of its own, so that sums run along whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sims.contract import Array

SLOTS = 24
# Middle in metres, heading as cosine and sine, half length, half width, radius around the middle
# (NONE: there is no such box), number in THINGS, number of the first material of its set.
FIELDS = 9
X, Y, COS, SIN, HALF_LENGTH, HALF_WIDTH, RADIUS, THING, PAINT = range(FIELDS)
NONE = -1e6

NEAR = 0.3  # Metres; what is nearer to the eye is not seen.
_EDGE = np.float32(0.05)
_WIDE = np.float32(1e6)
_THIN = np.float32(1e-6)
_CORNERS = ((1, 1), (-1, 1), (-1, -1), (1, -1))


@dataclass(frozen=True)
class Fan:
    """Rays in the plane from one place, in `views` that each look their own way.

    place: metres forward and left of the vehicle. yaw: (cosine, sine) of each view's angle to the
    left of straight ahead. slopes: float32 [columns], how far to the left a column's ray goes in
    each metre that it goes ahead, falling. reach: metres ahead beyond which nothing is seen.
    """

    place: tuple[float, float]
    yaw: tuple[tuple[float, float], ...]
    slopes: Array
    reach: float


@dataclass(frozen=True)
class Hits:
    """Where rays meet boxes, one entry each, in no order.

    column: int64, (world * views + view) * columns + column. depth: float32, metres ahead in the
    view's direction. box: int64, place of the box's first field in the batch, flat. front: bool,
    it is the front or the back that was hit. plus: bool, the front or the left, not the back or
    the right. along: float32, metres along the face from its left edge (on both sides: from the
    front).
    """

    column: Array
    depth: Array
    box: Array
    front: Array
    plus: Array
    along: Array


def cast(batch: Array, x: Array, y: Array, cos: Array, sin: Array, fan: Fan) -> Hits:
    """Find where the rays of cars at (x, y), heading (cos, sin), float32 [N], meet boxes."""
    n, groups = batch.shape[:2]
    views, columns = len(fan.yaw), len(fan.slopes)
    turn = np.array(fan.yaw, dtype=np.float32)
    forward, left = (np.float32(metres) for metres in fan.place)
    eye_x = x + (cos * forward - sin * left)
    eye_y = y + (sin * forward + cos * left)
    # Each view's direction, [N, views].
    view_x = cos[:, None] * turn[:, 0] - sin[:, None] * turn[:, 1]
    view_y = sin[:, None] * turn[:, 0] + cos[:, None] * turn[:, 1]

    # Which boxes a view may see: [N, views, groups, SLOTS].
    dx = (batch[:, :, X] - eye_x[:, None, None])[:, None]
    dy = (batch[:, :, Y] - eye_y[:, None, None])[:, None]
    radius = batch[:, None, :, RADIUS]
    look_x, look_y = view_x[:, :, None, None], view_y[:, :, None, None]
    ahead = dx * look_x + dy * look_y
    aside = dy * look_x - dx * look_y
    slope = fan.slopes[0]
    room = radius * np.sqrt(1 + slope * slope)
    seen = np.abs(aside) < ahead * slope + room
    seen &= np.abs(ahead) < fan.reach + radius
    found = np.flatnonzero(seen)
    ahead, aside = ahead.reshape(-1)[found], aside.reshape(-1)[found]
    view, slot = found // (groups * SLOTS), found % (groups * SLOTS)
    group = (view // views) * groups + slot // SLOTS
    box = group * (FIELDS * SLOTS) + slot % SLOTS
    flat = batch.reshape(-1)
    half_length = flat[box + HALF_LENGTH * SLOTS]
    half_width = flat[box + HALF_WIDTH * SLOTS]
    box_cos, box_sin = flat[box + COS * SLOTS], flat[box + SIN * SLOTS]
    look_x, look_y = view_x.reshape(-1)[view], view_y.reshape(-1)[view]
    # The box's heading as the view sees it. A billboard has none: it faces the eye.
    along_x = box_cos * look_x + box_sin * look_y
    along_y = box_sin * look_x - box_cos * look_y
    faceless = (box_cos == 0) & (box_sin == 0)
    far = np.sqrt(ahead * ahead + aside * aside) + np.float32(0.01)
    along_x = np.where(faceless, -ahead / far, along_x)
    along_y = np.where(faceless, -aside / far, along_y)

    low, high = _slopes(ahead, aside, along_x, along_y, half_length, half_width)
    rising = -fan.slopes
    first = np.searchsorted(rising, -high, side="left")
    count = np.maximum(np.searchsorted(rising, -low, side="right") - first, 0)

    # One entry for each box and column that it may cover.
    entry = np.repeat(np.arange(len(found)), count)
    start = np.cumsum(count) - count
    column = np.arange(len(entry)) + (first - start)[entry]
    slope = fan.slopes[column]
    # The eye and the ray as the box sees them.
    a, b = along_x[entry], along_y[entry]
    eye_x = -(ahead * along_x + aside * along_y)[entry]
    eye_y = (ahead * along_y - aside * along_x)[entry]
    ray_x, ray_y = a + slope * b, slope * a - b
    per_x, per_y = _inverse(ray_x), _inverse(ray_y)
    half_x, half_y = half_length[entry] * np.abs(per_x), half_width[entry] * np.abs(per_y)
    middle_x, middle_y = -eye_x * per_x, -eye_y * per_y
    enter_x, enter_y = middle_x - half_x, middle_y - half_y
    depth = np.maximum(enter_x, enter_y)
    leave = np.minimum(middle_x + half_x, middle_y + half_y)
    hit = np.flatnonzero((depth < leave) & (depth > np.float32(NEAR)))

    entry, depth = entry[hit], depth[hit]
    front = enter_x[hit] > enter_y[hit]
    ray_x, ray_y = ray_x[hit], ray_y[hit]
    at_x = eye_x[hit] + depth * ray_x
    at_y = eye_y[hit] + depth * ray_y
    plus = np.where(front, ray_x < 0, ray_y < 0)
    across = half_width[entry] + np.where(plus, at_y, -at_y)
    along = np.where(front, across, half_length[entry] - at_x)
    return Hits(view[entry] * columns + column[hit], depth, box[entry], front, plus, along)


def _inverse(value: Array) -> Array:
    """Return 1 / value, with a very thin slope in the place of none."""
    return np.asarray(1 / np.where(np.abs(value) < _THIN, _THIN, value))


def _slopes(
    ahead: Array, aside: Array, along_x: Array, along_y: Array, length: Array, width: Array
) -> tuple[Array, Array]:
    """Return the least and the greatest slope at which each box is seen, float32."""
    xs, ys = [], []
    for i, j in _CORNERS:
        l, w = length * i, width * j
        xs.append(ahead + (l * along_x - w * along_y))
        ys.append(aside + (l * along_y + w * along_x))
    low, high = np.full_like(ahead, _WIDE), np.full_like(ahead, -_WIDE)
    for i in range(4):
        x, y, next_x, next_y = xs[i], ys[i], xs[i - 1], ys[i - 1]
        before = x > _EDGE
        slope = y / np.where(before, x, 1)
        low = np.where(before, np.minimum(low, slope), low)
        high = np.where(before, np.maximum(high, slope), high)
        # An edge that passes the eye on its way behind goes out of view on that side.
        passes = before != (next_x > _EDGE)
        step = np.where(passes, next_x - x, 1)
        side = y + (_EDGE - x) * (next_y - y) / step
        low = np.where(passes & (side <= 0), -_WIDE, low)
        high = np.where(passes & (side > 0), _WIDE, high)
    return low, high
