"""The array that all cameras of a world share: each draws into the top left corner of its plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sims.contract import Array, Camera, Sim, Spec


def size(cameras: Sequence[Camera | Mapping[str, Any]]) -> tuple[int, int, int]:
    """Return (cameras, height, width) for a spec's cameras, or for the same as JSON values."""
    told = [camera if isinstance(camera, Mapping) else vars(camera) for camera in cameras]
    return len(told), max(c["height"] for c in told), max(c["width"] for c in told)


def blank(spec: Spec, worlds: int) -> Array:
    """Return a black canvas uint8 [worlds, cameras, H, W, 3], for `Sim.render`."""
    return np.zeros((worlds, *size(spec.cameras), 3), np.uint8)


def rgba(sim: Sim) -> Array:
    """Render every camera in the form for the graphs, uint8 [N, cameras, H, W, 4]."""
    rgb = blank(sim.spec, sim.worlds)
    sim.render(rgb)
    return np.concatenate([rgb, np.full((*rgb.shape[:-1], 1), 255, np.uint8)], -1)
