"""The functions that read, compare and judge Pong's frames."""

from __future__ import annotations

import numpy as np

from sims.contract import Array, Sim
from sims.detector import Detector
from sims.pong import HALF, objects, rules

FAR = 3.0  # px between the sim's things and the model's: beyond this, it is another game


def adopt(sim: Sim, frames: Array, sensors: Array, where: Array) -> tuple[Array, Array]:
    """Move the games of `where` (bool [N]) to the model's frames; see `sims.detector`."""
    seen, true = objects.read(frames), objects.truth(sim.state)
    names = {"ball_x": "x", "ball_y": "y", "mine": "mine", "theirs": "theirs"}
    gaps = np.stack([np.nan_to_num(seen[k] - true[k], nan=2 * FAR) for k in names])
    whole = seen["strays"] == 0
    far = where & (np.abs(gaps).max(0) > FAR)
    for gap, name in zip(gaps, names.values(), strict=True):
        taken = where & whole & ~far
        sim.state[name][taken] += (HALF * gap[taken]).astype(np.int64)
    return np.asarray(whole), np.asarray(far)


DETECTOR = Detector(
    read=objects.read,
    truth=objects.truth,
    compare=objects.compare,
    labels=objects.LABELS,
    held="ball_held",
    controlled=objects.controlled,
    control_label="paddle within 1 px of the sim's after each action held for 8 steps",
    events=objects.events,
    event_labels=objects.EVENTS,
    referee=rules.Referee,
    rules=rules.RULES,
    act=rules.act,
    over=rules.over,
    statistics=rules.statistics,
    statistic_labels=rules.STATISTICS,
    places=rules.places,
    adopt=adopt,
)
