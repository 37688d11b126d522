"""Scale frames exactly as Pillow does, in NumPy alone: for a page, whose Python has no Pillow.

The method is that of Pillow's src/libImaging/Resample.c, for a box filter and images of bytes.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from sims.contract import Array
from sims.errors import UserError

BITS = 22  # of the weights, which are whole numbers


def area(frame: Array, size: tuple[int, int], rows_first: bool) -> Array:
    """Return a frame [H, W, C] at a size (height, width): each pixel the mean of what it covers.

    Pillow scales the rows first or the columns, as it finds it faster; in between, it rounds.
    """
    if rows_first:
        return np.ascontiguousarray(_columns(_along(frame, size[0]), size[1]))
    return np.ascontiguousarray(_along(_columns(frame, size[1]), size[0]))


def rows_first(there: tuple[int, int], size: tuple[int, int]) -> bool:
    """Return whether Pillow, which must be installed, scales rows before columns: (height, width).

    Raises UserError if it does neither.
    """
    from PIL import Image, __version__

    noise = np.random.default_rng(0).integers(0, 256, (*there, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(noise).resize(size[::-1], Image.Resampling.BOX))
    for first in (False, True):
        if np.array_equal(wanted, area(noise, size, first)):
            return first
    raise UserError(
        f"frames: Pillow {__version__} scales {there} to {size} in a way that a page can't repeat. "
        "Run: pip install pillow==13.0.0, then the same command again"
    )


def nearest(frame: Array, size: tuple[int, int]) -> Array:
    """Return a frame [H, W, C] at a size (height, width): each pixel one of those it covers."""
    rows, columns = map(_places, frame.shape[:2], size)
    return np.ascontiguousarray(frame[rows[:, None], columns])


def _places(there: int, size: int) -> Array:
    """Return the pixel that each new one is, along one axis: added up as Pillow adds it up."""
    steps = np.full(size, there / size)
    steps[0] *= 0.5
    return np.add.accumulate(steps).astype(np.int64).clip(0, there - 1)


def _columns(frame: Array, size: int) -> Array:
    return _along(frame.swapaxes(0, 1), size).swapaxes(0, 1)


def _along(frame: Array, size: int) -> Array:
    """Scale the first axis of a frame."""
    if len(frame) == size:
        return frame
    places, weights = _taps(len(frame), size)
    flat = frame.reshape(len(frame), -1)
    total = np.full((size, flat.shape[1]), 1 << (BITS - 1), np.int64)
    for place, weight in zip(places, weights, strict=True):
        total += flat[place] * weight[:, None]
    total >>= BITS
    return total.clip(0, 255).astype(np.uint8).reshape(size, *frame.shape[1:])


@functools.cache
def _taps(there: int, size: int) -> tuple[Array, Array]:
    """Return which pixels each new one is made of, and their weights: int64 [taps, size]."""
    scale = there / size
    spread = max(scale, 1.0)
    support = 0.5 * spread
    count = math.ceil(support) * 2 + 1
    places, weights = (np.zeros((count, size), np.int64) for _ in range(2))
    for i in range(size):
        centre = (i + 0.5) * scale
        first = max(0, int(centre - support + 0.5))
        last = min(there, int(centre + support + 0.5))
        at = (np.arange(first, last) - centre + 0.5) * (1 / spread)
        within = ((at > -0.5) & (at <= 0.5)).astype(float)
        taps = slice(0, last - first)
        places[taps, i] = np.arange(first, last)
        weights[taps, i] = (within / within.sum() * (1 << BITS) + 0.5).astype(np.int64)
    return places, weights
