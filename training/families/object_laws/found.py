"""The facts about a world that an `object_laws` model gets: landmarks, and units from the data."""

from __future__ import annotations

from typing import Any

from sims.errors import UserError
from training.data.components import state_names
from training.data.dataset import Arrays
from training.families.object_laws.twins import Twin
from training.families.object_laws.units import find_units
from training.recipe import Recipe

PLACED = ("x", "y", "present")  # keys of a landmark that name a sensor value


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`; UserError for impossible landmarks.

    `spec` is the sim's, as the dataset holds it.
    """
    marks = recipe.model.get("landmarks", [])
    return {
        "landmarks": tuple(_landmark(mark, spec, recipe) for mark in marks),
        "twins": _twins(recipe, spec),
        "units": find_units(arrays.frames, len(arrays.palette)),
    }


def _landmark(
    mark: dict[str, Any], spec: dict[str, Any], recipe: Recipe
) -> tuple[int, int, int, float, float]:
    """Turn a landmark of a recipe ({x, y, present: sensor value, shift: px}) into indices."""
    names = state_names(spec["sensors"])
    where = _landmarks_of(recipe)
    found = []
    for key in PLACED:
        name = mark.get(key)
        if name is not None and name not in names:
            raise UserError(f"{where}: no sensor value '{name}'; the sim has {', '.join(names)}.")
        found.append(-1 if name is None else names.index(name))
    dx, dy = (float(v) for v in mark.get("shift", (0.0, 0.0)))
    return (found[0], found[1], found[2], dx, dy)


def _landmarks_of(recipe: Recipe) -> str:
    return f"recipe {recipe.world}/{recipe.family}: model.landmarks"


def _twins(recipe: Recipe, spec: dict[str, Any]) -> tuple[Twin, ...]:
    """Return for each landmark that is `like` another the pairs of corresponding sensor values.

    `like` names the other landmark by its x. All values of the sensors of both correspond.
    """
    names = state_names(spec["sensors"])
    marks = recipe.model.get("landmarks", [])
    found = []
    for mark in marks:
        if "like" not in mark:
            continue
        where = f"{_landmarks_of(recipe)}: '{mark.get('x')}' is like '{mark['like']}'"
        others = [m for m in marks if m.get("x") == mark["like"] and "like" not in m]
        if not others:
            raise UserError(f"{where}, which is the x of no landmark that is like none.")
        pairs: dict[str, str] = {}
        for key in PLACED:
            mine, other = (str(m.get(key, "")).partition(".")[0] for m in (mark, others[0]))
            values = [[n for n in names if n.partition(".")[0] == s] for s in (mine, other)]
            if len(values[0]) != len(values[1]):
                raise UserError(
                    f"{where}, but '{mine}' has {len(values[0])} values and '{other}' "
                    f"{len(values[1])}. Give both sensors the same."
                )
            pairs |= dict(zip(*values, strict=True))
        if any(a == b for a, b in pairs.items()):
            raise UserError(f"{where}, but they share a sensor. Give each its own.")
        found.append(tuple((names.index(a), names.index(b)) for a, b in pairs.items()))
    return tuple(found)
