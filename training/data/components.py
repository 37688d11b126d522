"""Name what a world shows: its observations, and the single values of `observation.state`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["image", "vector", "scan", "field", "path"]


@dataclass(frozen=True)
class Observation:
    """One observation of a world: a camera's picture, or a sensor.

    A `scan` is a range image in which 0 means that nothing came back; a `field` is any other array
    of several dimensions; a `path` is points [n, 2].
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    unit: str
    low: float
    high: float


def observations(spec: Mapping[str, Any]) -> list[Observation]:
    """Return the observations of a spec (as JSON values): its cameras, then its sensors."""
    found = [
        Observation(c["name"], "image", (c["height"], c["width"], 3), "", 0.0, 255.0)
        for c in spec["cameras"]
    ]
    return found + [
        Observation(s["name"], _kind(s), tuple(s["shape"]), s["unit"], s["low"], s["high"])
        for s in spec["sensors"]
    ]


def _kind(sensor: Mapping[str, Any]) -> Kind:
    if in_state(sensor["shape"]):
        return "vector"
    return {"scan": "scan", "path": "path"}.get(sensor["show"], "field")  # type: ignore[return-value]


def state_names(sensors: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name each component of `observation.state`: the sensors `in_state` of a spec, as JSON."""
    names = []
    for sensor in sensors:
        if in_state(sensor["shape"]):
            name, size = sensor["name"], math.prod(sensor["shape"])
            names += [name] if size == 1 else [f"{name}.{i}" for i in range(size)]
    return names


def in_state(shape: Sequence[int]) -> bool:
    """Return whether a sensor of this shape is part of `observation.state`, or only a column."""
    return len(shape) <= 1
