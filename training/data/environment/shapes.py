"""Whether frames show few shapes and colours, as pixel art and boards do, and at which size."""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from training.data.palette import colour_codes
from training.environment_recipe import SIDE

# Pixels along one side of a square. The largest that suits is taken: a tile of a board, at best.
PATCHES = (16, 12, 10, 8, 6, 5, 4, 3)
COLOURS, SQUARES = 64, 512  # more are not few
LEAST, LARGEST = 8, 128  # pixels of a side
CELLS = 4  # squares along a side, at least
LATE = 0.1  # share of the squares that may be new in the later half of the frames
FEWEST = 50  # frames that tell


class Shapes:
    """Count the colours, and the squares of pixels, that frames show.

    Of a large frame every n-th pixel counts: scaled so, pixel art keeps its colours.
    """

    def __init__(self) -> None:
        self.every = 0
        self.size = (0, 0)
        self.colours: set[int] = set()
        # By the size of the squares: of each square, the frame in which it was met first.
        self.met: dict[int, dict[int, int]] = {}
        self.frames = 0

    def see(self, whole: Array) -> None:
        """Look at a frame, uint8 [H, W, 3]."""
        if not self.frames:
            self._settle(*whole.shape[:2])
        self.frames += 1
        if not self.met or len(self.colours) > COLOURS:
            return
        start = self.every // 2
        codes = colour_codes(whole[start :: self.every, start :: self.every])
        self.colours.update(np.unique(codes).tolist())
        for patch, met in self.met.items():
            if len(met) <= SQUARES:
                for square in _squares(codes, patch):
                    met.setdefault(square, self.frames)

    def _settle(self, height: int, width: int) -> None:
        """Choose n, and squares that divide what is left: at most `SIDE` pixels, or a few more."""
        larger = max(height, width)
        usual = max(1, -(-larger // SIDE))
        for every in (*range(usual, min(height, width) // LEAST + 1), *range(usual - 1, 0, -1)):
            sides = height // every, width // every
            if height % every or width % every or max(sides) > LARGEST:
                continue
            fit = [p for p in PATCHES if not any(side % p or side < CELLS * p for side in sides)]
            if fit:
                self.every, self.size = every, sides
                self.met = {patch: {} for patch in fit}
                return

    @property
    def found(self) -> dict[str, int] | None:
        """Return `height`, `width` and `patch` at which shapes are few; None if they are not."""
        if self.frames < FEWEST or len(self.colours) > COLOURS:
            return None
        for patch, met in self.met.items():
            late = sum(frame > self.frames / 2 for frame in met.values())
            if len(met) <= SQUARES and late <= LATE * len(met):
                return {"height": self.size[0], "width": self.size[1], "patch": patch}
        return None


def _squares(codes: Array, patch: int) -> list[int]:
    """Return a hash of each different square, codes uint32 [H, W]."""
    rows, columns = codes.shape[0] // patch, codes.shape[1] // patch
    squares = codes.reshape(rows, patch, columns, patch).swapaxes(1, 2).reshape(-1, patch**2)
    factors = np.random.default_rng(0).integers(1, 2**63, patch**2, np.uint64) * 2 + 1
    hashes = ((squares + np.uint64(1)) * factors).sum(1)
    return [int(one) for one in np.unique(hashes)]
