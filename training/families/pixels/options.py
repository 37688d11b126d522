"""The keys of a recipe for `pixels`; its `Config` holds the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from training.keys import Key

PATCH, PATCHES, CLASSES = 4, 1024, 8  # unless the recipe says otherwise
# Training counts the few cells that change far more than the many that stay (STILL in `loss.py`),
# so a model expects too many changes. When it plays, staying gets this much more (log odds).
MORE_STAY = 1.0
# Channels a cell and 3x3 convolutions, by name.
SIZES = {"small": (48, 5), "base": (64, 6)}


@dataclass(frozen=True)
class Options:
    """Keys of `[model]`: this family reads frames, actions and chance, and no sensors."""

    size: Annotated[
        str, Key("how large the network is: channels and convolutions", choices=tuple(SIZES))
    ]
    patch: Annotated[int, Key("pixels along one side of a cell; it divides the frame", 1, 32)]
    patches: Annotated[int, Key("most different contents of a cell that it can draw", 2, 4096)]
    classes: Annotated[int, Key("values of the latent", 2, 64)]
    temperature: Annotated[float, Key("of the latent's draw; 0 takes the likeliest values", 0, 10)]
    more_stay: Annotated[
        float, Key("by how much it is likelier that a cell stays, when it plays (log odds)", 0, 10)
    ]
    history: Annotated[int, Key("frames watched before the model goes on alone", 2, 64)]
