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


def views(pose: Array, fan: Fan) -> tuple[Array, Array, Array, Array]:
    """Return where each car's eye is, float32 [N] x and y, and which way its views look.

    pose: float32 [4, N], metres east and north, cosine and sine of the heading. Looks are float32
    [N, views], metres east and north a metre ahead.
    """
    x, y, cos, sin = pose
    forward, left = (np.float32(metres) for metres in fan.place)
    turn = np.array(fan.yaw, dtype=np.float32)
    look_x = cos[:, None] * turn[:, 0] - sin[:, None] * turn[:, 1]
    look_y = sin[:, None] * turn[:, 0] + cos[:, None] * turn[:, 1]
    return x + (cos * forward - sin * left), y + (sin * forward + cos * left), look_x, look_y


def cast(batch: Array, pose: Array, fan: Fan) -> Hits:
    """Find where the rays of cars meet boxes; pose: float32 [4, N] as `views` has it."""
    n, groups = batch.shape[:2]
    slots = groups * SLOTS
    count_views, columns = len(fan.yaw), len(fan.slopes)
    eye_x, eye_y, look_x, look_y = views(pose, fan)

    # Which boxes a view may see: [N, views, slots].
    dx = (batch[:, :, X] - eye_x[:, None, None]).reshape(n, 1, slots)
    dy = (batch[:, :, Y] - eye_y[:, None, None]).reshape(n, 1, slots)
    radius = batch[:, :, RADIUS].reshape(n, 1, slots)
    ahead = dx * look_x[:, :, None] + dy * look_y[:, :, None]
    aside = dy * look_x[:, :, None] - dx * look_y[:, :, None]
    steepest = fan.slopes[0]
    seen = np.abs(aside) < ahead * steepest + radius * np.sqrt(1 + steepest * steepest)
    seen &= np.abs(ahead) < np.float32(fan.reach) + radius
    found = np.flatnonzero(seen)
    ahead, aside = ahead.take(found), aside.take(found)
    view, slot = found // slots, found % slots
    box = ((view // count_views) * groups + slot // SLOTS) * (FIELDS * SLOTS) + slot % SLOTS
    half_length = batch.take(box + HALF_LENGTH * SLOTS)
    half_width = batch.take(box + HALF_WIDTH * SLOTS)
    cos, sin = batch.take(box + COS * SLOTS), batch.take(box + SIN * SLOTS)
    # The box's heading as the view sees it. A billboard has none: it faces the eye.
    look_x, look_y = look_x.take(view), look_y.take(view)
    heading_x = cos * look_x + sin * look_y
    heading_y = sin * look_x - cos * look_y
    faceless = (cos == 0) & (sin == 0)
    far = np.sqrt(ahead * ahead + aside * aside) + np.float32(0.01)
    heading_x = np.where(faceless, -ahead / far, heading_x)
    heading_y = np.where(faceless, -aside / far, heading_y)

    low, high = _slopes(ahead, aside, heading_x, heading_y, half_length, half_width)
    first = np.searchsorted(-fan.slopes, -high, side="left")
    count = np.maximum(np.searchsorted(-fan.slopes, -low, side="right") - first, 0)

    # One entry for each box and column that it may cover: the eye and the ray as the box sees it.
    entry = np.repeat(np.arange(len(found)), count)
    start = first - (np.cumsum(count) - count)
    column = np.arange(len(entry)) + start.take(entry)
    slope = fan.slopes.take(column)
    at_x = -(ahead * heading_x + aside * heading_y)
    at_y = ahead * heading_y - aside * heading_x
    a, b = heading_x.take(entry), heading_y.take(entry)
    ray_x, ray_y = a + slope * b, slope * a - b
    per_x, per_y = _inverse(ray_x), _inverse(ray_y)
    middle_x, middle_y = -at_x.take(entry) * per_x, -at_y.take(entry) * per_y
    half_x = half_length.take(entry) * np.abs(per_x)
    half_y = half_width.take(entry) * np.abs(per_y)
    enter_x, enter_y = middle_x - half_x, middle_y - half_y
    depth = np.maximum(enter_x, enter_y)
    leave = np.minimum(middle_x + half_x, middle_y + half_y)
    hit = np.flatnonzero((depth < leave) & (depth > np.float32(NEAR)))

    entry, depth = entry.take(hit), depth.take(hit)
    front = enter_x.take(hit) > enter_y.take(hit)
    ray_x, ray_y = ray_x.take(hit), ray_y.take(hit)
    met_x, met_y = at_x.take(entry) + depth * ray_x, at_y.take(entry) + depth * ray_y
    plus = np.where(front, ray_x < 0, ray_y < 0)
    across = half_width.take(entry) + np.where(plus, met_y, -met_y)
    along = np.where(front, across, half_length.take(entry) - met_x)
    place = view.take(entry) * columns + column.take(hit)
    return Hits(place, depth, box.take(entry), front, plus, along)


def _inverse(value: Array) -> Array:
    """Return 1 / value, with a very thin slope in the place of none."""
    return np.asarray(1 / np.where(np.abs(value) < _THIN, _THIN, value))


def _slopes(
    ahead: Array, aside: Array, heading_x: Array, heading_y: Array, length: Array, width: Array
) -> tuple[Array, Array]:
    """Return the least and the greatest slope at which each box is seen, float32."""
    xs, ys = [], []
    long_x, long_y = length * heading_x, length * heading_y
    wide_x, wide_y = width * heading_y, width * heading_x
    for i, j in _CORNERS:
        xs.append(ahead + (i * long_x - j * wide_x))
        ys.append(aside + (i * long_y + j * wide_y))
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
