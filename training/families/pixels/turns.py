"""The turns in which cells are drawn: which cells, and how to take a grid apart for them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Cells are drawn in three turns, by whether their row and column are odd. Those of a turn touch at
# a corner at most, and then cells of earlier turns are between them.
TURNS = (((0, 0),), ((1, 1),), ((0, 1), (1, 0)))


def paired(grid: Tensor) -> Tensor:
    """Add a row or a column of zeros where their number is odd, [B, C, rows, columns]."""
    return F.pad(grid, (0, grid.shape[3] % 2, 0, grid.shape[2] % 2))


def interleaved(parts: dict[tuple[int, int], Tensor], rest: Tensor) -> Tensor:
    """Put together [B, C, rows, columns] from its even and odd rows and columns.

    `parts` [B, C, rows / 2, columns / 2] by (first row, first column); `rest` is used for missing
    ones.
    """
    four = [parts.get(place, rest) for place in ((0, 0), (0, 1), (1, 0), (1, 1))]
    b, c, rows, columns = four[0].shape
    both = torch.stack(four, 2).view(b, c, 2, 2, rows, columns).permute(0, 1, 4, 2, 5, 3)
    return both.reshape(b, c, 2 * rows, 2 * columns)
