"""Whether a model obeys continuous controls: its answer to a step of one axis beside the sim's.

After the history one axis jumps from neutral to one of its ends, and stays there; the others keep
their last values. The answer is how far a sensor is then from where it is without the jump, under
the same chance. For each end these are the sensors that answer most in the sim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sims.contract import Array, Sim
from training.data.components import in_state, state_names
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.starts import Scene, sensor_matrix

SEED = 4000  # far from the seeds of other figures
STEPS = 20  # steps after the jump
SENSORS = 2  # that answer most, told for each end
LEAST = 0.01  # of a sensor's range: with a smaller answer of the sim, a rollout does not count


def measure(subject: Subject) -> Table | None:
    """Measure sign, gain and delay of each axis; None without axes, a sim or predicted sensors."""
    sim_class = subject.sim_class
    if sim_class is None or sim_class.spec.actions:
        return None
    spec = sim_class.spec
    ends = [
        (k, axis, end)
        for k, axis in enumerate(spec.axes)
        for end in (axis.low, axis.high)
        if end != axis.neutral
    ]
    rollouts = subject.recipe.evaluate.rollouts
    subject.expect(rollouts * (1 + 2 * STEPS * len(ends)))
    scene = subject.scene(SEED, STEPS, rollouts)
    player = subject.counted(players.Model(subject.model))
    player.watch(scene)
    player.step(scene.actions[:, 0], scene.chances[:, 0])
    if "sensors" not in player.shown:
        return None
    flat = [s for s in spec.sensors if in_state(s.shape)]
    names = state_names([{"name": s.name, "shape": s.shape} for s in flat])
    ranges = np.concatenate([np.full(int(np.prod(s.shape)), s.high - s.low) for s in flat])
    columns: list[dict[str, Any]] = []
    values: dict[str, bootstrap.Figure | None] = {}
    for k, axis, end in ends:
        mine, true = (
            play(_held(scene, k, end)) - play(_held(scene, k, axis.neutral))
            for play in (_model(player, scene), _sim(sim_class, scene))
        )
        answers = np.median(np.abs(true[:, -1]) / ranges, 0)
        for n in np.argsort(-answers, kind="stable")[:SENSORS]:
            some = np.abs(true[:, -1, n]) >= LEAST * ranges[n]
            found = _compared(mine[some, :, n], true[some, :, n])
            name = f"{axis.name} to {end:g}: {names[n]}"
            for what, (label, unit, better) in FIGURES.items():
                key = f"{what}@{name}"
                told = {"key": key, "label": f"{name}, {label}", "unit": unit}
                columns.append(told | {"better": better})
                values[key] = found[what]
    return {
        "title": "How it obeys the controls",
        "note": (
            f"One axis jumps to its end and stays there for {STEPS} steps, in {len(scene.actions)} "
            "rollouts: what a sensor gains by it in the model, beside what it gains in the sim."
        ),
        "columns": columns,
        "rows": [{"name": subject.recipe.family, "values": values}],
        "curve": None,
    }


FIGURES = {
    "sign": ("sign", "%", "high"),
    "gain": ("gain, 1 is the sim's, median", "", ""),
    "delay": ("delay behind the sim, median", "steps", ""),
}


def _compared(mine: Array, true: Array) -> dict[str, bootstrap.Figure | None]:
    """Return the figures of answers [N, T]."""
    if not len(true):
        return dict.fromkeys(FIGURES)
    halves = [
        (np.abs(one) >= np.abs(one[:, -1:]) / 2).argmax(1).astype(np.float64)
        for one in (mine, true)
    ]
    return {
        "sign": bootstrap.mean(np.sign(mine[:, -1]) == np.sign(true[:, -1]), True),
        "gain": bootstrap.median(mine[:, -1] / true[:, -1]),
        "delay": bootstrap.median(halves[0] - halves[1]),
    }


def _held(scene: Scene, axis: int, value: float) -> Array:
    """Return actions [N, T, A]: one axis at a value, the others where the history left them."""
    actions = np.repeat(scene.history_actions[:, -1:], STEPS, axis=1)
    actions[:, :, axis] = value
    return actions


def _model(player: players.Player, scene: Scene) -> Callable[[Array], Array]:
    def play(actions: Array) -> Array:
        player.watch(scene)
        seen = []
        for t in range(STEPS):
            player.step(actions[:, t], scene.chances[:, t])
            seen.append(player.shown["sensors"].copy())
        return np.stack(seen, 1)

    return play


def _sim(sim_class: type[Sim], scene: Scene) -> Callable[[Array], Array]:
    def play(actions: Array) -> Array:
        sim = sim_class(len(actions))
        sim.restore(scene.start)
        seen = []
        for t in range(STEPS):
            sim.step(actions[:, t], scene.chances[:, t])
            seen.append(sensor_matrix(sim))
        return np.stack(seen, 1)

    return play
