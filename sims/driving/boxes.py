"""Boxes: the things on the ground near each car, and the rays of a sensor that hit them.

Cameras and LiDAR are both fans of rays in the plane: a camera's columns look straight ahead or to
the side, and the LiDAR's all around. `cast` finds where rays hit boxes in three steps: it drops the
boxes outside of a view, finds the columns that each of the others may cover, and tries only those.

A batch of boxes is float32 [N, G, FIELDS, SLOTS]: G groups (the tiles around the car, and the other
road users) of SLOTS boxes each. Each field is a row, so that operations run along whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sims.contract import Array

SLOTS = 20
# Middle in metres, heading as cosine and sine, half length, half width, radius around the middle
# (NONE: the slot is empty), number in THINGS, number of the first material of its set.
FIELDS = 9
X, Y, COS, SIN, HALF_LENGTH, HALF_WIDTH, RADIUS, THING, PAINT = range(FIELDS)
NONE = -1e6

NEAR = 0.3  # Metres; anything closer to the eye is invisible.
_EDGE = np.float32(0.05)
_WIDE = np.float32(1e6)
_THIN = np.float32(1e-6)
_ONE = np.float32(1)
_CORNERS_X = np.array([[1], [-1], [-1], [1]], dtype=np.float32)
_CORNERS_Y = np.array([[1], [1], [-1], [-1]], dtype=np.float32)
_BINS = 512  # Steps from straight ahead to the edge of a view.


@dataclass(frozen=True)
class Fan:
    """Rays in the plane from one place, in `views` with one direction each.

    place: metres forward and left of the vehicle. yaw: (cosine, sine) of each view's angle to the
    left of straight ahead. slopes: float32 [columns], metres to the left for each metre ahead of a
    column's ray, in descending order. reach: metres ahead; nothing beyond is visible.
    """

    place: tuple[float, float]
    yaw: tuple[tuple[float, float], ...]
    slopes: Array
    reach: float
    table: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # For steps of the slope from left to right: how many columns certainly lie left of the
        # previous step, and how many may lie left of the next one.
        step = np.arange(2 * _BINS + 1)
        edge = self.slopes[0] * (1 - (step + np.array([[-1], [2]])) / _BINS)
        count = (self.slopes > edge[..., None]).sum(axis=-1)
        object.__setattr__(self, "table", count.astype(np.intp))


@dataclass(frozen=True)
class Boxes:
    """The boxes that views may see, one entry each, relative to their view; float32 except `place`.

    place: int64, the position of the box's first field in the flat batch. view: int64, world *
    views + view. eye: the eye's position from the middle of the box, along its length and its
    width. heading: the box's direction, ahead and to the left in the view. half: half of its length
    and width.
    """

    place: Array
    view: Array
    eye: tuple[Array, Array]
    heading: tuple[Array, Array]
    half: tuple[Array, Array]


@dataclass(frozen=True)
class Hits:
    """The places where rays hit boxes, one entry each, in no order.

    boxes: the candidates. columns: the number of columns, of all views of all worlds. box: int64,
    the index of the box. slope: float32, the slope of the ray. column: int64,
    (world * views + view) * columns + column. depth: float32, metres ahead in the view's direction.
    front: bool, the ray hit the front or the back.
    """

    boxes: Boxes
    columns: int
    box: Array
    slope: Array
    column: Array
    depth: Array
    front: Array

    def met(self, which: Array) -> tuple[Array, Array]:
        """Return the places of the hits `which` (int64) on their faces: metres along, and plus.

        Along (float32) starts at the left edge of a front or back, and at the front of a side. Plus
        (bool) means the front or the left side, not the back or the right side.
        """
        box, depth, slope = self.box.take(which), self.depth.take(which), self.slope.take(which)
        front = self.front.take(which)
        (eye_x, eye_y), (a, b), (length, width) = (
            self.boxes.eye,
            self.boxes.heading,
            self.boxes.half,
        )
        a, b = a.take(box), b.take(box)
        ray_x, ray_y = a + slope * b, slope * a - b
        plus = np.where(front, ray_x, ray_y) < 0
        across = (eye_y.take(box) + depth * ray_y) * np.where(plus, _ONE, -_ONE)
        back = eye_x.take(box) + depth * ray_x
        along = np.where(front, width.take(box) + across, length.take(box) - back)
        return along, plus


def views(pose: Array, fan: Fan) -> tuple[Array, Array, Array, Array]:
    """Return each car's eye, float32 [N] x and y, and the directions of its views.

    pose: float32 [4, N], metres east and north, cosine and sine of the heading. Directions are
    float32 [N, views], metres east and north for one metre ahead.
    """
    x, y, cos, sin = pose
    forward, left = (np.float32(metres) for metres in fan.place)
    turn = np.array(fan.yaw, dtype=np.float32)
    look_x = cos[:, None] * turn[:, 0] - sin[:, None] * turn[:, 1]
    look_y = sin[:, None] * turn[:, 0] + cos[:, None] * turn[:, 1]
    return x + (cos * forward - sin * left), y + (sin * forward + cos * left), look_x, look_y


def cast(batch: Array, pose: Array, fan: Fan) -> Hits:
    """Find where the rays of cars hit boxes; pose: float32 [4, N], as in `views`."""
    found = _seen(batch, pose, fan)
    eye, heading, half = np.stack(found.eye), np.stack(found.heading), np.stack(found.half)
    low, high = _slopes(eye, heading, half)
    # The first and the last column that a box may cover, from slopes in fine steps.
    slopes = fan.slopes
    bins = np.clip(np.stack([high, low]) * (-_BINS / slopes[0]) + _BINS, 0, 2 * _BINS)
    first, last = fan.table[np.arange(2)[:, None], bins.astype(np.intp)]
    count = np.maximum(last - first, 0)

    # One entry for each box and each column that it may cover: eye and ray relative to the box.
    entry = np.repeat(np.arange(len(count)), count.astype(np.intp))
    start = first - (np.cumsum(count) - count)
    column = np.arange(len(entry)) + start.take(entry)
    slope = slopes.take(column)
    a, b = heading[0].take(entry), heading[1].take(entry)
    ray_x, ray_y = a + slope * b, slope * a - b
    # No ray is exactly parallel to a face, so that the division below is safe.
    ray_x += (np.abs(ray_x) < _THIN) * _THIN * 2
    ray_y += (np.abs(ray_y) < _THIN) * _THIN * 2
    per_x, per_y = _ONE / ray_x, _ONE / ray_y
    middle_x, middle_y = -eye[0].take(entry) * per_x, -eye[1].take(entry) * per_y
    half_x = half[0].take(entry) * np.abs(per_x)
    half_y = half[1].take(entry) * np.abs(per_y)
    enter_x, enter_y = middle_x - half_x, middle_y - half_y
    depth = np.maximum(enter_x, enter_y)
    leave = np.minimum(middle_x + half_x, middle_y + half_y)
    hit = np.flatnonzero((depth < leave) & (depth > np.float32(NEAR)))
    entry = entry.take(hit)
    place = found.view.take(entry) * len(slopes) + column.take(hit)
    front = (enter_x > enter_y).take(hit)
    total = len(batch) * len(fan.yaw) * len(slopes)
    return Hits(found, total, entry, slope.take(hit), place, depth.take(hit), front)


def _seen(batch: Array, pose: Array, fan: Fan) -> Boxes:
    """Return the boxes that lie in a view or reach into it."""
    n, groups = batch.shape[:2]
    slots, count = groups * SLOTS, len(fan.yaw)
    eye_x, eye_y, look_x, look_y = views(pose, fan)
    # Metres ahead and to the left: [N, views, slots].
    dx = (batch[:, :, X] - eye_x[:, None, None]).reshape(n, 1, slots)
    dy = (batch[:, :, Y] - eye_y[:, None, None]).reshape(n, 1, slots)
    radius = batch[:, :, RADIUS].reshape(n, 1, slots)
    ahead = dx * look_x[:, :, None] + dy * look_y[:, :, None]
    aside = dy * look_x[:, :, None] - dx * look_y[:, :, None]
    steepest = fan.slopes[0]
    seen = np.abs(aside) < ahead * steepest + radius * np.sqrt(1 + steepest * steepest)
    seen &= ahead < np.float32(fan.reach) + radius
    found = np.flatnonzero(seen)

    ahead, aside = ahead.take(found), aside.take(found)
    view, slot = found // slots, found % slots
    place = ((view // count) * groups + slot // SLOTS) * (FIELDS * SLOTS) + slot % SLOTS
    cos, sin = batch.take(place + COS * SLOTS), batch.take(place + SIN * SLOTS)
    look_x, look_y = look_x.take(view), look_y.take(view)
    # A billboard has no heading: it always faces the eye.
    faceless = (cos == 0) & (sin == 0)
    far = np.sqrt(ahead * ahead + aside * aside) + np.float32(0.01)
    a = np.where(faceless, -ahead / far, cos * look_x + sin * look_y)
    b = np.where(faceless, -aside / far, sin * look_x - cos * look_y)
    eye = -(ahead * a + aside * b), ahead * b - aside * a
    half = batch.take(place + HALF_LENGTH * SLOTS), batch.take(place + HALF_WIDTH * SLOTS)
    return Boxes(place, view, eye, (a, b), half)


def _slopes(eye: Array, heading: Array, half: Array) -> tuple[Array, Array]:
    """Return the smallest and the largest slope at which the eye sees each box, float32.

    eye, heading, half: float32 [2, boxes], as in `Boxes`.
    """
    # The corners, [4, boxes], around the box: from the eye in the box's directions, then ahead and
    # to the left in the view's directions.
    x, y = _CORNERS_X * half[0] - eye[0], _CORNERS_Y * half[1] - eye[1]
    ahead, aside = x * heading[0] - y * heading[1], x * heading[1] + y * heading[0]
    slope = aside / np.maximum(ahead, _EDGE)
    low, high = slope.min(axis=0), slope.max(axis=0)
    near = np.flatnonzero(ahead.min(axis=0) <= _EDGE)
    if len(near):
        # An edge that passes beside the eye to behind it leaves the view on that side.
        x, y, slope = ahead[:, near], aside[:, near], slope[:, near]
        before, next_x, next_y = x > _EDGE, np.roll(x, 1, axis=0), np.roll(y, 1, axis=0)
        passes = before != (next_x > _EDGE)
        side = y + (_EDGE - x) * (next_y - y) / np.where(passes, next_x - x, _ONE)
        out = np.where(side > 0, _WIDE, -_WIDE)
        least = np.where(before, slope, _WIDE).min(axis=0)
        most = np.where(before, slope, -_WIDE).max(axis=0)
        low[near] = np.minimum(least, np.where(passes, out, _WIDE).min(axis=0))
        high[near] = np.maximum(most, np.where(passes, out, -_WIDE).max(axis=0))
    return low, high
