"""Sprites: from rays that hit boxes to columns of pixels.

A camera draws a face column by column. All possible columns of pixels are prepared when this file
is loaded: STRIPS holds each column of each drawing as 64 pixels, once for each level of distance.
Near things are larger, so the levels are evenly spaced in 1 / distance. `arrange` chooses a strip
for each ray that hit a box, and leaves out hidden ones. `draw` copies strips into the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sims.contract import Array
from sims.driving import boxes, palette
from sims.driving.boxes import Hits
from sims.driving.rig import CAMERAS
from sims.driving.things import NUMBER, THINGS, Drawing

FOCAL, EYE = CAMERAS[0].focal, CAMERAS[0].place[2]
ROWS = CAMERAS[0].height
HORIZON = ROWS // 2
LAYERS = 8  # The largest number of boxes in one column; the nearest ones count.
NOTHING = -(1 << 15)

# Levels of distance. EYE * FOCAL / distance is the number of pixels from the horizon down to the
# feet; the levels are evenly spaced in it, finely for far things and more coarsely for near ones.
SCALE = 8.0  # The finest step is an eighth of a pixel.
STEPS = 480  # From 60 pixels below the horizon on, things do not get larger.
_STEP = np.arange(STEPS)
LEVEL: Array = np.where(_STEP < 96, _STEP, np.where(_STEP < 256, 72 + _STEP // 4, 104 + _STEP // 8))
LEVELS = int(LEVEL[-1]) + 1
# The pixels from the horizon down to the feet, at the middle of each level.
FEET = (np.bincount(LEVEL, _STEP + 0.5) / np.bincount(LEVEL)) / SCALE
LEVEL_BAND = (palette.band(EYE * FOCAL / FEET) * palette.MATERIALS).astype(np.int16)


def _strips(drawing: Drawing) -> Array:
    """Return a drawing's columns at every level, int16 [columns, LEVELS, ROWS]."""
    number = palette.letters(drawing.materials)
    lines = drawing.art.split()
    shadow = lines[-1].strip(".").strip("s") == "" and len(lines) > 1
    feet = len(lines) - shadow  # The last line lies on the ground, in front of the feet.
    # Two more lines: one for the shadow, and an empty one for everything above and below.
    texels = np.zeros((len(lines[0]), feet + 2), dtype=np.int16)
    for i, line in enumerate(lines):
        texels[:, i] = [number[letter] for letter in line]
    row = np.arange(ROWS) + 0.5 - HORIZON
    up = EYE - row * EYE / FEET[:, None]  # Metres above the ground, [LEVELS, ROWS].
    line_of = np.floor((drawing.height - up) * (feet / drawing.height)).astype(np.intp)
    outside = (line_of < 0) | (line_of >= feet)
    line_of[outside] = feet + 1
    if shadow:
        line_of[(up < 0) & (up > -0.12)] = feet
    # Empty texels stay negative even after a material's number is added.
    texels[texels == 0] = NOTHING
    return texels[:, line_of]


def _compile() -> tuple[Array, Array, Array, Array]:
    """Return STRIPS, and for each thing and face FIRST, COLUMNS and REPEAT (see below)."""
    known: dict[tuple[str, float], tuple[int, int]] = {}
    strips: list[Array] = []
    first = np.zeros((len(THINGS), 4), dtype=np.intp)
    columns = np.ones((len(THINGS), 4), dtype=np.intp)
    repeat = np.zeros((len(THINGS), 4), dtype=np.float32)
    total = 0
    for t, thing in enumerate(THINGS):
        for f in range(4):
            drawing = thing.faces[f % len(thing.faces)]
            key = drawing.art, drawing.height
            if key not in known:
                made = _strips(drawing)
                known[key] = (total, len(made))
                strips.append(made)
                total += len(made)
            first[t, f], columns[t, f] = known[key]
            repeat[t, f] = 1 / drawing.column if drawing.column else 0
    made = np.concatenate(strips).reshape(-1, ROWS)
    return made, first.reshape(-1), columns.reshape(-1), repeat.reshape(-1)


# Strip s at level l has the index s * LEVELS + l. Face f (front, back, left, right) of thing t has
# the index 4 * t + f in the others: its first strip, its number of strips, and strips a metre if
# they repeat (otherwise 0). If not, STRETCH / half the face's width is strips a metre.
STRIPS, FIRST, COLUMNS, REPEAT = _compile()
STRETCH = np.where(REPEAT > 0, 0, COLUMNS * np.float32(0.9999 / 2)).astype(np.float32)
SHADE = np.array(
    [palette.SHADE * (thing.solid and f % 2) for thing in THINGS for f in range(4)], dtype=np.int16
)
# A thing's height above the eye, in 1024ths of a metre; divided by its depth, it is a slope.
_OVER = np.array([thing.height - EYE for thing in THINGS]) * 1024
OVER_EYE = np.maximum(_OVER, 0).astype(np.float32)
SOLID = np.array([thing.solid for thing in THINGS])
ASIDE, RED = NUMBER["light from aside"], NUMBER["red"]  # Lights are the last things.
_KEY = 1 << 20


@dataclass(frozen=True)
class Layers:
    """The drawn parts of boxes, one entry for each column of a box, sorted by image column.

    column: int64. layer: int64, 0 is the nearest in its column. strip: int64, an index into STRIPS.
    paint: int16, the number of material 0 of the box's set at its distance.
    """

    column: Array
    layer: Array
    strip: Array
    paint: Array


def arrange(batch: Array, hits: Hits, weather: Array) -> Layers:
    """Choose the drawing for each hit of a batch, without the boxes that buildings hide.

    weather: int16 [N], the first number of each world's condition.
    """
    kept = _not_hidden(batch, hits)
    column, depth, box = hits.column.take(kept), hits.depth.take(kept), hits.box.take(kept)
    # By column, from the nearest to the farthest: one integer sorts by both, and holds the index.
    total = len(kept)
    far = np.minimum((depth * np.float32(32)).astype(np.int64), 4095)
    order = np.sort((column.astype(np.int64) * 4096 + far) * _KEY + np.arange(total))
    order &= _KEY - 1
    kept, column, depth = kept.take(order), column.take(order), depth.take(order)
    place = np.arange(total)
    new = np.ones(total, dtype=np.bool_)
    np.not_equal(column[1:], column[:-1], out=new[1:])
    layer = place - np.maximum.accumulate(place * new)

    box, front = box.take(order), hits.front.take(kept)
    along, plus = hits.met(kept)
    # First the kind of each box, then the drawing on each of its faces.
    thing = batch.take(hits.boxes.place + boxes.THING * boxes.SLOTS).astype(np.intp)
    # A traffic light shines forwards: from any other side it looks dark.
    eye_x, eye_y = hits.boxes.eye
    thing = np.where((thing >= RED) & (eye_x < np.abs(eye_y)), ASIDE, thing)
    face = (thing * 4).take(box) + (3 - 2 * front - plus)
    half = np.where(front, hits.boxes.half[1].take(box), hits.boxes.half[0].take(box))
    metre = REPEAT.take(face) + STRETCH.take(face) / half
    strip = FIRST.take(face) + (along * metre).astype(np.intp) % COLUMNS.take(face)
    step = (np.float32(EYE * FOCAL * SCALE) / depth).astype(np.intp)
    level = LEVEL.take(np.minimum(step, STEPS - 1))
    paint = batch.take(hits.boxes.place + boxes.PAINT * boxes.SLOTS).astype(np.int16)
    paint = (paint + weather.take(hits.boxes.view // len(CAMERAS))).take(box)
    paint += LEVEL_BAND.take(level)
    paint += SHADE.take(face)
    return Layers(column, layer, strip * LEVELS + level, paint)


def _not_hidden(batch: Array, hits: Hits) -> Array:
    """Return the hits that are not behind the nearest building of their column, or higher."""
    thing = batch.take(hits.boxes.place + boxes.THING * boxes.SLOTS).astype(np.intp)
    top = (OVER_EYE.take(thing).take(hits.box) / hits.depth).astype(np.int64)
    far = (hits.depth * np.float32(1024)).astype(np.int64)
    # The nearest building: its distance, and in the lower bits the sky that it leaves free.
    building = np.flatnonzero(SOLID.take(thing).take(hits.box))
    nearest = np.full(hits.columns, 1 << 40, dtype=np.int64)
    np.minimum.at(
        nearest,
        hits.column.take(building),
        far.take(building) * _KEY + (_KEY - 1 - top.take(building)),
    )
    found = nearest.take(hits.column)
    return np.flatnonzero((far <= found >> 20) | (top > _KEY - 1 - (found & (_KEY - 1))))


def draw(image: Array, layers: Layers, start: int) -> None:
    """Draw boxes into the columns from `start` on, int16 [columns, ROWS], the nearest last."""
    low, high = np.searchsorted(layers.column, (start, start + len(image)))
    layer = layers.layer[low:high]
    for depth in range(min(LAYERS, int(layer.max(initial=-1)) + 1) - 1, -1, -1):
        here = np.flatnonzero(layer == depth) + low
        columns = layers.column.take(here) - start
        texels = STRIPS.take(layers.strip.take(here), axis=0)
        through = texels >= 0
        texels += layers.paint.take(here)[:, None]
        under = image.take(columns, axis=0)
        # Where a strip is transparent, the old number stays.
        texels ^= under
        texels *= through
        texels ^= under
        _rows(image)[columns] = _rows(texels)


def _rows(image: Array) -> Array:
    """Return a view of int16 [n, ROWS] with whole rows as items, which NumPy copies faster."""
    return image.view(np.dtype((np.void, ROWS * 2)))[:, 0]
