"""Scale frames exactly as Pillow does, in NumPy alone: for a page, whose Python has no Pillow.

The method is that of Pillow's src/libImaging/Resample.c, for a box filter and images of bytes.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array

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

    Raises ValueError if it does neither.
    """
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (*there, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(noise).resize(size[::-1], Image.Resampling.BOX))
    for first in (False, True):
        if np.array_equal(wanted, area(noise, size, first)):
            return first
    raise ValueError(f"Pillow scales {there} to {size} in another way")


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
    weights = _weights(len(frame), size)
    flat = frame.reshape(len(frame), -1).astype(np.int64)
    total = (weights @ flat + (1 << (BITS - 1))) >> BITS
    return total.clip(0, 255).astype(np.uint8).reshape(size, *frame.shape[1:])


def _weights(there: int, size: int) -> Array:
    """Return the weight of each pixel in each new one, int64 [size, there]."""
    scale = there / size
    spread = max(scale, 1.0)
    support = 0.5 * spread
    found = np.zeros((size, there), np.int64)
    for i in range(size):
        centre = (i + 0.5) * scale
        first = max(0, int(centre - support + 0.5))
        last = min(there, int(centre + support + 0.5))
        at = (np.arange(first, last) - centre + 0.5) * (1 / spread)
        within = ((at > -0.5) & (at <= 0.5)).astype(float)
        found[i, first:last] = (within / within.sum() * (1 << BITS) + 0.5).astype(np.int64)
    return found
