"""Pong's rules, judged from frames alone, and a player that sees only frames.

The sim itself never breaks a rule (tested). The comment beside each constant says what the rules
allow beyond the sim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import pong as p
from sims.pong import objects as seen_objects

Array = NDArray[Any]
Objects = dict[str, Array]

# In the order of judgement: the first broken rule of a step counts as the cause.
RULES = {
    "ball": "exactly one whole ball",
    "mine": "the player's paddle is whole, where the actions put it",
    "theirs": "the opponent's paddle is whole, and moves as slowly as it can",
    "flight": "the ball flies at its speed, and turns only at a paddle",
    "points": "a point is given exactly when the ball has passed a paddle, to the right side",
    "strays": "nothing else is in the picture",
}
STATISTICS = {
    "hits": ("hits of the player a minute", "", ""),
    "points": ("points a minute", "", ""),
    "speed": ("ball's speed", "px/step", ""),
}
STEP = 2  # px: 1.5 a step, read in whole pixels
OFF = 1  # px from the place that the actions give
EDGE = 4  # px: how near to its end of the field a ball is before a point
TURN = 3  # px: how near to the column of a paddle a ball turns
AIM = p.PADDLE + 2.0  # px: now and then the aim is past the paddle's ends
MIDDLE = ((p.WIDTH - p.BALL) / 2, (p.TOP + p.HEIGHT - p.BALL) / 2)
PLACES = 8  # cells along one side, to count the ball's places


class Referee:
    """Judge N rollouts of Pong; see `sims.detector.Referee`."""

    def __init__(self, rollouts: int) -> None:
        self.mine = np.zeros(rollouts)  # the player's paddle by the actions, px
        self.way = np.zeros(rollouts)  # the ball's last move from side to side, px

    def watch(self, rows: Array, start: dict[str, Array]) -> None:
        """Start with the paddle's place and the ball's way in the sim's snapshot."""
        self.mine[rows] = start["mine"] / p.HALF
        self.way[rows] = start["dx"] / p.HALF

    def judge(self, before: Objects, actions: Array, after: Objects) -> Array:
        """Return bool [N, rules], in the order of `RULES`."""
        moved = p.MOVES[actions] / p.HALF
        self.mine = np.clip(self.mine + moved, p.TOP, p.HEIGHT - p.PADDLE)
        dx, dy = (after[k] - before[k] for k in ("ball_x", "ball_y"))
        you, them = (after[k] - before[k] for k in ("you", "them"))
        point = (you != 0) | (them != 0)
        served = np.hypot(after["ball_x"] - MIDDLE[0], after["ball_y"] - MIDDLE[1]) <= OFF
        right = before["ball_x"] >= p.WIDTH - p.BALL - EDGE
        fair = (you == 0) & (them == 1) & right | (you == 1) & (them == 0) & (
            before["ball_x"] <= EDGE - p.BALL
        )
        turned = (dx * self.way < 0) & ~point
        near = np.minimum(
            np.abs(after["ball_x"] - (p.RIGHT - p.BALL)), np.abs(after["ball_x"] - (p.LEFT + 2))
        )
        far = (np.abs(dx) > STEP) | (np.abs(dy) > STEP) | (dx == 0) & (near > TURN)
        self.way = np.where(np.nan_to_num(dx) == 0, self.way, dx)
        # After a serve the ball may fly either way.
        self.way = np.where(point, 0.0, self.way)
        broken = {
            "ball": np.isnan(after["ball_x"]),
            "mine": ~(np.abs(after["mine"] - self.mine) <= OFF),
            "theirs": ~(np.abs(after["theirs"] - before["theirs"]) <= OFF),
            "flight": ~point & (far | turned & (near > TURN)),
            "points": point & ~(fair & served),
            "strays": after["strays"] > 0,
        }
        return np.stack([broken[name] for name in RULES], 1)


def act(objects: Objects, aim: Array) -> Array:
    """Follow the visible ball; `aim` (uniform, [N]) selects the part of the paddle.

    Returns actions int64 [N]. Without a ball or a paddle, the player does not move.
    """
    middle = objects["mine"] + (p.PADDLE - p.BALL) / 2
    ahead = np.nan_to_num(objects["ball_y"] + (aim - 0.5) * AIM - middle)
    return np.where(ahead > 1, 2, np.where(ahead < -1, 1, 0)).astype(np.int64)


def over(objects: Objects) -> Array:
    """Return where one side has all its points, bool."""
    return np.asarray(np.maximum(objects["you"], objects["them"]) >= p.POINTS)


def statistics(before: Objects, after: Objects) -> dict[str, Array]:
    """Return figures of play by rollout, float64 [N]; see `STATISTICS`."""
    seen = seen_objects.events(before, after)
    way = np.hypot(after["ball_x"] - before["ball_x"], after["ball_y"] - before["ball_y"])
    minutes = way.shape[1] / p.Pong.spec.rate / 60
    flew = np.isfinite(way) & (way <= 2 * STEP)
    return {
        "hits": seen["hit"].sum(1) / minutes,
        "points": (seen["won"] | seen["lost"]).sum(1) / minutes,
        "speed": np.where(flew, way, 0).sum(1) / np.maximum(flew.sum(1), 1),
    }


def places(objects: Objects) -> Array:
    """Count the ball's visits to each of 8 by 8 cells of the frame: float64 [N, 64]."""
    x, y = objects["ball_x"], objects["ball_y"]
    rows, columns = (np.nan_to_num(v) * PLACES // size for v, size in ((y, p.HEIGHT), (x, p.WIDTH)))
    cell, seen = (rows * PLACES + columns).astype(np.int64), np.isfinite(x)
    counts = [np.bincount(c[s], minlength=PLACES**2) for c, s in zip(cell, seen, strict=True)]
    return np.stack(counts).astype(np.float64)
