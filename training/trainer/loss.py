"""Parts that losses of several families share: figures for the log, masks, pixel noise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class Tally:
    """Sums of figures with their counts, for the log."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor | float] = {}

    def add(self, name: str, value: Tensor, count: Tensor | float = 1.0) -> None:
        """Add to a figure."""
        self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        self.counts[name] = self.counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        """Return the mean of each figure with a count."""
        pairs = {name: (float(v), float(self.counts[name])) for name, v in self.sums.items()}
        return {name: value / count for name, (value, count) in pairs.items() if count}


def moving(before: Tensor, after: Tensor) -> Tensor:
    """Mark pixels within three of a change: two frames [B, cams, H, W] -> bool, the same shape."""
    changed = (before != after).float()
    wide = F.max_pool2d(changed, (1, 7), stride=1, padding=(0, 3))
    return F.max_pool2d(wide, (7, 1), stride=1, padding=(3, 0)) > 0


def corrupt(patches: Tensor, share: float, colours: int) -> Tensor:
    """Give a random colour to a `share` of pixels in one sample of four: learn to repair."""
    if share <= 0:
        return patches
    hit = torch.rand(len(patches), 1, 1, 1, device=patches.device) < 0.25
    hit = hit & (torch.rand(patches.shape, device=patches.device) < share)
    noise = torch.randint_like(patches, 0, colours)
    return torch.where(hit, noise, patches)
