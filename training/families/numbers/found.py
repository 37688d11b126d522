"""The facts about its world that a `numbers` model gets: how fast what changes, what is whole."""

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
    # An environment tells all numbers as fractions, counts too. What was always whole stays so.
    whole = (arrays.state == np.round(arrays.state)).all(0) & (span >= 1)
    given = arrays.rewards[arrays.rewards != 0]
    return {
        "reward_unit": float(np.abs(given).mean()) if len(given) else 1.0,
        "sensor_whole": tuple(bool(v) for v in whole),
        "sensor_step": tuple(float(v) for v in np.maximum(change, LEAST * span)),
    }
