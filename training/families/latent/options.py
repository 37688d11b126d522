"""The keys of a recipe for `latent`; its `Config` holds the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from training.keys import Key
from training.recipe import Train


@dataclass(frozen=True)
class Options:
    """Keys of `[model]`: this family reads and predicts every observation of a world."""

    patch: Annotated[int, Key("pixels along one side of a cell; even, it divides the frame", 2, 32)]
    channels: Annotated[int, Key("channels a cell", 8, 512)]
    detail: Annotated[int, Key("channels of a half cell, where pictures are drawn", 4, 256)]
    blocks: Annotated[int, Key("3x3 convolutions of the transition", 1, 32)]
    wide: Annotated[int, Key("units of the layers that lead numbers on", 8, 8192)]
    history: Annotated[int, Key("observations watched before the model goes on alone", 2, 64)]


@dataclass(frozen=True)
class Training(Train):
    """Keys of `[train]`: those of every family, and these."""

    static_weight: Annotated[
        float, Key("weight of pixels where nothing changes; elsewhere it is 1", 0.001, 10**6)
    ] = 0.1
    sharp: Annotated[
        float,
        Key("share of the absolute error in a picture's loss, the rest is the squared error in "
            "tenths; with more, what is not sure is less blurred, and more often wrong", 0, 1),
    ] = 0.1  # fmt: skip
    sensor_weight: Annotated[float, Key("weight of the predicted sensors", 0, 10**6)] = 1.0
    hit_weight: Annotated[
        float, Key("weight of whether a ray of a scan comes back, within that", 0, 10**6)
    ] = 1.0
    rows: Annotated[int, Key("single steps of numbers that are learned in an update", 1, 10**6)] = (
        1024
    )
