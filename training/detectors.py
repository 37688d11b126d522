"""Read objects out of frames, so that a model can be measured by what it shows, not by pixels.

A detector is exact on the sim's own frames (tested). On a model's frames it says what a strict
reader would see: the one ball whose centre is bright, the paddle as the run of its colour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import breakout

Array = NDArray[Any]
Objects = dict[str, Array]


@dataclass(frozen=True)
class Detector:
    """How one world's frames are read and compared.

    read: frames uint8 [..., H, W, >= 3] -> objects [...]. compare: (model's, sim's objects) ->
    figures float64 [...], NaN where not defined; `labels` holds (label, unit, better) of each.
    controlled: (model's, sim's objects) -> 1.0 where what the player moves is where it should be.
    """

    read: Callable[[Array], Objects]
    compare: Callable[[Objects, Objects], dict[str, Array]]
    controlled: Callable[[Objects, Objects], Array]
    control_label: str
    labels: dict[str, tuple[str, str, str]] = field(default_factory=dict)


def same(frames: Array, colour: tuple[int, int, int]) -> Array:
    """Return bool [..., H, W]: which pixels have exactly this colour."""
    return np.asarray((frames[..., :3] == np.array(colour, np.uint8)).all(-1))


def read_breakout(frames: Array) -> Objects:
    """Read ball x, y (px, NaN if there isn't exactly one), paddle left edge, bricks and lives.

    A brick is there when more than half of its pixels have its colour, and broken cleanly when
    all or none have (`torn` counts those in between).
    """
    shape = frames.shape[:-3]
    frames = frames.reshape(-1, *frames.shape[-3:])
    n = len(frames)
    centre = same(frames, breakout.BALL_CENTRE)
    body = same(frames, breakout.BALL) | centre
    where = centre.reshape(n, -1).argmax(1)
    y, x = where // breakout.WIDTH, where % breakout.WIDTH
    # One bright centre and a body of about nine pixels: more or fewer is no ball.
    pixels = body.sum((1, 2))
    one = (centre.sum((1, 2)) == 1) & (pixels >= 6) & (pixels <= 12)
    ball_x = np.where(one, x + 0.5, np.nan)
    ball_y = np.where(one, y + 0.5, np.nan)

    rows = slice(breakout.PADDLE_TOP, breakout.PADDLE_TOP + breakout.PADDLE_HEIGHT)
    line = same(frames[:, rows], breakout.PADDLE).any(1)
    # The ball may cover part of the paddle's rows: count its pixels in.
    length = line.sum(1)
    columns = np.arange(breakout.WIDTH)
    middle = (line * columns).sum(1) / np.maximum(length, 1)
    left = middle - (breakout.PADDLE_WIDTH - 1) / 2
    whole = np.abs(length - breakout.PADDLE_WIDTH) <= 2
    paddle = np.where(whole, left, np.nan)

    bricks = np.zeros((n, breakout.BRICK_ROWS, breakout.BRICK_COLUMNS))
    for r, top in enumerate(breakout.BRICK_TOP):
        colour = breakout.BRICK_COLOURS[r % len(breakout.BRICK_COLOURS)]
        band = same(frames[:, top : top + breakout.BRICK_HEIGHT], colour)
        for c, edge in enumerate(breakout.BRICK_LEFT):
            bricks[:, r, c] = band[:, :, edge : edge + breakout.BRICK_WIDTH].mean((1, 2))
    lives = same(frames[:, 1:3], breakout.LIFE)[:, :, 2 : 2 + 4 * breakout.LIVES]
    count = lives.reshape(n, 2, breakout.LIVES, 4)[..., :2].mean((1, 3)).round().sum(1)
    out = {
        "ball_x": ball_x,
        "ball_y": ball_y,
        "balls": centre.sum((1, 2)),
        "paddle": paddle,
        "bricks": bricks > 0.5,
        "torn": ((bricks > 0) & (bricks < 1)).sum((1, 2)),
        "lives": count,
    }
    return {name: value.reshape(*shape, *value.shape[1:]) for name, value in out.items()}


def compare_breakout(mine: Objects, true: Objects) -> dict[str, Array]:
    """Compare what the model shows with what the sim shows."""
    absent = np.isnan(true["ball_x"])
    distance = np.hypot(mine["ball_x"] - true["ball_x"], mine["ball_y"] - true["ball_y"])
    held = np.where(absent, mine["balls"] == 0, np.nan_to_num(distance, nan=99.0) <= 2)
    return {
        "ball_held": held.astype(np.float64),
        "ball_error": distance,
        "paddle_held": (np.nan_to_num(np.abs(mine["paddle"] - true["paddle"]), nan=99) <= 1) * 1.0,
        "bricks": (mine["bricks"] == true["bricks"]).mean((-2, -1)),
        "lives": (mine["lives"] == true["lives"]) * 1.0,
    }


def controlled_breakout(mine: Objects, true: Objects) -> Array:
    """Return 1.0 where the paddle is within 1 px of the sim's."""
    near = np.nan_to_num(np.abs(mine["paddle"] - true["paddle"]), nan=99.0) <= 1
    return np.asarray(near, np.float64)


DETECTORS: dict[str, Detector] = {
    "breakout": Detector(
        read_breakout,
        compare_breakout,
        controlled_breakout,
        "paddle within 1 px of the sim's after each action held for 8 steps",
        {
            "ball_held": ("ball present and within 2 px", "%", "high"),
            "ball_error": ("ball error where one is seen", "px", "low"),
            "paddle_held": ("paddle whole and within 1 px", "%", "high"),
            "bricks": ("bricks right", "%", "high"),
            "lives": ("lives right", "%", "high"),
        },
    )
}
