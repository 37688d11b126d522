"""How near a model's range images are: what half of the rays miss by, and which of them come back.

The mean error of a scan is made by the few rays at the edges of things, where a small turn changes
a range by many metres. The median tells how near the usual ray is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.contract import Array
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table

SEED = 9500  # far from the seeds of other figures
SECONDS = (1.0, 3.0)
REPEATED = "last observation repeated"


def measure(subject: Subject) -> Table | None:
    """Measure the scans of a model; None for a world, or a model, without any."""
    if subject.sim_class:
        rate = subject.sim_class.spec.rate
        names = [s.name for s in subject.sim_class.spec.sensors if s.show == "scan"]
    else:
        assert subject.dataset is not None
        rate = subject.dataset.spec["rate"]
        names = [s["name"] for s in subject.dataset.spec["sensors"] if s["show"] == "scan"]
    names = [name for name in names if name in subject.model.observed]
    if not names:
        return None
    rollouts = subject.recipe.evaluate.rollouts
    scene = subject.scene(SEED, round(max(SECONDS) * rate), rollouts)
    steps = scene.actions.shape[1]
    horizons = [n for n in (round(seconds * rate) for seconds in SECONDS) if n <= steps]
    subject.expect(rollouts * steps)
    _, _, shown = players.perform(subject.counted(players.Model(subject.model)), scene)
    rows: list[dict[str, Any]] = []
    for who in (subject.recipe.family, REPEATED):
        values: dict[str, Any] = {}
        for name in names:
            for n in horizons:
                alive = scene.alive[:, n - 1]
                true = scene.shown[name][alive, n - 1]
                made = (
                    shown[name][:, n - 1] if who != REPEATED else scene.history_shown[name][:, -1]
                )
                values |= _figures(f"{name}.{{}}@{n}", made[alive], true)
        rows.append({"name": who, "values": values})
    return {
        "title": "How near its ranges are",
        "note": (
            f"Of {rollouts} rollouts under recorded controls: the median error of the rays that "
            "come back in the model and in truth, over each range image, and the rays of which it "
            "says rightly whether they come back."
        ),
        "columns": [
            {"key": f"{name}.{key}@{n}", "label": f"{name}, {label} at {n / rate:g} s",
             "unit": unit, "better": better}
            for name in names
            for n in horizons
            for key, label, unit, better in (
                ("median", "median error", "m", "low"), ("right", "rays right", "%", "high"),
            )
        ],
        "rows": rows,
        "curve": None,
    }  # fmt: skip


def _figures(key: str, made: Array, true: Array) -> dict[str, Any]:
    """Return the figures of range images [N, ...] by their key."""
    games = len(true)
    made, true = made.reshape(games, -1), true.reshape(games, -1)
    both = (made > 0) & (true > 0)
    off = np.where(both, np.abs(made.astype(np.float64) - true), np.nan)
    some = both.any(1)
    return {
        key.format("median"): bootstrap.mean(np.nanmedian(off[some], 1)),
        key.format("right"): bootstrap.mean(100.0 * ((made > 0) == (true > 0)).mean(1)),
    }
