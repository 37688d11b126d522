"""The predictions of a step beside its frame: its reward, and whether it ended the game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# A game has ended if a model's `terminated` is above this value: here, in the gate and on the page.
ENDED = 0.5
MOST = 16  # With at most so many different rewards, each prediction counts as the nearest of them.


@dataclass(frozen=True)
class Heads:
    """A player's predictions for N rollouts' last step [N], or for all T steps [N, T]."""

    rewards: Array  # float32
    ends: Array  # bool


def values_of(rewards: Array) -> list[float]:
    """Return the values of a world's rewards, in order; [] for too many values."""
    found = np.unique(rewards)
    return [float(value) for value in found] if len(found) <= MOST else []


def nearest(rewards: Array, values: Sequence[float]) -> Array:
    """Return the nearest of `values` for each reward, or the reward itself without values."""
    if not len(values):
        return rewards
    known = np.asarray(values, np.float64)
    return np.asarray(known[np.abs(rewards[..., None] - known).argmin(-1)])
