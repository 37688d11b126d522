"""The facts about its world that a `pixels` model gets: the contents that a cell changes to."""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.errors import UserError
from training.data.dataset import Arrays
from training.families.pixels.cells import ROWS, Contents, written
from training.families.pixels.options import PATCH, PATCHES, SIZES
from training.recipe import Recipe

LOOKED = 60  # parts of the recording, spread over all of it, in which contents are counted


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`: its sizes, and the most frequent contents of cells.

    Raises UserError for frames that cells do not divide, or with too many contents.
    """
    told = dict(recipe.model)
    patch = told.get("patch", PATCH)
    height, width = arrays.frames.shape[2:4]
    if height % patch or width % patch:
        raise UserError(
            f"recipe of {recipe.world}/{recipe.family}: model.patch is {patch}, and the frames "
            f"are {width} x {height}; give a patch that divides both"
        )
    contents = Contents(patch)
    counts = np.zeros(0, np.int64)
    starts = np.arange(0, len(arrays.frames), ROWS)
    for start in starts[np.linspace(0, len(starts) - 1, min(LOOKED, len(starts))).astype(int)]:
        numbers = contents.number(arrays.frames[start : start + ROWS])
        changed = numbers[1:][numbers[1:] != numbers[:-1]]
        counts = np.pad(counts, (0, len(contents.told) - len(counts)))
        counts += np.bincount(changed, minlength=len(counts))
    order = np.argsort(-counts, kind="stable")[: told.get("patches", PATCHES)]
    order = order[counts[order] > 0]
    channels, blocks = SIZES[told.get("size", "base")]
    return {
        "channels": channels,
        "blocks": blocks,
        "patches": len(order),
        "contents": written(contents.told[order]),
    }
