"""Play recorded starts, actions and chance with a model: in PyTorch, and with its graph.

Two modes: `grounded`, every step from the sim's own frame (as in the page's overlay mode), and
`free`, every step from the model's own frame (as in its neural mode).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from builder.export import runtimes
from sims.detector import Label, detector_of, joined
from training.data.components import Observation
from training.evaluation import observed
from training.evaluation.agreement import (
    HEAD_LABELS,
    PIXEL_LABELS,
    head_counts,
    head_figures,
    pixel_figures,
)
from training.evaluation.heads import ENDED, Heads, nearest
from training.evaluation.players import tensors
from training.evaluation.starts import Scene, stacked
from training.families.base import watch

Array = NDArray[Any]
Mode = Literal["grounded", "free"]
MODES: tuple[Mode, ...] = ("grounded", "free")
# A larger difference from PyTorch counts as another answer: of a probability, and of the largest
# reward.
APART, REWARD_APART = 0.25, 0.05
LEVELS = 2  # of 0..255: rounding, and no difference that is seen
SENSED = 0.01  # of a sensor's range in the recorded states


@dataclass(frozen=True)
class Played:
    """A model's play of a scene: frames uint8 [N, T, cams, H, W, 4], and its heads [N, T].

    `shown` [N, T, ...]: its predicted sensors by name, if it has no palette.
    """

    frames: Array
    heads: Heads
    shown: dict[str, Array] = field(default_factory=dict)

    def head(self, rollouts: int) -> Played:
        """Return the first rollouts."""
        heads = Heads(self.heads.rewards[:rollouts], self.heads.ends[:rollouts])
        shown = {name: value[:rollouts] for name, value in self.shown.items()}
        return Played(self.frames[:rollouts], heads, shown)


@dataclass
class Reference:
    """PyTorch's play of a scene by mode, and states with the results of a step from them.

    `states` holds the step graph's inputs [M, 1, *shape] and `after` its outputs, by name. `exact`:
    the model paints from a palette, so that a pixel is right or wrong.
    """

    played: dict[Mode, Played]
    states: dict[str, Array]
    after: dict[str, Array]
    exact: bool = True


def head(scene: Scene, rollouts: int) -> Scene:
    """Return the first rollouts of a scene."""
    return scene.pick(slice(0, rollouts))


@torch.no_grad()
def reference(model: Any, scene: Scene, states: int) -> Reference:
    """Play a scene in PyTorch in both modes, and store some of the states."""
    n, steps = scene.actions.shape[:2]
    every = max(1, 2 * n * steps // states)
    played: dict[Mode, Played] = {}
    kept: dict[str, list[Array]] = {}
    after: dict[str, list[Array]] = {}
    shown, past = tensors(scene.observed), tensors(scene.history_parts)
    for m, mode in enumerate(MODES):
        state = watch(model, **past)
        made_frames, rewards, ends = [], [], []
        sensed: list[dict[str, Array]] = []
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
            # A state of a different rollout at each moment, spread over both modes.
            for i in range(n):
                if ((m * n + i) * steps + t) % every == 0:
                    for held, source in ((kept, values), (after, made)):
                        for name, value in source.items():
                            held.setdefault(name, []).append(value[i : i + 1].numpy().copy())
            state = following
            made_frames.append(frame.numpy())
            sensed.append({k: following[k].numpy() for k in _sensed(model)})
            rewards.append(heads["reward"].numpy())
            ends.append(heads["terminated"].numpy() > ENDED)
        told = Heads(np.stack(rewards, 1), np.stack(ends, 1))
        played[mode] = Played(np.stack(made_frames, 1), told, stacked(sensed))
    first, then = ({k: np.stack(v)[:states, None] for k, v in p.items()} for p in (kept, after))
    return Reference(played, first, then, model.palette_frames)


def _sensed(model: Any) -> list[str]:
    """Return the predicted sensors of a model without a palette, by the names of its states."""
    blank = {} if model.palette_frames else model.blank()
    return [k for k in model.observed if k != "frame" and k in blank and blank[k].numel()]


def mingled(some: Mapping[str, Array], others: Mapping[str, Array]) -> dict[str, Array]:
    """Return states of two kinds in turn, so that the first few include both."""
    out = {}
    for name, value in some.items():
        shared = min(len(value), len(others[name]))
        turns = np.stack([value[:shared], others[name][:shared]], 1)
        rest = [part[shared:] for part in (value, others[name])]
        out[name] = np.concatenate([turns.reshape(2 * shared, *value.shape[1:]), *rest])
    return out


def play(
    runtime: runtimes.Runtime,
    graph: Path,
    told: Mapping[str, Any],
    scene: Scene,
    sensed: Sequence[str] = (),
) -> dict[Mode, Played]:
    """Play a scene with a variant's graph in both modes; keep the `sensed` states too."""
    shown = scene.observed
    carried = {s["input"]: s["output"] for s in told["state"]}
    names = {entry["name"] for entry in told["inputs"]}

    def given(actions: Array, chances: Array) -> dict[str, Array]:
        both = {"action": actions, "chance": chances}
        return {name: value[:, :, None] for name, value in both.items() if name in names}

    # The steps through the history come first; other states are carried along.
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
    out: dict[Mode, Played] = {}
    for mode in MODES:
        carry = {k: v for k, v in carried.items() if mode == "free" or k in hidden}
        seen = {name: shown[name.removeprefix("state_")] for name in carried if name not in hidden}
        first = {k: v[:, 0, None] if mode == "free" else v[:, :, None] for k, v in seen.items()}
        keep = ["frame", "reward", "terminated", *(carried[f"state_{name}"] for name in sensed)]
        made = runtime.run(graph, steps | first, carry, keep).outputs
        heads = Heads(made["reward"][:, :, 0], made["terminated"][:, :, 0] > ENDED)
        told_sensors = {name: made[carried[f"state_{name}"]][:, :, 0] for name in sensed}
        out[mode] = Played(made["frame"][:, :, 0], heads, told_sensors)
    return out


def at_ends(model: Any, closing: Scene) -> Reference:
    """Return the states before the last step of each rollout, the sim's result, and PyTorch's."""
    n, steps = closing.actions.shape[:2]
    whole = reference(model, closing, 2 * n * steps)
    last = slice((steps - 1) * n, steps * n)
    states, after = ({k: v[last] for k, v in part.items()} for part in (whole.states, whole.after))
    return Reference(whole.played, states, after, whole.exact)


def one_step(
    runtime: runtimes.Runtime,
    graph: Path,
    told: Mapping[str, Any],
    truth: Reference,
    count: int,
    rewards: Sequence[float] = (),
) -> dict[str, float]:
    """Compare one step from given states with PyTorch's.

    Returns `pixels`, the percentage that differ, `hidden`, the largest difference of the carried
    states, `ends` and `rewards`, the percentages of steps with another end or reward, and `ms`, the
    median time of a step there, in milliseconds. Pixels of a model without a palette differ by more
    than `LEVELS`; its predicted sensors are compared by themselves: `sensors` is the percentage
    that differs by more than `SENSED` of its range.
    """
    feeds = {e["name"]: truth.states[e["name"]][:count] for e in told["inputs"]}
    keep = [s["output"] for s in told["state"]]
    ran = runtime.run(graph, feeds, {}, [*keep, "reward", "terminated"])
    made = ran.outputs
    after = {name: truth.after[name][:count] for name in ("reward", "terminated")}
    reward = np.abs(nearest(made["reward"], rewards) - nearest(after["reward"], rewards))
    end = np.abs(made["terminated"] - after["terminated"])
    least = REWARD_APART * np.abs(rewards or truth.after["reward"]).max()
    tones = np.abs(made["frame"].astype(np.int16) - truth.after["frame"][:count])
    wrong = np.any(tones > (0 if truth.exact else LEVELS), -1)
    sensed = {s["output"] for s in told["state"] if s["observed"] and s["output"] != "frame"} - (
        set(keep) if truth.exact else set()
    )
    gaps = {
        k: np.abs(made[k].astype(np.float64) - truth.after[k][:count]) for k in keep if k != "frame"
    }
    off = [(gap > SENSED * np.ptp(truth.after[k])).mean() for k, gap in gaps.items() if k in sensed]
    return {
        "pixels": float(100 * wrong.mean()),
        "hidden": float(
            max((gap.max() for k, gap in gaps.items() if k not in sensed), default=0.0)
        ),
        **({"sensors": float(100 * max(off))} if off else {}),
        "ends": float(100 * (end > APART).mean()),
        "rewards": float(100 * (reward > least).mean()),
        "ms": float(np.median(ran.ms)),
    }


def figures(
    scene: Scene, played: Played, world: str, sensors: Sequence[Observation] = ()
) -> dict[str, float]:
    """Return each metric's mean over a scene's rollouts and steps, against the sim.

    The predicted `sensors` count in their own units (`training.evaluation.observed`).
    """
    detector, frames = detector_of(world), played.frames
    found = pixel_figures(scene, frames) | observed.figures(sensors, scene.shown, played.shown)
    if detector:
        truth = detector.read(scene.frames[:, :, 0])
        found |= detector.compare(detector.read(frames[:, :, 0]), truth)
    labels = labels_of(world, sensors)
    return {
        name: float(np.nanmean(values)) * (100 if labels[name][1] == "%" else 1)
        for name, values in found.items()
        if np.isfinite(values).any()
    }


def said(
    played: list[tuple[Scene, Played]], rewards: Sequence[float], mode: Mode
) -> dict[str, float]:
    """Return the predictions of ends and rewards over all of some scenes, against the sim.

    Of a model that plays alone, only the first end that it tells counts: the page ends the game
    there.
    """

    def told(heads: Heads) -> Heads:
        first = heads.ends & (heads.ends.cumsum(1) == 1)
        return Heads(heads.rewards, first) if mode == "free" else heads

    counts = joined([head_counts(told(one.heads), scene, rewards) for scene, one in played], 0)
    return {name: value["mean"] for name, value in head_figures(counts).items() if value}


def labels_of(world: str, sensors: Sequence[Observation] = ()) -> dict[str, Label]:
    """Return the label of every metric that a world has."""
    detector = detector_of(world)
    ours = PIXEL_LABELS | HEAD_LABELS | observed.labels(sensors)
    return ours | (detector.labels if detector else {})
