"""Frames of a few exact colours as categories, packed in cells of `patch` x `patch` pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.families.base import WorldModel, nearest


class PackedModel(WorldModel):
    """A world model whose frames are palette indices inside, packed in cells of its grid.

    Frames at the edge are RGBA uint8 [B, cameras, H, W, 4].
    """

    palette: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.colours = len(config.palette)
        rgba = torch.tensor([[*colour, 255] for colour in config.palette], dtype=torch.float32)
        self.register_buffer("palette", rgba)

    def index(self, frames: Tensor) -> Tensor:
        """Return the nearest palette colour of each pixel: uint8 RGBA -> int64 [B, cams, H, W]."""
        return nearest(frames, self.palette)

    def pack(self, index: Tensor) -> Tensor:
        """Gather the pixels of each cell: indices [B, cams, H, W] -> [B, cams*p*p, H/p, W/p]."""
        b, cams, h, w = index.shape
        p = self.config.patch
        patches = index.reshape(b, cams, h // p, p, w // p, p).permute(0, 1, 3, 5, 2, 4)
        return patches.reshape(b, cams * p * p, h // p, w // p)

    def unpack(self, patches: Tensor) -> Tensor:
        """Undo `pack`: [B, cams*p*p, H/p, W/p] -> [B, cams, H, W]."""
        b, _, gh, gw = patches.shape
        p, cams = self.config.patch, self.config.cameras
        pixels = patches.reshape(b, cams, p, p, gh, gw).permute(0, 1, 4, 2, 5, 3)
        return pixels.reshape(b, cams, gh * p, gw * p)

    def one_hot(self, patches: Tensor) -> Tensor:
        """Turn packed indices into planes: [B, P, H/p, W/p] -> float [B, K * P, H/p, W/p]."""
        colours = torch.arange(self.colours, device=patches.device, dtype=patches.dtype)
        return (patches[:, None] == colours.view(1, -1, 1, 1, 1)).float().flatten(1, 2)

    def choose(self, logits: Tensor) -> Tensor:
        """Choose each pixel's likeliest colour: [B, K * P, H/p, W/p] -> int64 [B, P, H/p, W/p]."""
        planes = logits.unflatten(1, (self.colours, -1))  # type: ignore[no-untyped-call]
        best = planes[:, 0]
        pick = torch.zeros_like(best, dtype=torch.int64)
        for k in range(1, self.colours):  # On a CPU this is five times faster than argmax.
            pick = torch.where(planes[:, k] > best, k, pick)
            best = torch.maximum(best, planes[:, k])
        return pick

    def paint(self, index: Tensor) -> Tensor:
        """Paint palette indices [B, cams, H, W] as RGBA uint8 [B, cams, H, W, 4]."""
        return self.palette[index].to(torch.uint8)
