"""A variant's graph as a player, so that the evaluation of the trained model can measure it too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from builder.export import export, runtimes
from builder.export.replay import Array
from training.evaluation.evaluate import Sample
from training.evaluation.heads import ENDED, Heads
from training.evaluation.starts import Scene

# A game that continues differently gives other rewards: the gate compares them only from the sim's
# frames.
UNGATED = "reward_error"


class Graph:
    """A variant's graph in a runtime, N rollouts side by side; see `players.Player`."""

    def __init__(self, runtime: runtimes.Runtime, graph: Path, told: Mapping[str, Any]) -> None:
        self.runtime, self.graph = runtime, graph
        self.carried = told["state"]
        self.given = {entry["name"] for entry in told["inputs"]}
        self.state: dict[str, Array] = {}  # [N, *shape] by input
        self.heads: Heads | None = None
        self.shown: dict[str, Array] = {}

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `players.Player`."""
        n, steps = scene.history.shape[:2]
        state = {s["input"]: np.zeros((n, *s["shape"]), s["dtype"]) for s in self.carried}
        shown = {f"state_{name}": value for name, value in scene.history_shown.items()}
        for t in range(steps):
            if t:
                self.run(state, scene.history_actions[:, t - 1], scene.history_chances[:, t - 1])
            state |= {name: shown[name][:, t, None].copy() for name in state if name in shown}
        if rows is None:
            self.state = state
        else:
            for name, value in state.items():
                self.state[name][rows] = value

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `players.Player`."""
        return self.run(self.state, actions, chances)

    def run(self, state: dict[str, Array], actions: Array, chances: Array) -> Array:
        """Run the graph once for all rollouts, update their states, and return their frames."""
        given = {"action": actions, "chance": chances}
        feeds = {name: value[:, None] for name, value in state.items()}
        feeds |= {name: value[:, None, None] for name, value in given.items() if name in self.given}
        outputs = [*(s["output"] for s in self.carried), "reward", "terminated"]
        out = self.runtime.run(self.graph, feeds, {}, outputs).outputs
        state.update({s["input"]: out[s["output"]][:, 0].copy() for s in self.carried})
        told = (s for s in self.carried if s["observed"] and s["output"] != export.FRAME)
        self.shown = {s["input"].removeprefix("state_"): state[s["input"]][:, 0] for s in told}
        self.heads = Heads(out["reward"][:, 0, 0], out["terminated"][:, 0, 0] > ENDED)
        return out[export.FRAME][:, 0, 0]


def outside(
    found: Mapping[str, Any], wanted: Mapping[str, Any], columns: list[dict[str, Any]]
) -> str:
    """Return which figure of a sample is worse than the interval of fp32's, or ""."""
    for column in columns:
        mine, theirs = found.get(column["key"]), wanted.get(column["key"])
        if not theirs or column["key"] == UNGATED:
            continue
        name = column["label"] + (f" at step {column['step']}" if "step" in column else "")
        # A share whose interval includes 0 need not be measurable.
        if not mine and column["better"] == "high" and theirs["low"] <= 0:
            continue
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
