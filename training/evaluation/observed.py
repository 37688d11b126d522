"""Compare every observation that a player predicts with the true one, each in its own unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sims.detector import Label
from training.data.components import Observation
from training.likeness import likeness

Array = NDArray[Any]
LUMA = (0.299, 0.587, 0.114)


def labels(observations: Sequence[Observation]) -> dict[str, Label]:
    """Return the label, unit and better side of each figure of `figures`, by its key."""
    found: dict[str, Label] = {}
    for o in observations:
        if o.kind == "image":
            found[f"{o.name}.psnr"] = (f"{o.name}: PSNR", "dB", "high")
            found[f"{o.name}.ssim"] = (f"{o.name}: structural similarity", "", "high")
        elif o.kind == "scan":
            found[f"{o.name}.error"] = (f"{o.name}: error where it hits", o.unit, "low")
            found[f"{o.name}.hits"] = (f"{o.name}: hit or miss right", "%", "high")
        else:
            found[f"{o.name}.error"] = (f"{o.name}: error", o.unit, "low")
            found[f"{o.name}.range"] = (f"{o.name}: error, of its range", "%", "low")
    return found


def figures(
    observations: Sequence[Observation], true: Mapping[str, Array], mine: Mapping[str, Array]
) -> dict[str, Array]:
    """Return float64 [N, T] by the keys of `labels`, for what `mine` holds.

    Both hold "frame" [N, T, cameras, H, W, >= 3], "sensors" [N, T, S], and large sensors by name.
    """
    found: dict[str, Array] = {}
    camera = place = 0
    for o in observations:
        if o.kind == "image":
            height, width, _ = o.shape
            a, b = (side["frame"][:, :, camera, :height, :width, :3] for side in (true, mine))
            camera += 1
            found |= {f"{o.name}.psnr": psnr(a, b), f"{o.name}.ssim": ssim(a, b)}
            continue
        if o.kind == "vector":
            size = int(np.prod(o.shape))
            name, part = "sensors", slice(place, place + size)
            place += size
        else:
            name, part = o.name, slice(None)
        if name not in mine:
            continue
        a, b = (side[name].astype(np.float64) for side in (true, mine))
        a, b = (side[:, :, part] if o.kind == "vector" else side for side in (a, b))
        axes = tuple(range(2, a.ndim))
        if o.kind == "scan":
            both = (a > 0) & (b > 0)
            count = both.sum(axes)
            off = (np.abs(a - b) * both).sum(axes)
            found[f"{o.name}.error"] = np.where(count > 0, off / np.maximum(count, 1), np.nan)
            found[f"{o.name}.hits"] = ((a > 0) == (b > 0)).mean(axes)
        else:
            # Points: how far each is from its place.
            far = np.linalg.norm(a - b, axis=-1) if o.kind == "path" else np.abs(a - b)
            error = far.mean(tuple(range(2, far.ndim)))
            found[f"{o.name}.error"] = error
            found[f"{o.name}.range"] = error / (o.high - o.low)
    return found


def psnr(true: Array, mine: Array) -> Array:
    """Return the peak signal-to-noise ratio in dB, at most 60, of [N, T, H, W, 3] uint8."""
    error = (true.astype(np.float32) - mine) ** 2
    mse = error.mean((2, 3, 4), dtype=np.float64)
    return np.asarray(np.minimum(60.0, 10 * np.log10(255.0**2 / np.maximum(mse, 1e-9))))


def ssim(true: Array, mine: Array) -> Array:
    """Return the structural similarity of the brightness, at most 1, of [N, T, H, W, 3] uint8."""
    n, t, h, w, _ = true.shape
    light = np.array(LUMA, np.float32)
    x, y = (
        torch.from_numpy((side.astype(np.float32) @ light).reshape(n * t, 1, h, w))
        for side in (true, mine)
    )
    like = likeness(x, y, 255.0)
    return np.asarray(like.mean((1, 2, 3)).reshape(n, t).double().numpy())
