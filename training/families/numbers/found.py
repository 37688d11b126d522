"""The facts about its world that a `numbers` model gets: how fast its numbers change."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.data.dataset import Arrays
from training.recipe import Recipe

LEAST = 1e-4  # the least change in a step that counts, in parts of a number's range


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`; `spec` is the sim's, as the dataset holds it."""
    rows = arrays.windows(1)
    span = np.maximum(arrays.state_range[1] - arrays.state_range[0], 1e-6)
    change = np.abs(arrays.state[rows + 1].astype(np.float64) - arrays.state[rows]).mean(0)
    given = arrays.rewards[arrays.rewards != 0]
    return {
        "reward_unit": float(np.abs(given).mean()) if len(given) else 1.0,
        "sensor_step": tuple(float(v) for v in np.maximum(change, LEAST * span)),
    }
