"""Draw the step of `model.py`, as its `advance` computes it."""

from __future__ import annotations

from typing import Any

from training.families.latent import diagram
from training.families.latent.diagram import Box

LEADS, FETCHES, NUMBERS = 6, 9, 13  # boxes of `latent`


def boxes(config: dict[str, Any]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Return the boxes of a `Config` in JSON form, and the arrows between them, by index."""
    drawn, arrows = diagram.boxes(config)
    drawn[FETCHES] = ("fetch, draw", "each pixel from where it was", *drawn[FETCHES][2:])
    if config.get("spacing"):
        heading, told = drawn[NUMBERS][:2]
        (points,) = (shape[0] for name, _, shape, *_ in config["large"] if name == config["route"])
        drawn[NUMBERS] = (
            heading,
            f"{told}, {2 + 2 * points} by the kept road",
            *drawn[NUMBERS][2:],
        )
    ranges = 11  # They are fetched too.
    return drawn, [*(arrow for arrow in arrows if arrow != (7, ranges)), (FETCHES, ranges),
                   (LEADS, FETCHES)]  # fmt: skip
