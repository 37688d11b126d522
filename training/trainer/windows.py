"""Windows of recorded games, read from disk in the background while the model trains."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sims.contract import Array
from training.data.dataset import Arrays
from training.recipe import Train
from training.trainer.events import Events

AHEAD = 2  # batches that are read before they are asked for
ENDING = 0.1  # share of windows that reach the end of a game that ended


@dataclass
class Window:
    """B games for L steps: observations [B, L + 1, ...], the rest [B, L, ...].

    `shown` holds the observations by name: "frame", uint8 [B, L + 1, cameras, H, W, 3], "sensors",
    and each sensor of several dimensions. A step that is not `alive` follows the end of the
    recorded game: what stands there repeats the last row.
    """

    shown: dict[str, Array]
    actions: Array
    chances: Array
    rewards: Array
    ends: Array
    alive: Array


class Windows:
    """Random windows of `length` steps, of which `least` lie before the end of their game.

    `horizon` is the part of them that is used now. Batch n depends on the seed and n alone.
    """

    def __init__(
        self, arrays: Arrays, size: int, length: int, least: int, plan: Train, seed: int
    ) -> None:
        self.arrays, self.size, self.plan, self.seed = arrays, size, plan, seed
        longest = int((arrays.episodes[:, 1] - arrays.episodes[:, 0]).max(initial=0))
        self.length, self.least = (max(1, min(n, longest - 1)) for n in (length, least))
        self.horizon = 0
        self.anywhere = arrays.windows(self.least)
        self.events = Events(arrays.events.values())
        last = arrays.episodes[:, 1] - 2  # The step that ended the game, if one did.
        self.endings = last[(last >= arrays.episodes[:, 0]) & arrays.dones[last]]
        self.spans = np.repeat(arrays.episodes, arrays.episodes[:, 1] - arrays.episodes[:, 0], 0)
        self.pool = ThreadPoolExecutor(1)
        self.asked = 0
        self.coming: list[Future[Window]] = []

    def next(self) -> Window:
        """Return the next batch."""
        while len(self.coming) < AHEAD:
            self.coming.append(self.pool.submit(self.read, self.asked))
            self.asked += 1
        return self.coming.pop(0).result()

    def mean_dream(self) -> float:
        """Return how many steps a window goes on alone now."""
        return float(self.horizon)

    def read(self, number: int) -> Window:
        """Read batch `number`."""
        a, rng = self.arrays, np.random.default_rng([self.seed, number])
        starts = np.array([self._start(rng) for _ in range(self.size)])
        rows = starts[:, None] + np.arange(self.length + 1)
        stops = self.spans[starts, 1, None]
        alive = rows[:, 1:] < stops
        rows = np.minimum(rows, stops - 1)
        shown = {"frame": a.frames[rows], "sensors": a.state[rows]}
        shown |= {name: values[rows] for name, values in a.large.items()}
        steps = rows[:, :-1]
        ends = a.dones[steps].astype(np.float32)
        return Window(shown, a.actions[steps], a.chances[steps], a.rewards[steps], ends, alive)

    def _start(self, rng: np.random.Generator) -> int:
        """Choose a window: anywhere, or one in which an event happens or a game ends."""
        dice = rng.random()
        if len(self.endings) and dice < ENDING:
            row = int(rng.choice(self.endings))
        elif self.events and dice < ENDING + self.plan.event_share:
            row = self.events.row(rng)
        else:
            return int(rng.choice(self.anywhere))
        first, stop = self.spans[row]
        if stop - first <= self.least:
            return int(rng.choice(self.anywhere))
        start = row - int(rng.integers(0, self.length))
        return int(np.clip(start, first, stop - 1 - self.least))
