"""What the features of a LeRobotDataset mean here: its cameras, its axes and its sensors."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from sims.contract import Array, Axis, Sensor
from training.data.foreign.frames import LARGEST, View, fitted

MOST = 3 * LARGEST**2  # numbers in one row of a column
WIDEST = 1024  # components of `action` or `observation.state`
GAUGES = 12  # most numbers of the state that each get a gauge
COUNTED = ("timestamp", "frame_index", "episode_index", "index")
GIVEN = (*COUNTED, "task_index", "action", "next.reward", "next.done")
# Columns that begin so are no observations: they tell of the step, or of who recorded it.
NO_SENSOR = ("action", "next.", "complementary_info", "subtask_index")
NUMBERS = re.compile(r"(?:float|u?int)\d+|bool")
# The keys of the first axes, as (decrease, increase), and their sticks.
KEYS = (
    ("ArrowLeft", "ArrowRight"), ("ArrowDown", "ArrowUp"), ("KeyA", "KeyD"), ("KeyS", "KeyW"),
    ("KeyQ", "KeyE"), ("KeyF", "KeyR"), ("KeyJ", "KeyL"), ("KeyK", "KeyI"),
)  # fmt: skip
STICKS = ("axis0", "axis1-", "axis2", "axis3-")

Features = Mapping[str, Mapping[str, Any]]


def shape_of(feature: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a feature; a single number is [1]."""
    shape = tuple(int(n) for n in feature["shape"]) or (1,)
    if min(shape) < 1 or math.prod(shape) > MOST:
        raise ValueError(f"a column of shape {list(shape)} is not read; at most {MOST:,} numbers")
    return shape


def cameras(features: Features, side: int) -> list[View]:
    """Return the cameras; ValueError for one whose size can't be used. Depth is not read."""
    found: list[View] = []
    for column, feature in features.items():
        kind = feature["dtype"]
        if kind in ("image", "video") and not _is_depth(feature):
            there = _size(column, shape_of(feature))
            bare = re.sub(r"^observation\.(images?\.)?", "", column)
            name = _unique(bare, [view.name for view in found])
            found.append(View(column, name, kind == "video", there, fitted(*there, side)))
    return found


def axes(features: Features, stats: Features) -> tuple[Axis, ...]:
    """Return an axis for each component of `action`; ValueError without such a column."""
    feature = features.get("action", {})
    if not NUMBERS.fullmatch(str(feature.get("dtype"))) or len(shape_of(feature)) != 1:
        raise ValueError("it has no `action` that is a row of numbers: nothing can be played")
    low, high, mean = (_stat(features, stats, "action", key) for key in ("min", "max", "mean"))
    found: list[Axis] = []
    for i, label in enumerate(_labels("action", feature)):
        least, most = _span(low[i], high[i])
        rest = 0.0 if least <= 0 <= most else min(max(float(mean[i]), least), most)
        keys: dict[str, Any] = {}
        if i < len(KEYS):  # From end to end in a second.
            keys = {"decrease": (KEYS[i][0],), "increase": (KEYS[i][1],), "pace": most - least}
        stick = STICKS[i] if i < len(STICKS) else None
        name = _unique(label, [axis.name for axis in found])
        found.append(Axis(name, least, most, "", rest, **keys, gamepad=stick))
    return tuple(found)


def sensors(features: Features, stats: Features) -> tuple[dict[str, list[Sensor]], list[str]]:
    """Return the sensors by column, and the columns that are not read.

    Each component of `observation.state` is a sensor; every other column of numbers is one.
    """
    found: dict[str, list[Sensor]] = {}
    left_out = []
    taken = ["state", "images"]  # `observation.state` will be made of all sensors.
    for column, feature in features.items():
        if column in GIVEN or (feature["dtype"] in ("image", "video") and not _is_depth(feature)):
            continue
        fits = NUMBERS.fullmatch(str(feature["dtype"])) and len(shape_of(feature)) <= 4
        if not fits or column.startswith(NO_SENSOR):
            left_out.append(column)
            continue
        shape = shape_of(feature)
        low, high = (_stat(features, stats, column, key) for key in ("min", "max"))
        said = f"{column} of the recording"
        show = "gauge" if math.prod(shape) <= GAUGES else ""
        if column == "observation.state" and len(shape) == 1:
            labels, spans = _labels("state", feature), [*map(_span, low, high)]
            shape = (1,)
        else:
            labels = [column.removeprefix("observation.")]
            spans = [_span(low.min(), high.max())]
            show = show if shape == (1,) else ""
        found[column] = []
        for label, span in zip(labels, spans, strict=True):
            name = _unique(label, taken)
            taken.append(name)
            found[column].append(Sensor(name, shape, "float32", "", *span, said, show))
    return found, left_out


def _stat(features: Features, stats: Features, column: str, key: str) -> Array:
    """Return one figure of a column: a number for each of its components, flat."""
    told = stats.get(column)
    if not isinstance(told, dict) or key not in told:
        raise ValueError(f"stats.json lacks {key} of {column}")
    values = np.asarray(told[key], np.float64).ravel()
    wanted = math.prod(shape_of(features[column]))
    if not np.isfinite(values).all() or len(values) not in (1, wanted):
        raise ValueError(f"stats.json has no {key} of {column} that can be used")
    return np.broadcast_to(values, wanted) if len(values) == 1 else values


def _labels(column: str, feature: Mapping[str, Any]) -> list[str]:
    """Return the names of a row's components: those that the recording gives, or numbers."""
    if (count := shape_of(feature)[0]) > WIDEST:
        raise ValueError(f"{column} has {count:,} components; at most {WIDEST:,} are read")
    told = feature.get("names")
    if isinstance(told, dict):
        lists = [v for v in told.values() if isinstance(v, list)]
        told = [name for some in lists for name in some] if lists else list(told)
    if isinstance(told, list) and len(told) == count and all(isinstance(n, str) for n in told):
        return told
    return [column] if count == 1 else [f"{column}_{i}" for i in range(count)]


def _unique(label: str, taken: Collection[str]) -> str:
    """Return a name of letters, digits and underscores that is not taken."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")[:60] or "unnamed"
    names = (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3)))
    return next(one for one in names if one not in taken)


def _span(low: float, high: float) -> tuple[float, float]:
    low, high = float(low), float(high)
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _size(column: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width, whether the channels are told first or last."""
    channels = (1, 3, 4)
    if len(shape) == 2:
        height, width = shape
    elif len(shape) == 3 and shape[2] in channels:
        height, width = shape[:2]
    elif len(shape) == 3 and shape[0] in channels:
        height, width = shape[1:]
    else:
        raise ValueError(f"{column} has shape {list(shape)}, which is no picture's")
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        raise ValueError(f"{column} is {width} x {height}; at most {LARGEST} x {LARGEST} is read")
    return height, width


def _is_depth(feature: Mapping[str, Any]) -> bool:
    told = [feature.get("info"), feature.get("video_info")]
    return any(
        isinstance(one, dict) and (one.get("is_depth_map") or one.get("video.is_depth_map"))
        for one in told
    )
