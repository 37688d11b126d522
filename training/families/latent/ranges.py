"""Range images: sensors of two dimensions, such as a LiDAR's, as cells of the model's grid.

A `scan` has a mask for rays that do not come back: their value is 0. The values of a `field` are
always there. A range image of R rows and K columns is cut into `rows` rows of cells, each `size`
(rows, columns) of values large; what is missing at its end is padded.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

WIDE = 16  # most cells of a range image along its columns
HITS = 4.0  # how sure, at first, that a ray that came back comes back again (log odds)
TAPS = 3  # columns from which a value may come in a step: the one before, its own, the next
STILL = 5.0  # how sure, at first, that it comes from its own (log odds)


def scaled(
    value: Tensor, kind: str, shape: tuple[int, ...], low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Return a range image in parts of its range, 0..1, and what came back, [B, R, K] each."""
    flat = value.reshape(len(value), -1, shape[-1])
    if kind == "field":
        return (flat - low) / (high - low), torch.ones_like(flat)
    return flat / high, (flat > 0).float()


def kept(hit: Tensor, there: Tensor) -> Tensor:
    """Return how far each ray is known to come back, 0..1, where that agrees with what is shown.

    A thing that moves by less than a column in a step would never get on, were this not carried.
    """
    return torch.where((there > 0.5) == (hit > 0.5), there, hit)


def moved(value: Tensor, there: Tensor, odds: Tensor) -> tuple[Tensor, Tensor]:
    """Move a range image along its columns, each value on its own, and how far it is there.

    `odds` [B, TAPS, R, K] are log odds of the column from which each value comes.
    """
    first = odds.new_zeros(1, TAPS, 1, 1)
    first[:, TAPS // 2] = STILL
    kernel, columns = torch.softmax(odds + first, 1), value.shape[-1]
    weighed = F.pad(torch.stack([value * there, there], 1), (1, 1, 0, 0), mode="replicate")
    total = torch.zeros_like(weighed[..., :columns])
    for k in range(TAPS):
        total = total + weighed[..., k : k + columns] * kernel[:, k, None]
    return total[:, 0] / total[:, 1].clamp_min(1e-3), total[:, 1]


def corrected(
    value: Tensor, hit: Tensor, more: Tensor, kind: str, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Return the next range image in its unit, and the log odds that each ray comes back.

    `value` and `hit` (0..1) are the last one; `more` [B, 2, R, K] is what is learned of both.
    """
    after = (value + more[:, 0]).clamp(0, 1)
    odds = HITS * (2 * hit - 1) + more[:, 1]
    if kind == "field":
        return low + (high - low) * after, odds
    return high * after * (odds > 0), odds


def cells(shape: tuple[int, ...], rows: int) -> tuple[int, int]:
    """Return the rows and columns of values in a cell of a range image."""
    return -(-math.prod(shape) // shape[-1] // rows), -(-shape[-1] // WIDE)


def wide(shape: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return the columns of cells of a range image."""
    return -(-shape[-1] // size[1])


def pack(planes: Tensor, size: tuple[int, int], rows: int) -> Tensor:
    """Gather the values of each cell: [B, 2, R, K] -> [B, 2 * values, rows, columns]."""
    b, k, r, w = planes.shape
    high, across = size
    columns = -(-w // across)
    padded = F.pad(planes, (0, columns * across - w, 0, rows * high - r))
    parts = padded.reshape(b, k, rows, high, columns, across).permute(0, 1, 3, 5, 2, 4)
    return parts.reshape(b, k * high * across, rows, columns)


def unpack(packed: Tensor, size: tuple[int, int], shape: tuple[int, ...]) -> Tensor:
    """Undo `pack`, for a range image of `shape`."""
    high, across = size
    b, _, rows, columns = packed.shape
    planes = packed.reshape(b, -1, high, across, rows, columns).permute(0, 1, 4, 2, 5, 3)
    planes = planes.reshape(b, planes.shape[1], rows * high, columns * across)
    return planes[:, :, : math.prod(shape) // shape[-1], : shape[-1]]
