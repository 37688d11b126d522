"""The keys of a recipe for `denoiser`; its `Config` holds the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from training.keys import Key
from training.recipe import Train


@dataclass(frozen=True)
class Options:
    """Keys of `[model]`: this family reads earlier frames and uses no sensors."""

    patch: Annotated[int, Key("pixels along one side of a cell; it divides the frame", 1, 32)]
    channels: Annotated[int, Key("channels a cell", 1, 1024)]
    blocks: Annotated[int, Key("residual blocks of two 3x3 convolutions", 0, 64)]
    evaluations: Annotated[int, Key("evaluations of the network for each frame", 1, 64)]
    offered: Annotated[
        list[int], Key("evaluations that a player may choose from", 1, 64, count=(1, 16))
    ]
    warm: Annotated[bool, Key("start from the last frame, not from noise alone")]
    most: Annotated[float, Key("the noise's standard deviation in a warm start", 0.001, 100)]
    least: Annotated[
        float, Key("the noise's standard deviation before the last of several", 0.001, 100)
    ]
    history: Annotated[int, Key("frames watched before the model goes on alone", 4, 64)]


@dataclass(frozen=True)
class Training(Train):
    """Keys of `[train]`: those of every family, and these."""

    moved_weight: Annotated[
        float, Key("weight of pixels that change; near them it is 1", 0, 10**6)
    ] = 5.0
    static_weight: Annotated[float, Key("weight of pixels far from all that moves", 0, 10**6)] = (
        0.05
    )
    corruption: Annotated[
        float, Key("share of pixels given a random colour in one sample of four", 0, 1)
    ] = 0.0
    distil_share: Annotated[
        float, Key("last share of the budget, in which fewer evaluations are distilled too", 0, 1)
    ] = 0.0
