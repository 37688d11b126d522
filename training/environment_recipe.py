"""The `[gym]` table of a recipe: the Gymnasium environment that a world is recorded from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from training.keys import Key

SIDE = 96  # pixels of the larger side of a frame of a recording


@dataclass(frozen=True)
class Bound:
    """What plays one discrete action of an environment, or one of its axes."""

    value: Annotated[int, Key("number of the action, or of the axis from 0", -10_000, 10_000)]
    keys: Annotated[
        list[str],
        Key("KeyboardEvent.code values; of an axis the one that lowers it, and the one that raises "
            "it", count=(0, 8)),
    ] = field(default_factory=list)  # fmt: skip
    touch: Annotated[str, Key("the label of its button on a touch screen; empty: none")] = ""
    gamepad: Annotated[
        list[str], Key('buttons and sticks, such as "dpad-left" or "axis0-"', count=(0, 8))
    ] = field(default_factory=list)


@dataclass(frozen=True)
class Gym:
    """The Gymnasium environment that a world is recorded from."""

    id: Annotated[str, Key("the registered ID of the environment")]
    imports: Annotated[
        list[str], Key("modules that register IDs: installed ones, or files of the project")
    ] = field(default_factory=list)
    make: Annotated[dict[str, Any], Key("arguments of its constructor")] = field(
        default_factory=dict
    )
    frames: Annotated[
        str,
        Key('what the model sees: "render", "observation" where that is an image, or the name of '
            "an image in it"),
    ] = "render"  # fmt: skip
    crop: Annotated[
        list[int],
        Key("the part of the frame that is kept, in its pixels: top, left, height, width; empty: "
            "all of it", 0, 8192, count=(0, 4)),
    ] = field(default_factory=list)  # fmt: skip
    size: Annotated[
        list[int],
        Key(f"height and width at which frames are learned; empty: at most {SIDE} pixels a side",
            8, 1024, count=(0, 2)),
    ] = field(default_factory=list)  # fmt: skip
    scaling: Annotated[
        str,
        Key("how frames are made smaller: each pixel the mean of what it covers, or one of them",
            choices=("area", "nearest")),
    ] = "area"  # fmt: skip
    skip: Annotated[
        int, Key("steps of the environment in a step of the world, with the same action", 1, 1000)
    ] = 1
    rate: Annotated[
        float, Key("steps of the world in a second of the page; 0: as the environment says", 0, 240)
    ] = 0.0
    vectors: Annotated[bool, Key("whether the numbers that it observes are learned too")] = True
    names: Annotated[
        list[str],
        Key("what the page calls the numbers that it observes one by one, in their order; empty: "
            "obs_0 and so on", count=(0, 64)),
    ] = field(default_factory=list)  # fmt: skip
    info: Annotated[list[str], Key("numbers of its `info` that are learned too")] = field(
        default_factory=list
    )
    actions: Annotated[
        dict[str, Bound],
        Key("the names of its actions, with their keys; of discrete ones these alone are played, "
            "and the first while no key is held"),
    ] = field(default_factory=dict)  # fmt: skip
    patience: Annotated[
        float, Key("seconds of a step or a start after which it counts as hanging", 0.1, 86_400)
    ] = 60.0
    licence: Annotated[
        str, Key("what the page says of its licence; empty: what its package says")
    ] = ""
    browser: Annotated[
        bool,
        Key("whether it runs in the page, too, as the world's simulator; it and all that it "
            "imports must be Python and NumPy"),
    ] = False  # fmt: skip
