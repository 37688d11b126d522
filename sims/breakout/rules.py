"""Breakout's rules, judged from frames alone, and a player that sees only frames.

The sim itself never breaks a rule (tested). The comment beside each constant says what the rules
allow beyond the sim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import breakout as b
from sims.breakout import objects as seen_objects

Array = NDArray[Any]
Objects = dict[str, Array]

# In the order of judgement: the first broken rule of a step counts as the cause.
RULES = {
    "ball": "exactly one ball, and none only in the frame of a lost life",
    "flight": "the ball flies on from where it was, no farther than its speed allows, and no rest",
    "paddle": "the paddle is whole, where the actions put it",
    "torn": "every brick is whole or gone",
    "vanished": "bricks vanish only where the ball is",
    "returned": "bricks come back only when the paddle is touched under an empty wall",
    "lives": "a life is lost exactly with the ball, at the bottom",
    "walls": "walls and life icons are intact",
    "strays": "nothing else is on the field",
}
STATISTICS = {
    "hits": ("paddle hits a minute", "", ""),
    "bricks_hit": ("bricks hit a minute", "", ""),
    "speed": ("ball's speed", "px/step", ""),
}

LONGEST = b.BALL_SPEED + 2**0.5  # px: both ends of the way are read in whole pixels
LIFTED = b.BALL_SPEED + 2.2  # px: for a ball that the paddle lifts as it slides under it
SERVED = 1.5  # px: the largest distance of a new ball from the serve point
REST = 3  # steps: a ball in a corner may show in one place for two steps
PADDLE_OFF = 1.5  # px from the place that the actions give; of it, reading takes 0.5
TOUCH = 2.0  # px between ball and brick: one step after the hit, and the reading
BOTTOM = b.HEIGHT - b.RADIUS - b.BALL_SPEED - 0.5  # px: a ball below this may be lost in one step
RESTS = b.PADDLE_TOP - b.RADIUS  # px: the ball's height on the paddle
AIM = b.PADDLE_WIDTH + b.BALL_SIZE + 3  # px: now and then the aim is past the paddle's ends
PLACES = 8  # cells along one side, to count the ball's places


class Referee:
    """Judge N rollouts of Breakout; see `sims.detector.Referee`."""

    def __init__(self, rollouts: int) -> None:
        self.paddle = np.zeros(rollouts)  # its left edge by the actions, a real number
        self.rested = np.zeros(rollouts, np.int64)  # steps with the ball in one place

    def watch(self, rows: Array, start: dict[str, Array]) -> None:
        """Start with the paddle's place in the sim's snapshot."""
        self.paddle[rows] = start["paddle"]
        self.rested[rows] = 0

    def judge(self, before: Objects, actions: Array, after: Objects) -> Array:
        """Return bool [N, rules], in the order of `RULES`."""
        self.paddle = np.clip(self.paddle + b.MOVES[actions], b.LEFT, b.PADDLE_END)
        off = np.abs(after["paddle"] - self.paddle) - after["slack"]
        was, now = before["bricks"], after["bricks"]
        filled = ~was.any((1, 2)) & now.all((1, 2)) & (np.abs(after["ball_y"] - RESTS) <= 2)
        fell = before["lives"] - after["lives"]
        gone = after["balls"] == 0
        low = before["ball_y"] >= BOTTOM
        broken = {
            "ball": np.isnan(after["ball_x"]) & ~(gone & (fell == 1)),
            "flight": self._flight(before, after),
            "paddle": ~(off <= PADDLE_OFF),
            "torn": after["torn"] > 0,
            "vanished": _vanished(before, after),
            "returned": (now & ~was).any((1, 2)) & ~filled,
            # A ball below the paddle does not come back up.
            "lives": (fell != 0) & ~((fell == 1) & gone & low)
            | low & (after["ball_y"] < before["ball_y"]),
            "walls": after["scars"] > 0,
            "strays": after["strays"] > 0,
        }
        return np.stack([broken[name] for name in RULES], 1)

    def _flight(self, before: Objects, after: Objects) -> Array:
        dx, dy = after["ball_x"] - before["ball_x"], after["ball_y"] - before["ball_y"]
        way = np.hypot(dx, dy)
        self.rested = np.where(way == 0, self.rested + 1, 0)
        lifted = (before["ball_y"] > RESTS) & (after["ball_y"] < before["ball_y"])
        far = way > np.where(lifted, LIFTED, LONGEST)
        # A ball after none is a serve.
        x, y = (b.pixel(np.array(p - b.RADIUS)) + b.RADIUS for p in b.SERVE_AT)
        apart = np.maximum(np.abs(after["ball_x"] - x), np.abs(after["ball_y"] - y))
        served = (before["balls"] == 0) & (apart > SERVED)
        return np.asarray(far | served | (self.rested >= REST))


def _vanished(before: Objects, after: Objects) -> Array:
    """Return where a brick disappeared away from the ball, or more than two did: bool [N]."""
    gone = before["bricks"] & ~after["bricks"]
    near = np.zeros_like(gone)
    for shown in (before, after):
        near_y = np.abs(shown["ball_y"][:, None] - b.BRICK_Y) <= b.REACH_Y + TOUCH
        near_x = np.abs(shown["ball_x"][:, None] - b.BRICK_X) <= b.REACH_X + TOUCH
        near |= near_y[:, :, None] & near_x[:, None]
    return np.asarray((gone & ~near).any((1, 2)) | (gone.sum((1, 2)) > 2))


def act(objects: Objects, aim: Array) -> Array:
    """Follow the visible ball; `aim` (uniform, [N]) selects the part of the paddle.

    Returns actions int64 [N]. Now and then the aim is past the paddle's end, so that balls are also
    lost. Without a ball, the player waits in the middle; without a paddle, it does not move.
    """
    target = np.where(np.isnan(objects["ball_x"]), b.WIDTH / 2, objects["ball_x"])
    ahead = target + (aim - 0.5) * AIM - (objects["paddle"] + b.PADDLE_WIDTH / 2)
    chase = np.where(ahead > 0, b.GO_RIGHT, b.GO_LEFT)
    chase[~(np.abs(ahead) >= b.PADDLE_SPEED / 2)] = b.NOOP
    return np.asarray(chase, np.int64)


def over(objects: Objects) -> Array:
    """Return where no life is left, bool."""
    return np.asarray(objects["lives"] == 0)


def statistics(before: Objects, after: Objects) -> dict[str, Array]:
    """Return figures of play by rollout, float64 [N]; see `STATISTICS`."""
    seen = seen_objects.events(before, after)
    way = np.hypot(after["ball_x"] - before["ball_x"], after["ball_y"] - before["ball_y"])
    minutes = way.shape[1] / b.RATE / 60
    gone = before["bricks"] & ~after["bricks"]
    seen_both = np.isfinite(way)
    return {
        "hits": seen["paddle"].sum(1) / minutes,
        "bricks_hit": gone.sum((1, 2, 3)) / minutes,
        "speed": np.where(seen_both, way, 0).sum(1) / np.maximum(seen_both.sum(1), 1),
    }


def places(objects: Objects) -> Array:
    """Count the ball's visits to each of 8 by 8 cells of the frame: float64 [N, 64]."""
    x, y = objects["ball_x"], objects["ball_y"]
    cell = np.nan_to_num(y) * PLACES // b.HEIGHT * PLACES + np.nan_to_num(x) * PLACES // b.WIDTH
    seen = np.isfinite(x)
    return np.stack(
        [
            np.bincount(c[s].astype(np.int64), minlength=PLACES**2)
            for c, s in zip(cell, seen, strict=True)
        ]
    ).astype(np.float64)
