"""Play recorded starts, actions and chance with a model: in PyTorch, and with its graph.

Two modes: `grounded`, every step from the sim's own frame (what the page's overlay does), and
`free`, every step from the model's own frame (what its neural mode does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from builder import runtimes
from training.agreement import PIXEL_LABELS, pixel_figures
from training.detectors import DETECTORS
from training.models import watch
from training.scenes import Scene

Array = NDArray[Any]
Mode = Literal["grounded", "free"]
MODES: tuple[Mode, ...] = ("grounded", "free")


@dataclass
class Reference:
    """What PyTorch makes of a scene: frames by mode, and states with what one step makes of them.

    `states` holds the step graph's inputs [M, 1, *shape] and `after` its outputs, by name.
    """

    frames: dict[Mode, Array]
    states: dict[str, Array]
    after: dict[str, Array]


def head(scene: Scene, rollouts: int) -> Scene:
    """Return the first rollouts of a scene."""
    return scene.pick(slice(0, rollouts))


@torch.no_grad()
def reference(model: Any, scene: Scene, states: int) -> Reference:
    """Play a scene in PyTorch in both modes, keeping some states on the way."""
    n, steps = scene.actions.shape[:2]
    every = max(1, 2 * n * steps // states)
    frames: dict[Mode, Array] = {}
    kept: dict[str, list[Array]] = {}
    after: dict[str, list[Array]] = {}
    shown = {name: torch.from_numpy(value) for name, value in scene.observed.items()}
    past = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in scene.history_parts.items()}
    for m, mode in enumerate(MODES):
        state = watch(model, **past)
        made_frames = []
        for t in range(steps):
            action = torch.from_numpy(scene.actions[:, t])
            chance = torch.from_numpy(scene.chances[:, t])
            if mode == "grounded":
                state = {k: shown[k][:, t] if k in shown else v for k, v in state.items()}
            frame, following, heads = model.step(state, action, chance)
            values = {f"state_{k}": v for k, v in state.items()}
            values |= {"action": action, "chance": chance}
            made = {"frame": frame, **heads}
            made |= {f"next_{k}": v for k, v in following.items() if k != "frame"}
            # A different rollout's state at each moment, spread over both modes.
            for i in range(n):
                if ((m * n + i) * steps + t) % every == 0:
                    for held, source in ((kept, values), (after, made)):
                        for name, value in source.items():
                            held.setdefault(name, []).append(value[i : i + 1].numpy().copy())
            state = following
            made_frames.append(frame.numpy())
        frames[mode] = np.stack(made_frames, 1)
    stacked = [{k: np.stack(v)[:states, None] for k, v in part.items()} for part in (kept, after)]
    return Reference(frames, *stacked)


def play(
    runtime: runtimes.Runtime, graph: Path, told: Mapping[str, Any], scene: Scene
) -> dict[Mode, Array]:
    """Play a scene with a variant's graph in both modes: frames uint8 [N, T, cams, H, W, 4]."""
    shown = scene.observed
    carried = {s["input"]: s["output"] for s in told["state"]}
    names = {entry["name"] for entry in told["inputs"]}

    def given(actions: Array, chances: Array) -> dict[str, Array]:
        both = {"action": actions, "chance": chances}
        return {name: value[:, :, None] for name, value in both.items() if name in names}

    # First it watches: what is not shown is carried along.
    blank = {s["input"]: np.zeros((len(scene.actions), *s["shape"]), s["dtype"])
             for s in told["state"] if not s["observed"]}  # fmt: skip
    hidden = list(blank)
    if hidden and scene.history_actions.shape[1]:
        seen = {f"state_{k}": v[:, :-1, None] for k, v in scene.history_shown.items()}
        feeds = given(scene.history_actions, scene.history_chances) | blank
        feeds |= {name: value for name, value in seen.items() if name in carried}
        keep = [carried[name] for name in hidden]
        watched = runtime.run(graph, feeds, {k: carried[k] for k in hidden}, keep).outputs
        blank = {name: watched[carried[name]][:, -1] for name in hidden}
    steps = given(scene.actions, scene.chances) | blank
    out: dict[Mode, Array] = {}
    for mode in MODES:
        carry = {k: v for k, v in carried.items() if mode == "free" or k in hidden}
        seen = {name: shown[name.removeprefix("state_")] for name in carried if name not in hidden}
        first = {k: v[:, 0, None] if mode == "free" else v[:, :, None] for k, v in seen.items()}
        ran = runtime.run(graph, steps | first, carry, ["frame"])
        out[mode] = ran.outputs["frame"][:, :, 0]
    return out


def one_step(
    runtime: runtimes.Runtime, graph: Path, told: Mapping[str, Any], truth: Reference, count: int
) -> dict[str, float]:
    """Compare one step from given states with PyTorch's.

    Returns `pixels`, the percentage that differ, `hidden`, the largest difference of the carried
    states, and `ms`, the median time of a step there, in milliseconds.
    """
    feeds = {e["name"]: truth.states[e["name"]][:count] for e in told["inputs"]}
    keep = [s["output"] for s in told["state"]]
    ran = runtime.run(graph, feeds, {}, keep)
    made = ran.outputs
    wrong = np.any(made["frame"] != truth.after["frame"][:count], -1)
    gaps = [
        np.abs(made[k].astype(np.float64) - truth.after[k][:count]).max()
        for k in keep
        if k != "frame"
    ]
    return {
        "pixels": float(100 * wrong.mean()),
        "hidden": float(max(gaps, default=0.0)),
        "ms": float(np.median(ran.ms)),
    }


def figures(scene: Scene, frames: Array, world: str) -> dict[str, float]:
    """Return each metric's mean over a scene's rollouts and steps, against the sim."""
    detector = DETECTORS.get(world)
    found = pixel_figures(scene, frames)
    if detector:
        truth = detector.read(scene.frames[:, :, 0])
        found |= detector.compare(detector.read(frames[:, :, 0]), truth)
    labels = labels_of(world)
    return {
        name: float(np.nanmean(values)) * (100 if labels[name][1] == "%" else 1)
        for name, values in found.items()
        if np.isfinite(values).any()
    }


def labels_of(world: str) -> dict[str, tuple[str, str, str]]:
    """Return (label, unit, better) of every metric that a world has."""
    detector = DETECTORS.get(world)
    return PIXEL_LABELS | (detector.labels if detector else {})
