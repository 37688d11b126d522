"""Units: pixels that show a colour together or not at all, such as a brick's.

If each pixel is decided alone, a thing can be torn: half of a brick disappears, half of it stays.
This never happens in the data, so such pixels are found there, and the model makes one decision for
them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# A colour, then the pixels that show it, counted over cameras, rows and columns.
Unit = tuple[int, ...]
FRAMES = 20_000  # the most frames to look at
SEEN = 30  # least frames with and without a unit: otherwise it may be one by chance


class Units(nn.Module):
    """The units of frames [cameras, height, width] in cells of `patch` x `patch` pixels."""

    inside: Tensor
    members: Tensor
    share: Tensor
    unit: Tensor
    colour: Tensor
    back: Tensor
    shows: Tensor

    def __init__(
        self, units: tuple[Unit, ...], colours: int, shape: tuple[int, int, int], patch: int
    ) -> None:
        super().__init__()
        self.colours, self.count = colours, len(units)
        cameras, height, width = shape
        order = np.arange(cameras * height * width)
        order = order.reshape(cameras, height // patch, patch, width // patch, patch)
        packed = np.empty_like(order.ravel())  # a pixel's place among the packed ones
        packed[order.transpose(0, 2, 4, 1, 3).ravel()] = np.arange(order.size)
        sizes = [len(unit) - 1 for unit in units]
        pixels = packed[[pixel for unit in units for pixel in unit[1:]]] if units else packed[:0]
        owner = np.repeat(np.arange(len(units)), sizes)
        members = np.full((len(units), max(sizes, default=0)), len(pixels))  # the last: none
        for row, first, size in zip(members, np.cumsum([0, *sizes]), sizes, strict=False):
            row[:size] = np.arange(first, first + size)
        colour = np.array([unit[0] for unit in units], np.int64)[owner]
        shows = np.zeros((colours, order.size), np.float32)
        shows[colour, pixels] = 1
        back = np.full(order.size, len(pixels))
        back[pixels] = np.arange(len(pixels))
        for name, value in (
            ("inside", pixels), ("members", members), ("unit", owner), ("back", back),
            ("colour", colour), ("share", 1 / np.array(sizes, np.float32)), ("shows", shows),
        ):  # fmt: skip
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Let pixels decide together: packed logits [B, K * P, gh, gw], and the same returned.

        The lead of a unit's colour over the next one is averaged over its pixels.
        """
        if not self.count:
            return logits
        planes = logits.reshape(len(logits), self.colours, -1)
        mine = planes[:, :, self.inside]
        shows = self.shows[:, self.inside]
        own = (mine * shows).sum(1)
        lead = own - (mine - 1e4 * shows).amax(1)
        none = torch.zeros_like(lead[:, :1])
        agreed = torch.cat([lead, none], 1)[:, self.members].sum(2) * self.share
        raised = torch.cat([agreed[:, self.unit] - lead, none], 1)[:, self.back]
        return (planes + self.shows * raised[:, None]).reshape(logits.shape)


def find_units(frames: NDArray[np.uint8], colours: int) -> tuple[Unit, ...]:
    """Find the units in frames of palette indices [T, cameras, H, W].

    Two pixels belong together if they show a colour in the same frames. If a pixel could belong to
    two units, it belongs to the larger one.
    """
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers(0, len(frames), FRAMES)) if len(frames) else np.zeros(0, int)
    mark = rng.integers(1, 1 << 31, len(rows)).astype(np.float64)  # their sums are exact
    size = int(np.prod(frames.shape[1:]))
    marks, seen = np.zeros((colours, size)), np.zeros((colours, size))
    for first in range(0, len(rows), 1000):
        part = slice(first, first + 1000)
        some = frames[rows[part]].reshape(-1, size)
        for colour in range(colours):
            shown = (some == colour).astype(np.float64)
            marks[colour] += mark[part] @ shown
            seen[colour] += shown.sum(0)
    found: list[Unit] = []
    for colour in range(colours):
        at = np.flatnonzero((seen[colour] >= SEEN) & (len(rows) - seen[colour] >= SEEN))
        _, group = np.unique(marks[colour, at], return_inverse=True)
        several = np.flatnonzero(np.bincount(group) > 1)
        found += [(colour, *at[group == one].tolist()) for one in several]
    taken: set[int] = set()
    units = []
    for unit in sorted(found, key=len, reverse=True):
        if taken.isdisjoint(unit[1:]):
            taken.update(unit[1:])
            units.append(unit)
    return tuple(units)
