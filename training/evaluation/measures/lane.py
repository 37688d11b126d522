"""How long a vehicle keeps its lane in a model, steered by what the model itself says.

The usual driver by rule (see `drivers`) sees only the model's sensors, and the model sees only the
driver's controls. A drive has left its lane once the vehicle is off the road. It has come to
nothing once the vehicle is suddenly elsewhere: beside its lane, or at another speed, by more than a
vehicle can move in a step. The sim is measured in the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.contract import Array
from training.evaluation import bootstrap
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.measures.drivers import DRIVERS, OFF, Drive, Roads

SEED = 9000  # far from the seeds of other figures
SECONDS = (5.0, 10.0, 20.0)
DRIVER = "usual"
ASIDE, FASTER = 20.0, 20.0  # m/s to the side, and m/s^2: what no vehicle does
POINTS = 50  # of the curve


def measure(subject: Subject) -> Table | None:
    """Measure how many drives stay in their lane; None for a world of other sensors."""
    roads = Roads.of(subject, SEED, max(SECONDS))
    if roads is None:
        return None
    games, steps = roads.scene.actions.shape[:2]
    rate = roads.sim_class.spec.rate
    subject.expect(games * steps)
    kept = {
        subject.recipe.family: _kept(roads.in_model(DRIVERS[DRIVER])),
        "the sim itself": _kept(roads.in_sim(DRIVERS[DRIVER])),
    }
    horizons = [round(seconds * rate) for seconds in SECONDS]
    grid = sorted({round(steps * k / POINTS) for k in range(POINTS + 1)})
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "values": {f"kept@{n}": bootstrap.mean(until >= n, True) for n in horizons},
        }
        for name, until in kept.items()
    ]
    return {
        "title": "How long it keeps the lane",
        "note": (
            f"The usual driver of the table of drivers drives for {max(SECONDS):g} seconds from "
            f"{games} starts. A drive counts until it is {OFF:g} m beside its lane, or suddenly "
            "elsewhere."
        ),
        "columns": [
            {"key": f"kept@{n}", "label": f"in its lane for {n / rate:g} s", "unit": "%",
             "better": "high"}
            for n in horizons
        ],
        "rows": rows,
        "curve": {
            "label": "drives that are in their lane",
            "unit": "%",
            "steps": grid,
            "series": {
                name: [bootstrap.mean(until >= n, True) for n in grid]
                for name, until in kept.items()
            },
        },
    }  # fmt: skip


def _kept(drive: Drive) -> Array:
    """Return for how many steps each vehicle was in its lane, int64 [N].

    A drive that was over, or that came to its end, counts as far as it goes: as in its lane.
    """
    aside, speed = drive.said["lateral_offset"], drive.said["speed"]
    lost = np.abs(aside) > OFF
    for value, most in ((aside, ASIDE), (speed, FASTER)):
        lost[:, 1:] |= np.abs(np.diff(value, axis=1)) * drive.rate > most
    lost &= drive.on
    steps = lost.shape[1]
    return np.asarray(np.where(lost.any(1), lost.argmax(1), steps))
