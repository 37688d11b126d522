"""The exact colours of a world, found while recording; a number for each pixel's colour."""

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
    """Return uint8 [2**24]: for each colour's number, its place in a palette, uint8 [K, 3]."""
    table = np.zeros(1 << 24, np.uint8)
    table[colour_codes(palette)] = np.arange(len(palette))
    return table


class Colours:
    """Every colour seen, while they are few."""

    def __init__(self) -> None:
        self.seen = np.zeros(1 << 24, np.bool_)
        self.few = True
        self.last = np.zeros(0, np.uint8)

    def see(self, frames: Array) -> None:
        """Add the colours of a batch of frames; only pixels that changed are checked."""
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
            if not self.few:  # A world with so many colours has no palette, so nothing is stored.
                self.seen = self.last = np.zeros(0, np.bool_)

    def palette(self) -> list[list[int]] | None:
        """Return the colours in order, RGB 0..255; None for more than 256 colours."""
        codes = np.flatnonzero(self.seen).tolist()
        colours = sorted([c & 255, c >> 8 & 255, c >> 16] for c in codes)
        return colours if self.few else None
