"""Tell whether the numbers that an environment observes decide what it shows.

Where they do, moments of different games whose numbers are near look alike; where they don't, as
with a landscape that differs from game to game, those moments look as different as any others.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array

FEWEST = 20  # pairs of moments that are near, before they say anything


class Decided:
    """Numbers and frames of some games, the games one after the other."""

    def __init__(self) -> None:
        self.numbers: list[Array] = []
        self.frames: list[Array] = []
        self.games: list[int] = []

    def see(self, numbers: dict[str, Array], frame: Array, game: int) -> None:
        """Add a moment of a game, with its numbers by name."""
        flat = [np.zeros(0), *(np.ravel(values) for values in numbers.values())]
        self.numbers.append(np.concatenate(flat))
        self.frames.append(frame.astype(np.int16))
        self.games.append(game)

    @property
    def all(self) -> bool:
        """Whether moments that are nearer than a step look as alike as the frames of a step do.

        False also where too few moments of different games are that near.
        """
        numbers, games = np.array(self.numbers, np.float64), np.array(self.games)
        follow = np.flatnonzero(games[1:] == games[:-1])
        if not numbers.size or not len(follow):
            return False
        step = np.abs(numbers[follow + 1] - numbers[follow]).mean(0)
        moving = step > 0
        at = numbers[:, moving] / step[moving]
        pairs = []
        for row in range(len(at)):
            off = np.where(games == games[row], np.inf, np.abs(at - at[row]).max(1, initial=0))
            if off[other := int(off.argmin())] <= 1:
                pairs.append(self._apart(row, other))
        usual = float(np.mean([self._apart(row, row + 1) for row in follow.tolist()]))
        return len(pairs) >= FEWEST and float(np.mean(pairs)) <= usual

    def _apart(self, row: int, other: int) -> float:
        return float(np.abs(self.frames[row] - self.frames[other]).mean())
