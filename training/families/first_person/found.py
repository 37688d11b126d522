"""The facts about its world that a `first_person` model gets: those of `numbers`, and its turns."""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.errors import UserError
from training.data.components import state_names
from training.data.dataset import Arrays
from training.families.first_person.model import Config
from training.families.numbers import found
from training.recipe import Recipe

ROUND = 0.01  # by how much a cosine and a sine may be off the circle
LEAST = 1e-4  # radians: the least turn in a step that counts


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`; `spec` is the sim's, as the dataset holds it."""
    told = found.config(recipe, spec, arrays)
    names = state_names(spec["sensors"])
    looks = recipe.model.get("look", Config.look)
    first, second = (names.index(name) for name in looks)
    size = np.hypot(arrays.state[:, first], arrays.state[:, second])
    if np.abs(size - 1).max() > ROUND:
        raise UserError(
            f"recipe {recipe.world}/{recipe.family}: model.look names {' and '.join(looks)}, "
            "and in the data they are no cosine and sine of one angle. "
            'Run: name those that are, or write family = "numbers"'
        )
    rows = arrays.windows(1)
    look = np.arctan2(arrays.state[:, second], arrays.state[:, first]).astype(np.float64)
    turn = np.abs((look[rows + 1] - look[rows] + np.pi) % (2 * np.pi) - np.pi).mean()
    step = list(told["sensor_step"])
    step[first], step[second] = max(LEAST, float(turn)), 1.0
    # Whichever way was looked while it was recorded, one can turn round.
    low, high = arrays.state_range.copy()
    low[[first, second]], high[[first, second]] = -1.0, 1.0
    return told | {
        "sensor_step": tuple(step),
        "sensor_low": tuple(float(v) for v in low),
        "sensor_high": tuple(float(v) for v in high),
    }
