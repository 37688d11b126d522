"""Draw the step of `model.py`, as its `advance` computes it."""

from __future__ import annotations

from typing import Any

Box = tuple[str, str, int, float, str]  # a heading, the text below it, column, row, kind


def boxes(config: dict[str, Any]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Return the boxes of a `Config` in JSON form, and the arrows between them, by index."""
    c, cameras = config["channels"], config["cameras"]
    size = f"{config['height']} × {config['width']} pixels"
    scans = [(name, shape) for name, kind, shape, *_ in config["large"] if kind != "path"]
    told = ", ".join(f"{name} {' × '.join(map(str, shape))}" for name, shape in scans) or "none"
    numbers = len(config["sensor_low"]) + sum(
        shape[0] * shape[1] for _, kind, shape, *_ in config["large"] if kind == "path"
    )
    given = config["actions"] + config["chance"]
    drawn: list[Box] = [
        ("pictures", f"{cameras} of {size}", 0, 0, "input"),
        ("ranges", told, 0, 1, "input"),
        ("memory", f"{c} channels a cell", 0, 2, "input"),
        ("numbers", f"{numbers} of sensors and paths", 0, 3, "input"),
        ("action, chance", f"{given} numbers", 0, 4, "input"),
        ("encode", f"cells of {config['patch']} × {config['patch']} pixels", 1, 0.5, "layer"),
        ("lead on", f"linear, and {config['wide']} units", 1, 3.5, "layer"),
        ("mix", f"{c} ch., {config['blocks']} × 3 × 3", 2, 1.5, "layer"),
        ("gate", "what of the memory is replaced", 3, 2.5, "layer"),
        ("move, draw", "of each half cell", 3, 0.5, "layer"),
        ("next pictures", f"{cameras} of {size}", 4, 0, "output"),
        ("next ranges", told, 4, 1, "output"),
        ("next memory", f"{c} channels a cell", 4, 2, "output"),
        ("next numbers", f"{numbers}", 4, 3, "output"),
        ("reward, terminated", "2 numbers", 4, 4, "output"),
    ]
    arrows = [(0, 5), (1, 5), (5, 7), (2, 7), (3, 7), (4, 7), (3, 6), (4, 6), (7, 9), (7, 8)]
    arrows += [(9, 10), (7, 11), (8, 12), (6, 13), (7, 13), (7, 14)]
    return drawn, arrows
