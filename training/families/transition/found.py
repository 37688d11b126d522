"""The facts about its world that a `transition` model gets: those of `latent`, and its geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.contract import Array
from sims.errors import UserError
from training.data.components import observations, state_names
from training.data.dataset import Arrays
from training.families.latent import found
from training.families.transition import options
from training.recipe import Recipe

LOOKED = 2000  # recorded rows in which the points of the route are measured
UNEVEN = 0.1  # of the usual spacing: what differs by less is as usual, a chord of a bend too
MOSTLY = 0.9  # of all recorded rows are as usual, for each point
EXACT = 0.01  # of a sensor's range: so far may it be from the rate of another
ALWAYS = 0.995  # of all recorded steps
FEWEST = 3  # points that tell a curve


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
        "spacing": _spacing(recipe, spec, arrays),
        "rates": _rates(recipe, spec, arrays),
    }


def _rates(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> tuple[tuple[int, int], ...]:
    """Return pairs of sensors: the first always tells how fast the second changed in a step.

    What tells how the vehicle moves is not one of the first: it is learned.
    """
    flat = state_names(spec["sensors"])
    known = [*options.UNITS.items(), *options.ROUTE.items()]
    learned = {str(recipe.model.get(key, usual)) for key, (usual, _) in known}
    rows = arrays.windows(1)
    rows = rows[np.linspace(0, len(rows) - 1, LOOKED).astype(np.int64)]
    before, after = arrays.state[rows], arrays.state[rows + 1]
    change = (after - before) * float(spec["rate"])
    near = EXACT * (arrays.state_range[1] - arrays.state_range[0])
    found = []
    for one in range(after.shape[1]):
        same = (np.abs(change - after[:, one, None]) < near[one]).mean(0) > ALWAYS
        # What hardly changes agrees with anything that does not.
        if flat[one] not in learned and np.std(after[:, one]) > near[one]:
            found += [(one, int(of)) for of in np.flatnonzero(same)[:1] if of != one]
    return tuple(found)


def _spacing(recipe: Recipe, spec: dict[str, Any], arrays: Arrays) -> float:
    """Return the metres between two points of the route; 0 where the world has no such route.

    The first point is as far ahead of the vehicle's own place on the route. Raises UserError if the
    recipe names a route whose points are not so.
    """
    given = recipe.model
    named = {key: str(given.get(key, usual)) for key, (usual, _) in options.ROUTE.items()}
    units = {s["name"]: s["unit"] for s in spec["sensors"]}
    if all(units.get(named[key]) == unit for key, (_, unit) in options.ROUTE.items()):
        kinds = {o.name: o.kind for o in observations(spec)}
        flat = state_names(spec["sensors"])
        if kinds[named["route"]] == "path" and {named["offset"], named["heading"]} <= {*flat}:
            rows = np.linspace(0, len(arrays.state) - 1, LOOKED).astype(np.int64)
            offset, heading = (arrays.state[rows, flat.index(named[k])] for k in tuple(named)[1:])
            spacing = _usual(np.asarray(arrays.sensors[named["route"]][rows]), offset, heading)
            fastest = arrays.state_range[1, flat.index(str(given.get("speed", "speed")))]
            if spacing > fastest / spec["rate"]:
                return spacing
    if asked := [key for key in options.ROUTE if key in given]:
        raise UserError(
            f"recipe {recipe.world}/{recipe.family}: {asked[0]} in [model] names no route that can "
            "be kept: it needs at least three points, equally far apart, the first as far ahead of "
            "the vehicle's place on it, and sensors of one number for the offset and the heading. "
            f"Run: take {', '.join(asked)} out of [model]; the route is then learned"
        )
    return 0.0


def _usual(points: Array, offset: Array, heading: Array) -> float:
    """Return the usual distance of points [R, P, 2], 0 if others are not seldom."""
    if points.ndim != 3 or points.shape[1] < FEWEST or points.shape[2] != 2:
        return 0.0
    here = -offset[:, None] * np.stack([np.sin(heading), np.cos(heading)], 1)
    ways = np.diff(points.astype(np.float64), axis=1, prepend=here[:, None])
    gaps = np.linalg.norm(ways, axis=2)
    usual = float(np.median(gaps))
    # The first way leads where the sensor says that the route does.
    ahead = ways[:, 0, 0] * np.cos(heading) - ways[:, 0, 1] * np.sin(heading)
    alike = np.abs(np.concatenate([gaps, ahead[:, None]], 1) - usual) < UNEVEN * usual
    return round(usual, 3) if alike.mean(0).min() > MOSTLY else 0.0
