"""Move a game of Breakout to a model's prediction, so that the sim can say what comes next.

A model that runs on its own predictions drifts away from the sim that it started from. While the
drift is small, the sim is moved to the model's frame and sensors. The sim's next step then agrees
with the frames that the model has seen, and the model learns to continue from its own mistakes
(relabelling by an expert, as in DAgger; Ross et al., 2011, arXiv:1011.0686).
"""

from __future__ import annotations

import numpy as np

from sims import breakout
from sims.breakout.objects import read
from sims.contract import Array, Sim

FAR = 3.0  # px between the sim's ball and the model's: beyond this, it is another ball


def adopt(sim: Sim, frames: Array, sensors: Array, where: Array) -> tuple[Array, Array]:
    """Move the games of `where` (bool [N]) to the model's frames [N, H, W, 3] and sensors [N, S].

    Ball, paddle and lives come from the sensors, bricks from the frame. So does every other ball of
    an edited sim, which has a state and a sensor `name`, and a sensor `name_present`. Returns bool
    [N]: the frame agrees with the sensors; and bool [N]: too far from the sim to continue.
    """
    seen, s, true = read(frames), sim.state, sim.sensors()
    sizes = [true[sensor.name][0].size for sensor in sim.spec.sensors]
    parts = np.split(sensors, np.cumsum(sizes)[:-1], 1)
    mine = {sensor.name: part for sensor, part in zip(sim.spec.sensors, parts, strict=True)}
    balls = [name for name in s if f"{name}_present" in mine]
    paddle, lives = mine["paddle"][:, 0], mine["lives"][:, 0]
    # The sim has no game without lives, so such a game does not move: it counts as too far.
    alive = where & (lives >= 1)
    far = where & (np.abs(paddle - s["paddle"]) > FAR)
    flying = {name: mine[f"{name}_present"][:, 0] > 0.5 for name in balls}
    for name in balls:
        off = np.abs(mine[name][:, :2].astype(np.float64) - s[name][:, :2]).max(1)
        far |= where & (flying[name] != (true[f"{name}_present"][:, 0] > 0.5))
        far |= where & flying[name] & (off > FAR)
    taken = alive & ~far
    for name in balls:
        ball = mine[name].astype(np.float64)
        s[name][taken] = np.where(flying[name][taken, None], ball[taken], 0.0)
    s["paddle"][taken] = np.clip(paddle[taken], breakout.LEFT, breakout.PADDLE_END)
    s["lives"][taken] = lives[taken].astype(np.int64)
    s["bricks"][where] = seen["bricks"][where]
    one = np.stack([seen["ball_x"], seen["ball_y"]], 1)[:, None]
    drawn = np.nan_to_num(np.concatenate([one, seen["pair"]], 1), nan=-9)
    shown = (sum(flying.values()) == seen["balls"]) & np.isfinite(seen["paddle"])
    for name in balls:
        pixel = np.floor(mine[name][:, None, :2].astype(np.float64)) + 0.5
        shown &= (np.abs(pixel - drawn).max(2).min(1) < 0.1) | ~flying[name]
    return shown & (seen["torn"] == 0), far | (where & ~alive)
