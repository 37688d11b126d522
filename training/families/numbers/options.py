"""The keys of a recipe for `numbers`; its `Config` holds the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sims.contract import Spec
from sims.errors import UserError
from training.data.components import in_state
from training.keys import Key
from training.recipe import Train


@dataclass(frozen=True)
class Options:
    """Keys of `[model]`: this family reads numbers, and draws pictures from them."""

    patch: Annotated[
        int,
        Key("pixels along one side of the cells from which a picture is drawn; a power of two, it "
            "divides the frame", 2, 32),
    ]  # fmt: skip
    channels: Annotated[int, Key("channels of such a cell; half as many of each half cell", 8, 512)]
    wide: Annotated[int, Key("units of the layers that read the numbers", 8, 8192)]


@dataclass(frozen=True)
class Training(Train):
    """Keys of `[train]`: those of every family, and these."""

    static_weight: Annotated[
        float, Key("weight of pixels far from all that changes; near it, it is 1", 0.001, 10**6)
    ] = 0.1
    hard_weight: Annotated[
        float,
        Key("how much more a pixel counts that is drawn worse than others: 0 no more, 1 as many "
            "times as its error is larger; small things that move are then drawn sooner", 0.0, 4.0),
    ] = 0.0  # fmt: skip
    pictures: Annotated[int, Key("pictures of each window that are drawn in an update", 1, 64)] = 1


def check(model: Mapping[str, Any], spec: Spec, where: str) -> None:
    """Refuse a world without numbers, and cells that can't be halved; UserError."""
    patch = model.get("patch", 8)
    if patch & (patch - 1):
        raise UserError(
            f"{where}: model.patch is {patch}, and a cell is halved until it is a pixel. "
            "Run: make it 2, 4, 8, 16 or 32"
        )
    if not any(in_state(sensor.shape) for sensor in spec.sensors):
        raise UserError(
            f"{where}: family 'numbers' draws a world from its numbers, and world '{spec.name}' "
            'has none. Run: name the file latent.toml, and write family = "latent"'
        )
