"""Gymnasium spaces as JSON values, so that a dataset says what its environment observes and takes.

Bounds are left out: a policy that plays in a model needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces


def to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return a space as JSON values; its kind alone, for text, graphs and the like."""
    told: dict[str, Any] = {"kind": type(space).__name__}
    if isinstance(space, spaces.Dict):
        told["parts"] = {name: to_json(one) for name, one in space.spaces.items()}
    elif isinstance(space, spaces.Tuple):
        told["parts"] = [to_json(one) for one in space.spaces]
    elif isinstance(space, spaces.Box):
        told |= {"shape": list(space.shape), "dtype": np.dtype(space.dtype).name}
    elif isinstance(space, spaces.Discrete):
        told |= {"n": int(space.n), "start": int(space.start)}
    elif isinstance(space, spaces.MultiDiscrete):
        told |= {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
    elif isinstance(space, spaces.MultiBinary):
        told["shape"] = list(space.shape)
    return told


def from_json(told: Mapping[str, Any]) -> spaces.Space[Any]:
    """Undo `to_json`; a Box has no bounds then, and other kinds are texts."""
    kind = told["kind"]
    if kind == "Dict":
        return spaces.Dict({name: from_json(one) for name, one in told["parts"].items()})
    if kind == "Tuple":
        return spaces.Tuple([from_json(one) for one in told["parts"]])
    if kind == "Box":
        dtype = np.dtype(told["dtype"])
        span = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        return spaces.Box(span.min, span.max, tuple(told["shape"]), dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(told["n"], start=told["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(told["nvec"]), start=np.array(told["start"]))
    if kind == "MultiBinary":
        return spaces.MultiBinary(told["shape"])
    return spaces.Text(1)
