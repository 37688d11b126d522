"""Lay out the pictures of several cameras as one, as `arrange` of views/cameras.js does.

Cameras stand from left to right by their direction. The one that looks ahead is half as large
again; in a narrow layout it stands above the others. Cameras that all look in the same direction,
as plain screens do, stand in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sims.contract import Array

GAP = 2  # Pixels between cameras.
NIGHT = (0x0C, 0x0E, 0x1C)  # The stage's own.

Cameras = Sequence[dict[str, Any]]  # The cameras of a spec, as JSON values.


def front(cameras: Cameras) -> int:
    """Return the index of the camera that looks ahead."""
    return min(range(len(cameras)), key=lambda i: abs(cameras[i]["yaw"]))


def places(cameras: Cameras) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Return (width, height) of the whole and each camera's (x, y, scale), in pixels."""
    around = any(c["yaw"] != cameras[0]["yaw"] for c in cameras)
    large, small = (3, 2) if around else (1, 1)
    scales = [large if i == front(cameras) else small for i in range(len(cameras))]
    height = max(scale * c["height"] for scale, c in zip(scales, cameras, strict=True))
    found = {}
    x = 0
    for i in sorted(range(len(cameras)), key=lambda i: -cameras[i]["yaw"]):
        found[i] = (x, (height - scales[i] * cameras[i]["height"]) // 2, scales[i])
        x += scales[i] * cameras[i]["width"] + GAP
    return x - GAP, height, [found[i] for i in range(len(cameras))]


def size(cameras: Cameras, narrow: bool = False) -> tuple[int, int]:
    """Return (width, height) of the whole, in pixels."""
    width, height, found = places(cameras)
    if not narrow or all(scale == 1 for _, _, scale in found):
        return width, height
    ahead = cameras[front(cameras)]
    others = [c for c in cameras if c is not ahead]
    row = sum(c["width"] + GAP for c in others) - GAP
    scale = max(1, row // ahead["width"])
    below = max(c["height"] for c in others)
    return max(row, scale * ahead["width"]), scale * ahead["height"] + GAP + below


def compose(views: Array, cameras: Cameras) -> Array:
    """Return uint8 [cameras, H, W, 3] as one picture, uint8 [height, width, 3].

    Each camera's picture is the top left corner of its plane, of the camera's own size.
    """
    width, height, found = places(cameras)
    out = np.zeros((height, width, 3), np.uint8)
    out[:] = NIGHT
    for view, camera, (x, y, scale) in zip(views, cameras, found, strict=True):
        own = view[: camera["height"], : camera["width"]]
        large = own.repeat(scale, 0).repeat(scale, 1)
        out[y : y + large.shape[0], x : x + large.shape[1]] = large
    return out
