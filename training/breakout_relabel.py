"""Bring a game of Breakout to what a model predicts, so that the sim can say what comes next.

A model that plays on its own predictions drifts from the sim that it began with. Where the drift
is small, the sim is moved to the model's frame and sensors instead: what it says next then does not
contradict what the model has seen, and the model learns to go on from its own mistakes (relabelling
by an expert, as in DAgger; Ross et al., 2011, arXiv:1011.0686).
"""

from __future__ import annotations

import numpy as np

from sims import breakout
from sims.contract import Array, Sim
from training.breakout_objects import read

FAR = 3.0  # px between the sim's ball and the model's from which it is another ball


def adopt(sim: Sim, frames: Array, sensors: Array, where: Array) -> tuple[Array, Array]:
    """Move games to the model's frames [N, H, W, 3] and sensors [N, S], where bool [N] says so.

    Ball, paddle and lives are taken from the sensors, bricks from the frame. Returns bool [N]:
    the frame shows what the sensors say; and bool [N]: too far from the sim to go on from.
    """
    seen, s = read(frames), sim.state
    ball = sensors[:, :4].astype(np.float64)
    paddle, lives, flying = sensors[:, 4], sensors[:, 5], sensors[:, 6] > 0.5
    # The sim has no game without a life; what it can't hold is for it to say anew.
    alive = where & (lives >= 1)
    far = where & (flying != s["flying"])
    far |= where & flying & (np.abs(ball[:, :2] - s["ball"][:, :2]).max(1) > FAR)
    far |= where & (np.abs(paddle - s["paddle"]) > FAR)
    taken = alive & ~far
    s["ball"][taken] = np.where(flying[taken, None], ball[taken], 0.0)
    s["paddle"][taken] = np.clip(paddle[taken], breakout.LEFT, breakout.PADDLE_END)
    s["lives"][taken] = lives[taken].astype(np.int64)
    s["bricks"][where] = seen["bricks"][where]
    drawn = np.nan_to_num(np.stack([seen["ball_x"], seen["ball_y"]], 1), nan=-9)
    placed = np.abs(np.floor(ball[:, :2]) + 0.5 - drawn).max(1) < 0.1
    shown = (seen["balls"] == flying) & np.isfinite(seen["paddle"]) & (placed | ~flying)
    return shown & (seen["torn"] == 0), far | (where & ~alive)
