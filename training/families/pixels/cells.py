"""Frames as cells: a square of pixels is one of a list of contents that recordings show."""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.contract import Array
from sims.errors import UserError

ROWS = 2048  # frames that are read at a time
MOST = 65_536  # different contents


def cells_of(frames: Array, patch: int) -> Array:
    """Cut palette indices uint8 [N, cams, H, W] into cells, [N, cells, patch * patch].

    The cameras lie one below the other; cells follow row by row.
    """
    n, cameras, height, width = frames.shape
    rows, columns = cameras * height // patch, width // patch
    split = frames.reshape(n, rows, patch, columns, patch).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(split).reshape(n, rows * columns, patch * patch)


class Contents:
    """The different contents of cells, numbered in the order in which they are met.

    `told`, uint8 [V, patch * patch], are the contents.
    """

    def __init__(self, patch: int) -> None:
        self.patch = patch
        rng = np.random.default_rng(0)
        # Odd numbers: no colour of no pixel is lost in a sum modulo 2 ** 64.
        self.factors = rng.integers(1, 2**63, patch * patch, dtype=np.uint64) * 2 + 1
        self.told = np.zeros((0, patch * patch), np.uint8)
        self.hashes, self.order = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def number(self, frames: Any, most: int = MOST) -> Array:
        """Return the number of each cell's content, uint16 [N, cells]; new contents are added.

        Raises UserError where there are more than `most`.
        """
        found = [self._some(frames[k : k + ROWS], most) for k in range(0, len(frames), ROWS)]
        return np.concatenate(found)

    def _some(self, frames: Array, most: int) -> Array:
        cells = cells_of(np.asarray(frames), self.patch)
        hashes = np.zeros(cells.shape[:2], np.uint64)
        for k, factor in enumerate(self.factors):
            hashes += (cells[:, :, k].astype(np.uint64) + 1) * factor
        if len(new := np.setdiff1d(hashes, self.hashes)):
            flat = hashes.reshape(-1)
            order = np.argsort(flat, kind="stable")
            first = order[np.searchsorted(flat[order], new)]
            self.told = np.concatenate([self.told, cells.reshape(len(flat), -1)[first]])
            if len(self.told) > most:
                raise UserError(
                    f"family 'pixels': the frames show more than {most} different squares of "
                    f"{self.patch}x{self.patch} pixels, and it draws worlds of few shapes and "
                    "colours; the family 'latent' learns shaded frames"
                )
            known = np.concatenate([self.hashes, new])
            numbers = np.concatenate([self.order, np.arange(len(self.order), len(known))])
            sort = np.argsort(known)
            self.hashes, self.order = known[sort], numbers[sort]
        return self.order[np.searchsorted(self.hashes, hashes)].astype(np.uint16)


def written(contents: Array) -> tuple[str, ...]:
    """Write contents uint8 [K, P] as text, two hexadecimal digits a pixel."""
    return tuple(bytes(one).hex() for one in contents.astype(np.uint8))


def read(texts: tuple[str, ...]) -> Array:
    """Undo `written`."""
    return np.array([list(bytes.fromhex(one)) for one in texts], np.uint8)
