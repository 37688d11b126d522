"""Show what the scaling of frames loses: some frames before and after, and steps that vanish."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sims.contract import Array

SHOWN = 10  # frames
WIDTH = 160  # pixels of each in the sheet
SEEN = 64  # levels of 255 by which a pixel must change to be seen in the whole frame
KEPT = 8  # and in the frame that is learned


class Sheet:
    """Pairs of frames, evenly spread over what was seen; and how many changes the scaling loses.

    A change is lost where some pixel of the whole frame changes by at least 64 of 255 levels, and
    none of the scaled frame by 8.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[Array, Array]] = []
        self.every, self.seen = 1, 0
        self.before: tuple[Array, Array] | None = None
        self.changes = self.vanished = 0

    def see(self, whole: Array, small: Array, first: bool) -> None:
        """Add the frame of a step, before and after scaling; `first` begins a game."""
        if self.before and not first and _moved(whole, self.before[0]) >= SEEN:
            self.changes += 1
            self.vanished += _moved(small, self.before[1]) < KEPT
        self.before = whole.copy(), small.copy()
        if self.seen % self.every == 0:
            self.pairs.append(self.before)
            if len(self.pairs) == 2 * SHOWN:
                self.pairs, self.every = self.pairs[::2], 2 * self.every
        self.seen += 1

    @property
    def lost(self) -> float:
        """The share of the changes that the scaled frames do not show."""
        return self.vanished / self.changes if self.changes else 0.0

    def write(self, file: Path) -> None:
        """Write the sheet as a picture: whole frames above, those that are learned below."""
        from PIL import Image

        pairs = self.pairs[:: max(1, len(self.pairs) // SHOWN)][:SHOWN]
        rows = []
        for which in range(2):
            height, width = pairs[0][which].shape[:2]
            size = WIDTH, max(1, round(WIDTH * height / width))
            rows.append([Image.fromarray(pair[which]).resize(size, Image.Resampling.NEAREST)
                         for pair in pairs])  # fmt: skip
        heights = [row[0].height for row in rows]
        sheet = Image.new("RGB", ((WIDTH + 4) * len(pairs), sum(heights) + 4), (128, 128, 128))
        for top, row in zip((0, heights[0] + 4), rows, strict=True):
            for i, picture in enumerate(row):
                sheet.paste(picture, ((WIDTH + 4) * i, top))
        sheet.save(file)


def _moved(frame: Array, before: Array) -> int:
    return int(np.abs(frame.astype(np.int16) - before.astype(np.int16)).max())
