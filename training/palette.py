"""The exact colours of a world: found while recording, and each pixel named by its colour."""

from __future__ import annotations

import numpy as np

from sims.contract import Array

MOST_COLOURS = 256


def colour_codes(frames: Array) -> Array:
    """Number each pixel's colour: uint8 [..., 3] -> uint32 [...], red + 256 green + 65536 blue."""
    codes: Array = frames[..., 2].astype(np.uint32)
    for channel in (1, 0):
        codes <<= 8
        codes |= frames[..., channel]
    return codes


def index_by_code(palette: Array) -> Array:
    """Return uint8 [2**24]: the place in a palette, uint8 [K, 3], of each colour's number."""
    table = np.zeros(1 << 24, np.uint8)
    table[colour_codes(palette)] = np.arange(len(palette))
    return table


class Colours:
    """Every colour seen, as long as they are few."""

    def __init__(self) -> None:
        self.seen = np.zeros(1 << 24, np.bool_)
        self.few = True
        self.last = np.zeros(0, np.uint8)

    def see(self, frames: Array) -> None:
        """Note the colours of a batch of frames; only pixels that changed need a look."""
        if not self.few:
            return
        values = frames.reshape(-1)
        pixels = frames.reshape(-1, 3)
        if self.last.shape == values.shape:
            changed = np.flatnonzero(values != self.last)
            if len(changed) < len(pixels) // 4:
                pixels = pixels[changed // 3]
            np.copyto(self.last, values)
        else:
            self.last = values.copy()
        codes = colour_codes(pixels)
        if not self.seen[codes].all():
            self.seen[codes] = True
            self.few = int(self.seen.sum()) <= MOST_COLOURS
            if not self.few:  # Nothing of them is told, so nothing need be held.
                self.seen = self.last = np.zeros(0, np.bool_)

    def palette(self) -> list[list[int]] | None:
        """Return the colours in order, RGB 0..255; None when there are more than 256."""
        codes = np.flatnonzero(self.seen).tolist()
        colours = sorted([c & 255, c >> 8 & 255, c >> 16] for c in codes)
        return colours if self.few else None
