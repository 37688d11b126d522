"""Strips: every column of every drawing, ready for every distance.

A camera draws a face column by column, and all that a column of pixels can be is prepared here:
`STRIPS[strip, level]` is column `strip` of some drawing as 64 pixels, seen from as far off as
`level` says. What is near is larger, so levels lie evenly in 1 / distance.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from sims.driving import palette
from sims.driving.drawings import THINGS, Drawing
from sims.driving.rig import CAMERAS

FOCAL, EYE = CAMERAS[0].focal, CAMERAS[0].place[2]
ROWS = CAMERAS[0].height
HORIZON = ROWS // 2

# Levels of distance. EYE * FOCAL / distance is how many pixels below the horizon the feet are; the
# levels are even in it, fine for what is far and coarser for what is near.
SCALE = 8.0  # An eighth of a pixel is the finest step.
STEPS = 480  # Nearer than 60 pixels below the horizon nothing gets larger.
_STEP = np.arange(STEPS)
LEVEL = np.where(_STEP < 96, _STEP, np.where(_STEP < 256, 72 + _STEP // 4, 104 + _STEP // 8))
LEVELS = int(LEVEL[-1]) + 1
FEET = np.zeros(LEVELS)
for _level in range(LEVELS):
    FEET[_level] = (_STEP[LEVEL == _level].mean() + 0.5) / SCALE
LEVEL_BAND = palette.band(EYE * FOCAL / FEET)


def _strips(drawing: Drawing) -> Array:
    """Return a drawing's columns at every level, uint8 [columns, LEVELS, ROWS]."""
    number = palette.letters(drawing.materials)
    lines = drawing.art.split()
    shadow = lines[-1].strip(".").strip("s") == "" and len(lines) > 1
    feet = len(lines) - shadow  # The last line lies on the ground, in front of the feet.
    # The first and the last line say nothing; one without letters is what lies above and below.
    texels = np.zeros((len(lines[0]), feet + 2), dtype=np.uint8)
    for i, line in enumerate(lines):
        texels[:, i] = [number[letter] for letter in line]
    row = np.arange(ROWS) + 0.5 - HORIZON
    up = EYE - row * EYE / FEET[:, None]  # Metres above the ground, [LEVELS, ROWS].
    line_of = np.floor((drawing.height - up) * (feet / drawing.height)).astype(np.int64)
    outside = (line_of < 0) | (line_of >= feet)
    line_of[outside] = feet + 1
    if shadow:
        line_of[(up < 0) & (up > -0.12)] = feet
    return texels[:, line_of]


def _compile() -> tuple[Array, Array, Array, Array]:
    """Return STRIPS, and for each thing and face FIRST, COLUMNS and WIDTH (see below)."""
    known: dict[tuple[str, float], tuple[int, int]] = {}
    strips: list[Array] = []
    first = np.zeros((len(THINGS), 4), dtype=np.int64)
    columns = np.ones((len(THINGS), 4), dtype=np.int64)
    width = np.zeros((len(THINGS), 4), dtype=np.float32)
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
            width[t, f] = drawing.column
    return np.concatenate(strips), first, columns, width


STRIPS, FIRST, COLUMNS, COLUMN_WIDTH = _compile()
