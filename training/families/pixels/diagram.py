"""Draw the step of `model.py`."""

from __future__ import annotations

from typing import Any

Box = tuple[str, str, int, float, str]  # a heading, the text below it, column, row, kind


def boxes(config: dict[str, Any]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Return the boxes of a `Config` in JSON form, and the arrows between them, by index."""
    c, p, blocks = config["channels"], config["patch"], config["blocks"]
    size = f"{config['height']} × {config['width']}, {len(config['palette'])} colours"
    codes = f"one of {config['classes']} values"
    drawn: list[Box] = [
        ("frame", size, 0, 0, "input"),
        ("memory", f"{c} channels a cell", 0, 1, "input"),
        ("action, chance", f"{config['actions'] + config['chance']} numbers", 0, 2, "input"),
        ("cells", f"of {p} × {p} pixels", 1, 0, "layer"),
        ("mix", f"{c} ch., {blocks} × 3 × 3, pooling", 2, 0.5, "layer"),
        ("gate", "what of the memory is replaced", 3, 2, "layer"),
        ("latent", codes, 3, 1, "layer"),
        ("draw", "in 3 turns, cell beside cell", 3, 0, "layer"),
        ("next frame", f"a cell stays, or is one of {len(config['contents'])}", 4, 0, "output"),
        ("reward, terminated", "2 numbers", 4, 1, "output"),
        ("next memory", f"{c} channels a cell", 4, 2, "output"),
    ]
    arrows = [(0, 3), (3, 4), (1, 4), (2, 4), (4, 7), (4, 6), (6, 7), (4, 5), (1, 5)]
    return drawn, [*arrows, (7, 8), (7, 9), (5, 10)]
