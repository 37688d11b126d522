"""Where a vehicle comes to: the way that its predicted speed and turn lead it, beside the true way.

The errors are those of motion forecasting: ADE, the mean distance from the true place over all
steps, and FDE, the distance at the last one. Beside the model stands constant velocity: the speed
and the turn of the start, held.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sims.contract import Array
from training.data.components import in_state
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table

SEED = 7000  # far from the seeds of other figures
SECONDS = (1.0, 3.0)
SPEED, TURN = "m/s", "rad/s"  # units of the first sensors that tell how a vehicle moves
HELD = "speed and turn held"


def measure(subject: Subject) -> Table | None:
    """Measure ADE and FDE; None for a world in which no sensor tells speed and turn."""
    if subject.sim_class:
        rate = subject.sim_class.spec.rate
        told = [(s.unit, s.shape) for s in subject.sim_class.spec.sensors]
    else:
        assert subject.dataset is not None
        rate = subject.dataset.spec["rate"]
        told = [(s["unit"], s["shape"]) for s in subject.dataset.spec["sensors"]]
    flat = [unit for unit, shape in told if in_state(shape) for _ in range(math.prod(shape))]
    if SPEED not in flat or TURN not in flat:
        return None
    at = flat.index(SPEED), flat.index(TURN)
    rollouts = subject.recipe.evaluate.rollouts
    wanted = round(max(SECONDS) * rate)
    scene = subject.scene(SEED, wanted, rollouts)
    steps = scene.actions.shape[1]
    horizons = [n for n in (round(seconds * rate) for seconds in SECONDS) if n <= steps]
    cast = {
        subject.recipe.family: players.Model(subject.model),
        "actions shuffled": players.Model(subject.model, act="shuffled"),
    }
    subject.expect(len(cast) * rollouts * steps)
    # Where the drive was over before, the vehicle stood still in the sim.
    whole = scene.alive.all(1)
    true = _way(scene.sensors[:, :, at[0]], scene.sensors[:, :, at[1]], rate)
    rows = []
    for name, player in cast.items():
        _, _, shown = players.perform(subject.counted(player), scene)
        if "sensors" not in shown:
            return None
        made = _way(shown["sensors"][:, :, at[0]], shown["sensors"][:, :, at[1]], rate)
        rows.append({"name": name, "values": _errors(made[whole], true[whole], horizons)})
    last = scene.history_sensors[:, -1:]
    held = _way(
        np.repeat(last[:, :, at[0]], steps, 1), np.repeat(last[:, :, at[1]], steps, 1), rate
    )
    rows.append({"name": HELD, "values": _errors(held[whole], true[whole], horizons)})
    return {
        "title": "Where it comes to",
        "note": (
            f"The way that speed and turn lead the vehicle, in {int(whole.sum())} rollouts under "
            "recorded controls: how far it is from the true one, on average (ADE) and at last "
            "(FDE)."
        ),
        "columns": [
            {"key": f"{what}@{n}", "label": f"{what.upper()} at {n / rate:g} s", "unit": "m",
             "better": "low"}
            for n in horizons
            for what in ("ade", "fde")
        ],
        "rows": rows,
        "curve": None,
    }  # fmt: skip


def _way(speed: Array, turn: Array, rate: float) -> Array:
    """Return places float64 [N, T, 2]: ahead and to the left of the start, in metres."""
    turned = np.cumsum(turn.astype(np.float64), 1) / rate
    middle = turned - turn / (2 * rate)  # the heading half way through each step
    metres = speed.astype(np.float64) / rate
    return np.cumsum(np.stack([metres * np.cos(middle), metres * np.sin(middle)], -1), 1)


def _errors(made: Array, true: Array, horizons: list[int]) -> dict[str, Any]:
    off = np.linalg.norm(made - true, axis=-1)
    told: dict[str, Any] = {}
    for n in horizons:
        told[f"ade@{n}"] = bootstrap.mean(off[:, :n].mean(1))
        told[f"fde@{n}"] = bootstrap.mean(off[:, n - 1])
    return told
