"""Draw the step of `model.py`, as its `advance` and `drawn` compute it."""

from __future__ import annotations

from typing import Any

Box = tuple[str, str, int, float, str]  # a heading, the text below it, column, row, kind


def boxes(config: dict[str, Any]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Return the boxes of a `Config` in JSON form, and the arrows between them, by index."""
    patch, wide = config["patch"], config["wide"]
    rows, columns = config["height"] // patch, config["width"] // patch
    size = f"{config['cameras']} of {config['height']} × {config['width']} pixels"
    count = len(config["sensor_low"])
    drawn: list[Box] = [
        ("numbers", f"{count}, each in its range", 0, 0, "input"),
        ("action, chance", f"{config['actions'] + config['chance']} numbers", 0, 1, "input"),
        ("pictures", size, 0, 3, "input"),
        ("forecast", "linear, fitted", 1, 0, "layer"),
        ("change", f"3 layers of {wide}", 1, 1, "layer"),
        ("next numbers", f"{count}", 2, 0.5, "output"),
        ("cells", f"3 layers, {rows} × {columns} cells", 3, 1.5, "layer"),
        ("outcome", f"3 layers of {wide}", 3, 0.5, "layer"),
        ("draw", f"3 × 3, halved {patch.bit_length() - 1} times", 3, 2.5, "layer"),
        ("reward, terminated", "2 numbers", 4, 0.5, "output"),
        ("next pictures", size, 4, 3, "output"),
    ]
    arrows = [
        (0, 3),
        (0, 4),
        (1, 3),
        (1, 4),
        (3, 5),
        (4, 5),
        (5, 6),
        (1, 6),
        (5, 7),
        (6, 8),
        (7, 9),
    ]
    return drawn, [*arrows, (8, 10), (2, 10)]
