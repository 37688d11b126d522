"""The facts about its world that a `transition` model gets: those of `latent`, and its geometry."""

from __future__ import annotations

from typing import Any

from training.data.components import observations
from training.data.dataset import Arrays
from training.families.latent import found
from training.recipe import Recipe


def config(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return fields of the `Config`; `spec` is the sim's, as the dataset holds it."""
    scans = {s["name"]: s for s in spec["sensors"] if s["show"] == "scan"}
    large = [o.name for o in observations(spec) if o.name in arrays.large]
    return found.config(recipe, spec, arrays) | {
        "lenses": tuple(
            (
                float(o["focal"]),
                float(o["height"]),
                float(o["width"]),
                *map(float, o["place"]),
                float(o["yaw"]),
                float(o["pitch"]),
            )
            for o in spec["cameras"]
        ),
        "scanners": tuple(
            (*map(float, scans[name]["place"]), *map(float, scans[name]["elevations"]))
            for name in large
            if name in scans
        ),
        "seconds": 1 / spec["rate"],
    }
