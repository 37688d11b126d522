"""Notice that training has exploded, and go back to when it was well.

A model that is trained on its own frames can lose its way within a few updates: its errors feed
themselves. From there it seldom comes back. So the run keeps what it was some updates ago, goes
back to it, and goes on at lower learning rates.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean, median
from typing import Any

USUAL = 200  # updates whose losses say what is usual
EARLY = 20  # the first updates: their mean loss is that of an untrained model
AT_ONCE = 5  # updates one after another that must be bad
TIMES = 10.0  # of the usual loss
KEPT = 50  # updates between two states that are kept
EASED = 0.5  # the learning rates after an explosion, as a share of those before it
MOST = 5  # explosions, after which a run gives up


class Watch:
    """The losses of a run, and the two states that it can go back to.

    A loss is bad if it is not finite, or above `TIMES` the usual one and half of what an untrained
    model has: batches differ, and targets become harder in the course of training.
    """

    def __init__(self) -> None:
        self.losses: deque[float] = deque(maxlen=USUAL)
        self.untrained = 0.0
        self.seen = self.bad = 0
        self.states: deque[Any] = deque(maxlen=2)

    def exploded(self, loss: float) -> bool:
        """Count the loss of one more update; return whether the last few were all bad."""
        if not math.isfinite(loss) or (self.seen >= EARLY and loss > self.limit):
            self.bad += 1
            return self.bad >= AT_ONCE
        self.bad = 0
        self.seen += 1
        self.losses.append(loss)
        if self.seen == EARLY:
            self.untrained = fmean(self.losses)
        return False

    @property
    def limit(self) -> float:
        """The largest loss that is not bad."""
        return max(TIMES * abs(median(self.losses)), self.untrained / 2)

    @property
    def keeps(self) -> bool:
        """Whether the state after this update is to be kept."""
        return self.bad == 0 and self.seen % KEPT == 1

    def back(self) -> Any:
        """Return the older of the kept states: the newer may hold the beginning of what went wrong.

        None if no update has gone well.
        """
        self.bad = 0
        while len(self.states) > 1:
            self.states.pop()
        return self.states[0] if self.states else None
