"""Read Pong's objects and events from frames.

The result is exact on the sim's own frames (tested). A model's frames are read strictly: a ball is
one whole square, a paddle is whole, and everything else is a stray.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import pong as p

Array = NDArray[Any]
Objects = dict[str, Array]

LABELS = {
    "ball_held": ("ball present and within 2 px", "%", "high"),
    "ball_error": ("ball error where one is seen", "px", "low"),
    "mine_held": ("player's paddle whole and within 1 px", "%", "high"),
    "theirs_held": ("opponent's paddle whole and within 1 px", "%", "high"),
    "points": ("points of both right", "%", "high"),
}
EVENTS = {
    "hit": "the player returns the ball",
    "won": "the opponent misses",
    "lost": "the player misses",
}
ROWS = np.arange(p.TOP, p.HEIGHT - p.PADDLE + 1)  # the first rows that a paddle may have
SIDES = {"mine": (p.RIGHT, p.YOU), "theirs": (p.LEFT, p.THEM)}
POINTS = {
    "you": (p.WIDTH - 3 - 2 * np.arange(p.POINTS), p.YOU),
    "them": (2 + 2 * np.arange(p.POINTS), p.THEM),
}


def read(frames: Array) -> Objects:
    """Read frames uint8 [..., 32, 48, >= 3] into objects [...].

    `ball_x`, `ball_y`: the ball's first pixel, NaN unless there is one whole ball and nothing else
    of its colour. `mine`, `theirs`: the first row of each paddle, NaN unless it is whole. `you`,
    `them`: the points. `strays`: pixels that none of these explains.
    """
    shape = frames.shape[:-3]
    flat = frames.reshape(-1, *frames.shape[-3:])[..., :3]
    white = (flat == np.array(p.WHITE, np.uint8)).all(-1)
    place = white.reshape(len(flat), -1).argmax(1)
    y, x = place // p.WIDTH, place % p.WIDTH
    some = np.arange(len(flat))
    fits = (y <= p.HEIGHT - p.BALL) & (x <= p.WIDTH - p.BALL) & (white.sum((1, 2)) == p.BALL**2)
    for down in range(p.BALL):
        for right in range(p.BALL):
            row = np.minimum(y + down, p.HEIGHT - 1)
            fits &= white[some, row, np.minimum(x + right, p.WIDTH - 1)]
    found: Objects = {
        "ball_x": np.where(fits, x, np.nan),
        "ball_y": np.where(fits, y, np.nan),
    }
    for name, (column, colour) in SIDES.items():
        found[name] = _paddle(
            flat[:, :, column : column + 2], white[:, :, column : column + 2], colour
        )
    for name, (columns, colour) in POINTS.items():
        lit = (flat[:, 1, columns] == np.array(colour, np.uint8)).all(-1)
        found[name] = lit.cumprod(1).sum(1)
    found["strays"] = (flat != _drawn(found)).any(-1).sum((1, 2))
    return {name: value.reshape(shape) for name, value in found.items()}


def _paddle(strip: Array, white: Array, colour: tuple[int, int, int]) -> Array:
    """Return the first row of the paddle in its two columns, NaN unless it is whole: [M]."""
    there = (strip == np.array(colour, np.uint8)).all(-1)
    there[:, : p.TOP] = False  # A point there has the same colour.
    solid = (there | white).all(2)  # The ball may hide a part of it.
    rows = ROWS[:, None] + np.arange(p.PADDLE)
    whole = solid[:, rows].all(2) & (there[:, rows].sum((2, 3)) == there.sum((1, 2))[:, None])
    whole &= there.any((1, 2))[:, None]
    return np.where(whole.sum(1) == 1, ROWS[whole.argmax(1)], np.nan)


def _drawn(objects: Objects) -> Array:
    """Draw the objects as the sim does, uint8 [M, 32, 48, 3]; what is NaN is left out."""
    n = len(objects["you"])
    out = np.zeros((n, 1, p.HEIGHT, p.WIDTH, 3), np.uint8)
    out[:] = p.GREEN
    out[:, 0, p.TOP :: 4, p.WIDTH // 2] = p.LINE
    out[:, 0, p.TOP - 1] = p.LINE
    picture = out[:, 0]
    for k in range(n):
        for name, (columns, colour) in POINTS.items():
            picture[k, 1, columns[: objects[name][k]]] = colour
        for name, (column, colour) in SIDES.items():
            if np.isfinite(row := objects[name][k]):
                picture[k, int(row) : int(row) + p.PADDLE, column : column + 2] = colour
        if np.isfinite(objects["ball_x"][k]):
            x, y = int(objects["ball_x"][k]), int(objects["ball_y"][k])
            picture[k, y : y + p.BALL, x : x + p.BALL] = p.WHITE
    return picture


def truth(state: dict[str, Array]) -> Objects:
    """Return the objects in a sim's frame, as `read` does, but from the state alone."""
    pixels = {name: state[name] // p.HALF for name in ("x", "y", "mine", "theirs")}
    return {
        "ball_x": np.maximum(0, pixels["x"]).astype(np.float64),
        "ball_y": pixels["y"].astype(np.float64),
        "mine": pixels["mine"].astype(np.float64),
        "theirs": pixels["theirs"].astype(np.float64),
        "you": state["you"].copy(),
        "them": state["them"].copy(),
        "strays": np.zeros(len(state["x"]), np.int64),
    }


def compare(mine: Objects, true: Objects) -> dict[str, Array]:
    """Compare the model's objects with the sim's; see `LABELS`."""
    distance = np.hypot(mine["ball_x"] - true["ball_x"], mine["ball_y"] - true["ball_y"])
    same = (mine["you"] == true["you"]) & (mine["them"] == true["them"])
    return {
        "ball_held": (np.nan_to_num(distance, nan=99.0) <= 2) * 1.0,
        "ball_error": distance,
        "mine_held": controlled(mine, true),
        "theirs_held": _near(mine["theirs"], true["theirs"]),
        "points": same * 1.0,
    }


def controlled(mine: Objects, true: Objects) -> Array:
    """Return 1.0 where the player's paddle is whole and within 1 px of the sim's."""
    return _near(mine["mine"], true["mine"])


def _near(one: Array, other: Array) -> Array:
    return np.asarray(np.nan_to_num(np.abs(one - other), nan=99.0) <= 1, np.float64)


def events(before: Objects, after: Objects) -> dict[str, Array]:
    """Find the events of each step in the objects [N, T] before and after it: bool [N, T] each.

    A hit is a step in which the ball reaches the column in front of the player's paddle.
    """
    front = p.RIGHT - p.BALL
    reached = (after["ball_x"] == front) & (before["ball_x"] < front)
    beside = np.abs(after["ball_y"] - after["mine"] - (p.PADDLE - p.BALL) / 2)
    turned = np.zeros(reached.shape, bool)
    turned[:, :-1] = after["ball_x"][:, 1:] < front
    return {
        "hit": reached & (beside <= p.PADDLE / 2 + p.BALL) & turned,
        "won": after["you"] > before["you"],
        "lost": after["them"] > before["them"],
    }
