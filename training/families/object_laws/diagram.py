"""Draw the step of `model.py`, as its `advance` computes it."""

from __future__ import annotations

from typing import Any

Box = tuple[str, str, int, float, str]  # a heading, the text below it, column, row, kind


def boxes(config: dict[str, Any]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Return the boxes of a `Config` in JSON form, and the arrows between them, by index."""
    c, p, sensors = config["channels"], config["patch"], len(config["sensor_low"])
    grid = f"{config['height'] // p} × {config['width'] // p}"
    drawn: list[Box] = [
        ("frame", f"{config['height']} × {config['width']} pixels", 0, 0, "input"),
        ("memory", f"{config['memory']} channels, {grid}", 0, 1, "input"),
        ("action, chance", f"{config['actions']} + {config['chance']} numbers", 0, 2, "input"),
        ("sensors", f"{sensors} numbers", 0, 3, "input"),
        ("look", f"{c} ch., {config['blocks']} × 3 × 3", 1, 0.5, "layer"),
        (
            "glimpses",
            f"{len(config['landmarks'])} of {config['glimpse']} × {config['glimpse']} px",
            1,
            1.5,
            "layer",
        ),
        ("forecast", "linear, found", 1, 3, "layer"),
        ("judge", f"2 × {config['wide']} units", 2, 1.5, "layer"),
        ("laws", f"given, {config['laws']} found, own", 2, 3, "layer"),
        ("draw", f"{c} ch., {config['drawing']} × 3 × 3", 3, 0.5, "layer"),
        ("pick", "one law a sensor", 3, 3, "layer"),
        ("next frame", "likeliest colour a pixel", 4, 0, "output"),
        ("next memory", f"{config['memory']} channels, {grid}", 4, 1, "output"),
        ("reward, terminated", "2 numbers", 4, 2, "output"),
        ("next sensors", f"{sensors} numbers", 4, 3, "output"),
    ]
    arrows = [(0, 4), (1, 4), (2, 4), (0, 5), (2, 6), (3, 6), (6, 5), (4, 7), (5, 7), (6, 8)]
    arrows += [(7, 10), (8, 10), (4, 9), (7, 9), (10, 9), (9, 11), (9, 12), (9, 13), (10, 14)]
    return drawn, arrows
