"""The facts about its world that a `first_person` model gets: those of `numbers`, and its turns."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.data.components import state_names
from training.data.dataset import Arrays
from training.families.first_person.model import Config
from training.families.numbers import found
from training.recipe import Recipe

LEAST = 1e-4  # radians: the least turn in a step that counts


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`; `spec` is the sim's, as the dataset holds it."""
    told = found.config(recipe, spec, arrays)
    names = state_names(spec["sensors"])
    first, second = (names.index(name) for name in recipe.model.get("look", Config.look))
    rows = arrays.windows(1)
    look = np.arctan2(arrays.state[:, second], arrays.state[:, first]).astype(np.float64)
    turn = np.abs((look[rows + 1] - look[rows] + np.pi) % (2 * np.pi) - np.pi).mean()
    step = list(told["sensor_step"])
    step[first], step[second] = max(LEAST, float(turn)), 1.0
    return told | {"sensor_step": tuple(step)}
