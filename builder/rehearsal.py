"""A variant's graphs as a player, so that the evaluation of the trained model measures them too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from builder import runtimes
from builder.replay import Array, Files
from training.evaluate import Sample
from training.scenes import Scene


class Graphs:
    """A variant's graphs in onnxruntime, one rollout after another; see `players.Player`."""

    def __init__(self, files: Files, told: Mapping[str, Any]) -> None:
        self.encoder, self.stepper = (runtimes.open_session(files[p]) for p in ("encode", "step"))
        self.outputs = [output.name for output in self.stepper.get_outputs()]
        self.carried = {s["input"]: s["output"] for s in told["state"]}
        self.hidden = [s["input"] for s in told["state"] if not s["observed"]]
        self.told = told
        self.states: list[dict[str, Array]] = []

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `players.Player`."""
        past, shown = scene.history_parts, scene.observed
        names = [entry["name"] for entry in self.told["encode_inputs"]]
        seen = [s["input"] for s in self.told["state"] if s["observed"]]
        states = []
        for i in range(len(scene.history)):
            feeds = {name: past[name][i : i + 1] for name in names}
            state = dict(zip(self.hidden, self.encoder.run(self.hidden, feeds), strict=True))
            first = {name: shown[name.removeprefix("state_")][i : i + 1, 0] for name in seen}
            states.append(state | first)
        if rows is None:
            self.states = states
        else:
            for row, state in zip(rows, states, strict=True):
                self.states[row] = state

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `players.Player`."""
        names = {entry["name"] for entry in self.told["inputs"]}
        frames = []
        for i, state in enumerate(self.states):
            given = {"action": actions[i : i + 1], "chance": chances[i : i + 1]}
            feeds = state | {name: value for name, value in given.items() if name in names}
            out = dict(zip(self.outputs, self.stepper.run(None, feeds), strict=True))
            self.states[i] = {name: out[output] for name, output in self.carried.items()}
            frames.append(out["frame"])
        return np.concatenate(frames)


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
