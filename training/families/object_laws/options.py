"""The keys of a recipe for `object_laws`; its `Config` holds the defaults."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from sims.contract import Spec
from training.data.components import state_names
from training.keys import Key, shown, wrong
from training.recipe import Train


@dataclass(frozen=True)
class Landmark:
    """The sensor values that give a thing's place in the frame; one of several is `ball.0`."""

    x: Annotated[str, Key("the sensor value that is its column, in pixels; none: column 0")]
    y: Annotated[str, Key("the sensor value that is its row, in pixels; none: row 0")]
    present: Annotated[
        str, Key("the sensor value that is above 0.5 where it is there; none: it always is")
    ]
    shift: Annotated[
        list[float],
        Key(
            "pixels added to its column and row, such as from a corner to the middle: [dx, dy]",
            -4096,
            4096,
            count=(2, 2),
        ),
    ]
    like: Annotated[
        str,
        Key(
            "the `x` of another landmark that is the same kind of thing: what holds of it does too"
        ),
    ]


@dataclass(frozen=True)
class Options:
    """Keys of `[model]`."""

    landmarks: Annotated[
        list[Landmark],
        Key("sensors that are places in the frame: tables, see below", count=(0, 64)),
    ]
    patch: Annotated[int, Key("pixels along one side of a cell; it divides the frame", 1, 32)]
    channels: Annotated[int, Key("channels a cell", 1, 1024)]
    blocks: Annotated[
        int, Key("residual 3x3 convolutions that look: `patch` pixels of reach each", 0, 64)
    ]
    drawing: Annotated[
        int, Key("residual 3x3 convolutions that draw, once the next sensors are known", 0, 64)
    ]
    memory: Annotated[int, Key("channels a cell that are carried", 1, 1024)]
    pooled: Annotated[
        int, Key("channels averaged and maxed over the grid, to see far-off events", 1, 1024)
    ]
    glimpse: Annotated[
        int, Key("pixels along one side of the view around each landmark, at least", 1, 255)
    ]
    shades: Annotated[
        int,
        Key("planes that a glimpse shows the colours in, and that a trace is drawn in", 1, 256),
    ]
    glance: Annotated[int, Key("values that a glimpse is summed up in", 1, 8192)]
    touch: Annotated[
        int,
        Key("values that what touches a landmark at a point of its way is summed up in", 1, 8192),
    ]
    wide: Annotated[int, Key("units of the layers that predict the sensors", 1, 8192)]
    laws: Annotated[int, Key("linear laws that are found for each sensor", 0, 64)]
    history: Annotated[int, Key("frames watched before the model goes on alone", 1, 64)]


@dataclass(frozen=True)
class Training(Train):
    """Keys of `[train]`: those of every family, and these."""

    moved_weight: Annotated[
        float, Key("weight of pixels that change; near them it is 1", 0, 10**6)
    ] = 5.0
    static_weight: Annotated[float, Key("weight of pixels far from all that moves", 0, 10**6)] = (
        0.05
    )
    sensor_weight: Annotated[float, Key("weight of the predicted sensors", 0, 10**6)] = 1.0
    turned_weight: Annotated[
        float, Key("times more where no linear forecast of them is right", 0, 10**6)
    ] = 10.0
    corruption: Annotated[
        float, Key("share of pixels given a random colour in one sample of four", 0, 1)
    ] = 0.0


def check(model: Mapping[str, Any], spec: Spec, where: str) -> None:
    """Refuse landmarks with unknown sensor values; UserError with the nearest name."""
    names = state_names(asdict(sensor) for sensor in spec.sensors)
    marks = model.get("landmarks", [])
    for i, mark in enumerate(marks):
        for key in ("x", "y", "present", "like"):
            name, at = mark.get(key), f"model.landmarks[{i}].{key}"
            if name is not None and name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
                known = (
                    f"it has {', '.join(names)}; nearest is '{near[0]}'" if near else "it has none"
                )
                what = f"no sensor value of the sim is called so: {known}"
                raise wrong(where, f"{at} is {shown(name)}, and {what}")
        if "like" in mark and not any(m.get("x") == name and "like" not in m for m in marks):
            raise wrong(where, f"{at} is {shown(name)}, which is the x of no other landmark")
