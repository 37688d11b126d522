"""Lay out the pictures of several cameras as one, as `arrange` of the player's draw.js does.

From left to right as they look, the one that looks ahead half as large again; where it is narrow,
that one over the others. Cameras that all look the same way, as plain screens do, stand in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sims.contract import Array

GAP = 2  # Pixels between cameras.

Cameras = Sequence[dict[str, Any]]  # A spec's, as JSON values.


def front(cameras: Cameras) -> int:
    """Return which camera looks ahead."""
    return min(range(len(cameras)), key=lambda i: abs(cameras[i]["yaw"]))


def places(cameras: Cameras) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Return (width, height) of the whole and each camera's (x, y, scale), in pixels."""
    height, width = cameras[0]["height"], cameras[0]["width"]
    around = any(c["yaw"] != cameras[0]["yaw"] for c in cameras)
    large, small = (3, 2) if around else (1, 1)
    found = {}
    x = 0
    for i in sorted(range(len(cameras)), key=lambda i: -cameras[i]["yaw"]):
        scale = large if i == front(cameras) else small
        found[i] = (x, (large - scale) * height // 2, scale)
        x += scale * width + GAP
    return x - GAP, large * height, [found[i] for i in range(len(cameras))]


def size(cameras: Cameras, narrow: bool = False) -> tuple[int, int]:
    """Return (width, height) of the whole, in pixels."""
    width, height, found = places(cameras)
    if not narrow or all(scale == 1 for _, _, scale in found):
        return width, height
    edge = cameras[0]["width"]
    others = (len(cameras) - 1) * (edge + GAP) - GAP
    return others, (max(1, others // edge) + 1) * cameras[0]["height"] + GAP


def compose(views: Array, cameras: Cameras) -> Array:
    """Return uint8 [cameras, H, W, 3] as one picture, uint8 [height, width, 3]."""
    width, height, found = places(cameras)
    out = np.zeros((height, width, 3), np.uint8)
    out[:] = (0x0C, 0x0E, 0x1C)  # The stage's own night.
    for view, (x, y, scale) in zip(views, found, strict=True):
        large = view.repeat(scale, 0).repeat(scale, 1)
        out[y : y + large.shape[0], x : x + large.shape[1]] = large
    return out
