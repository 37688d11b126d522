"""Draw the step of `model.py`, as its `advance` and `drawn` compute it."""

from __future__ import annotations

from typing import Any

from training.families.numbers import diagram
from training.families.numbers.diagram import Box

CELLS = 6  # the box of `numbers`


def boxes(config: dict[str, Any]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Return the boxes of a `Config` in JSON form, and the arrows between them, by index."""
    drawn, arrows = diagram.boxes(config)
    columns = config["width"] // config["patch"]
    drawn[CELLS] = ("rays", f"3 layers, for {columns} columns", *drawn[CELLS][2:])
    drawn.append(("map", "of the ground, learned", 2, 2.5, "layer"))
    return drawn, [*arrows, (len(drawn) - 1, CELLS)]
