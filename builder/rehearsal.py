"""A variant's graph as a player, so that the evaluation of the trained model measures them too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from builder import runtimes
from builder.replay import Array
from training.evaluate import Sample
from training.scenes import Scene


class Graph:
    """A variant's graph in onnxruntime, one rollout after another; see `players.Player`."""

    def __init__(self, graph: Path, told: Mapping[str, Any]) -> None:
        self.session = runtimes.open_session(graph)
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.state = told["state"]
        self.given = {entry["name"] for entry in told["inputs"]}
        self.states: list[dict[str, Array]] = []

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `players.Player`."""
        states = [
            {s["input"]: np.zeros(s["shape"], s["dtype"]) for s in self.state}
            for _ in scene.history
        ]
        past = scene.history_shown
        for t in range(scene.history.shape[1]):
            for i, state in enumerate(states):
                if t:
                    action, chance = (
                        scene.history_actions[i, t - 1],
                        scene.history_chances[i, t - 1],
                    )
                    self.advance(state, action[None], chance[None])
                state.update({f"state_{k}": v[i : i + 1, t] for k, v in past.items()})
        if rows is None:
            self.states = states
        else:
            for row, state in zip(rows, states, strict=True):
                self.states[row] = state

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `players.Player`."""
        return np.concatenate(
            [
                self.advance(state, actions[i : i + 1], chances[i : i + 1])
                for i, state in enumerate(self.states)
            ]
        )

    def advance(self, state: dict[str, Array], action: Array, chance: Array) -> Array:
        """Run the graph once for one rollout, carry its state, and return its frame."""
        given = {"action": action, "chance": chance}
        feeds = state | {name: value for name, value in given.items() if name in self.given}
        out = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
        state.update({s["input"]: out[s["output"]] for s in self.state})
        return np.asarray(out["frame"])


def outside(
    found: Mapping[str, Any], wanted: Mapping[str, Any], columns: list[dict[str, Any]]
) -> str:
    """Say which figure of a sample is worse than the interval of fp32's, or ""."""
    for column in columns:
        mine, theirs = found.get(column["key"]), wanted.get(column["key"])
        if not theirs:
            continue
        name = column["label"] + (f" at step {column['step']}" if "step" in column else "")
        if not mine:
            return f"{name} could not be measured"
        sign = 1 if column["better"] == "high" else -1
        worst = theirs["low" if column["better"] == "high" else "high"]
        if sign * (mine["mean"] - worst) < -1e-9:
            return (
                f"{name} {mine['mean']:.4g} {column['unit']}, fp32 has {theirs['low']:.4g} to "
                f"{theirs['high']:.4g}"
            )
    return ""


def table(sample: Sample | None, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the variants' figures as a table like those of metrics.json."""
    if sample is None:
        return None
    rows = [{"name": name, "values": values} for name, values in found.items() if values]
    rollouts, steps = sample.scene.actions.shape[:2]
    return {"columns": sample.columns, "rows": rows, "rollouts": rollouts, "steps": steps}
