"""The facts about its world that a `latent` model gets: its sensors, and how fast they change."""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.contract import Array
from training.data.components import in_state, observations
from training.data.dataset import Arrays
from training.recipe import Recipe

LOOKED = 2000  # recorded rows in which changes are measured
LEAST = 1e-3  # the least change that counts, in parts of a sensor's range


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`; `spec` is the sim's, as the dataset holds it."""
    large = [o for o in observations(spec) if o.name in arrays.large and not in_state(o.shape)]
    # A second, or less where most games are shorter.
    usual = int(np.median(arrays.episodes[:, 1] - arrays.episodes[:, 0]))
    later = max(1, min(round(spec["rate"]), usual - 1))
    rows = arrays.windows(later)
    rows = np.sort(np.random.default_rng(0).choice(rows, min(LOOKED, len(rows)), replace=False))
    span = np.maximum(arrays.state_range[1] - arrays.state_range[0], 1e-6)
    # The mean, not the mean square: that would be the one of a few jumps, as of the distance to the
    # car ahead where one comes into sight.
    change = np.abs(arrays.state[rows + later].astype(np.float64) - arrays.state[rows]).mean(0)
    step = np.maximum(change, LEAST * span)
    given = arrays.rewards[arrays.rewards != 0]
    return {
        "second": later,
        "reward_unit": float(np.abs(given).mean()) if len(given) else 1.0,
        "large": tuple((o.name, o.kind, o.shape, o.low, o.high) for o in large),
        "sensor_step": tuple(float(v) for v in step),
        "large_step": tuple(
            max(
                _change(arrays.sensors[o.name], rows, later),
                LEAST * (o.high - o.low),
            )
            for o in large
        ),
    }


def _change(values: Any, rows: Array, later: int) -> float:
    """Return the root mean square of the changes of all values over `later` rows."""
    change: Array = values[rows + later] - values[rows]
    return float(np.sqrt(np.mean(change.astype(np.float64) ** 2)))
