"""Whether frames show few shapes and colours, as pixel art and boards do, and at which size."""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from training.data.palette import colour_codes
from training.environment_recipe import SIDE

PATCHES = (4, 5, 3, 6, 8)  # pixels along one side of a square, in the order in which they suit
COLOURS, SQUARES = 64, 512  # more are not few
LEAST, LARGEST = 8, 128  # pixels of a side
LATE = 0.1  # share of the squares that may be new in the later half of the frames
FEWEST = 50  # frames that tell


class Shapes:
    """Count the colours, and the squares of pixels, that frames show.

    Of a large frame every n-th pixel counts: scaled so, pixel art keeps its colours.
    """

    def __init__(self) -> None:
        self.every = self.patch = 0
        self.size: tuple[int, int] | None = None
        self.colours: set[int] = set()
        self.first: dict[int, int] = {}  # of each square, the frame in which it was met
        self.frames = 0

    def see(self, whole: Array) -> None:
        """Look at a frame, uint8 [H, W, 3]."""
        if not self.frames:
            self._settle(*whole.shape[:2])
        self.frames += 1
        if self.size is None or not self._few:
            return
        start = self.every // 2
        codes = colour_codes(whole[start :: self.every, start :: self.every])
        self.colours.update(np.unique(codes).tolist())
        rows, columns = (side // self.patch for side in self.size)
        squares = codes.reshape(rows, self.patch, columns, self.patch).swapaxes(1, 2)
        factors = np.random.default_rng(0).integers(1, 2**63, self.patch**2, np.uint64) * 2 + 1
        hashes = (squares.reshape(-1, self.patch**2) + np.uint64(1)) * factors
        for square in np.unique(hashes.sum(1)).tolist():
            self.first.setdefault(square, self.frames)

    def _settle(self, height: int, width: int) -> None:
        """Choose n, and squares that divide what is left: at most `SIDE` pixels, or a few more."""
        larger = max(height, width)
        usual = max(1, -(-larger // SIDE))
        for every in (*range(usual, min(height, width) // LEAST + 1), *range(usual - 1, 0, -1)):
            sides = height // every, width // every
            if height % every or width % every or max(sides) > LARGEST:
                continue
            for patch in PATCHES:
                if not any(side % patch for side in sides):
                    self.every, self.patch, self.size = every, patch, sides
                    return

    @property
    def _few(self) -> bool:
        return len(self.colours) <= COLOURS and len(self.first) <= SQUARES

    @property
    def found(self) -> dict[str, int] | None:
        """Return `height`, `width` and `patch` at which shapes are few; None if they are not."""
        late = sum(frame > self.frames / 2 for frame in self.first.values())
        if (
            self.size is None
            or self.frames < FEWEST
            or not self._few
            or late > LATE * len(self.first)
        ):
            return None
        return {"height": self.size[0], "width": self.size[1], "patch": self.patch}
