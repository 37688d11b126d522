"""In which scenarios a model does what the sim does, for how long.

From the first seconds of each scenario, the sim's first behaviour plays, and the model goes on
alone under the same actions and chance. A scenario is reproduced as long as no sensor parts from
the sim's, and the end neither: see `training.evaluation.beside`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from training.data.record import plan
from training.evaluation import bootstrap, players
from training.evaluation.beside import PARTED, Beside
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.starts import Scene, make_scene

SEED = 8500  # far from the seeds of other figures
SECONDS = 3.0
ROLLOUTS = 16  # of each scenario


def measure(subject: Subject) -> Table | None:
    """Measure each scenario; None for a world of a single one, or a model that tells no sensors."""
    sim_class, recipe = subject.sim_class, subject.recipe
    if sim_class is None or len(sim_class.spec.scenarios) < 2:
        return None
    if "sensors" not in subject.model.observed or not sim_class.spec.sensors:
        return None
    shares = plan(sim_class, recipe.data)["scenarios"]
    steps = round(SECONDS * sim_class.spec.rate)
    subject.expect(len(sim_class.spec.scenarios) * ROLLOUTS * steps)
    player = subject.counted(players.Model(subject.model))
    first = next(iter(sim_class.spec.behaviours))
    rows: list[dict[str, Any]] = []
    for name in sim_class.spec.scenarios:
        data = dataclasses.replace(recipe.data, scenarios={name: 1.0}, behaviours={first: 1.0})
        one = dataclasses.replace(recipe, data=data)
        scene = make_scene(sim_class, one, SEED, subject.model.config.history, steps, ROLLOUTS)
        scene = scene.pick(np.flatnonzero(scene.alive[:, 0]))
        parted, causes = _parted(player, scene, Beside(sim_class))
        values: dict[str, Any] = {
            "recorded": bootstrap.mean(np.full(1, shares.get(name, 0.0)), True),
            "kept": bootstrap.mean(parted == 0, True),
            "steps": bootstrap.median(np.where(parted == 0, steps, parted)),
        }
        for cause in Beside(sim_class).causes:
            values[cause] = bootstrap.mean(causes == cause, True)
        rows.append({"name": name, "values": values})
    columns = [
        {"key": key, "label": label, "unit": unit, "better": better}
        for key, (label, unit, better) in FIGURES.items()
    ]
    columns += [
        {"key": cause, "label": f"parts first by {cause}", "unit": "%", "better": ""}
        for cause in Beside(sim_class).causes
        if any(row["values"][cause]["mean"] for row in rows)
    ]
    return {
        "title": "Which scenarios it reproduces",
        "note": (
            f"{ROLLOUTS} starts in the first seconds of each scenario; the {first} plays, and the "
            f"model goes on alone for {SECONDS:g} seconds. It parts from the sim when a sensor is "
            f"{PARTED:.0%} of its range off, or when it does not tell the end as the sim does."
        ),
        "columns": columns,
        "rows": rows,
        "curve": None,
    }


FIGURES = {
    "recorded": ("share of the recorded games", "%", ""),
    "kept": (f"reproduced for {SECONDS:g} s", "%", "high"),
    "steps": ("steps until it parts, median", "steps", "high"),
}


def _parted(player: players.Player, scene: Scene, judge: Beside) -> tuple[Any, Any]:
    """Return the step at which each rollout parts [N], 0 for never, and by which cause [N]."""
    names = np.array([*judge.causes, ""])
    player.watch(scene)
    judge.begin(scene)
    count = len(scene.history)
    step, cause, on = np.zeros(count, np.int64), np.full(count, -1), np.ones(count, bool)
    for t in range(scene.actions.shape[1]):
        given, chances = scene.actions[:, t], scene.chances[:, t]
        frames = player.step(given, chances)
        wrong = judge.judge(given, chances, frames, player)
        now = on & wrong.any(1)
        step[now], cause[now] = t + 1, wrong[now].argmax(1)
        on &= ~now & ~judge.over(player.heads)
    return step, names[cause]
