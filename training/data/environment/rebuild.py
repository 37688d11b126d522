"""Rebuild what an environment observes from what a model says: for a policy that plays in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sims.contract import Array
from training.data.environment.observations import is_picture, parts
from training.environment_recipe import Gym

# What a model says of one game: "frame" [1, H, W, 4], "sensors" [S] -> an observation
Rebuild = Callable[[Mapping[str, Array]], Any]


def rebuild(
    space: spaces.Space[Any], gym: Gym, spec: Mapping[str, Any], observed: tuple[str, ...]
) -> Rebuild | None:
    """Return how to rebuild an observation of `space`; None if the model doesn't say all of it.

    It does where each part is numbers that it predicts, or the picture that it draws, neither
    cropped nor scaled. `observed` names what the model says, `spec` is that of its world.
    """
    camera = spec["cameras"][0]
    drawn = (camera["height"], camera["width"])
    columns: dict[str, slice] = {}
    stop = 0
    for sensor in spec["sensors"] if "sensors" in observed else []:
        start, stop = stop, stop + math.prod(sensor["shape"])
        columns[sensor["name"]] = slice(start, stop)
    numbers = {part.path: part.names for part in parts(space, gym.names)[0]}

    def leaf(one: spaces.Space[Any], path: tuple[Any, ...]) -> Rebuild | None:
        if is_picture(one):
            name = "_".join(map(str, path)) or "observation"
            if gym.frames != name or gym.crop or (one.shape or ())[:2] != drawn:
                return None
            gray = (one.shape or ())[2:] != (3,)
            return lambda said: _picture(said["frame"][0], one, gray)
        names = numbers.get(path, ())
        if not names or any(name not in columns for name in names):
            return None
        return lambda said: _numbers(
            np.concatenate([said["sensors"][columns[name]] for name in names]), one
        )

    def part(one: spaces.Space[Any], path: tuple[Any, ...]) -> Rebuild | None:
        if isinstance(one, spaces.Dict):
            inner = {key: part(each, (*path, key)) for key, each in one.spaces.items()}
            known = {key: read for key, read in inner.items() if read}
            whole = len(known) == len(inner)
            return (lambda said: {k: read(said) for k, read in known.items()}) if whole else None
        if isinstance(one, spaces.Tuple):
            some = [part(each, (*path, i)) for i, each in enumerate(one.spaces)]
            kept = [read for read in some if read]
            whole = len(kept) == len(some)
            return (lambda said: tuple(read(said) for read in kept)) if whole else None
        return leaf(one, path)

    return part(space, ())


def _picture(frame: Array, space: spaces.Space[Any], gray: bool) -> Array:
    """Return a picture as it is observed; a gray one has the same value in all channels."""
    shown = frame[..., :1] if gray else frame[..., :3]
    return np.ascontiguousarray(shown).reshape(space.shape or ())


def _numbers(values: Array, space: spaces.Space[Any]) -> Any:
    """Return predicted numbers as an observation of `space`: whole ones where it has those."""
    if isinstance(space, spaces.Discrete):
        return int(np.clip(round(float(values[0])), space.start, space.start + space.n - 1))
    kind = np.dtype(space.dtype)
    shaped = values.reshape(space.shape or ())
    return (shaped.round() if kind.kind in "iu" else shaped).astype(kind)
