"""Compare a model's frames with the sim's under the same actions and chance.

By horizon (pixels, objects), by events, and by the effect of each action from one state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.canvas import rgba
from sims.contract import Sim
from sims.detector import Detector, Label, Objects, at, joined
from training.data.components import Observation
from training.evaluation import bootstrap, observed
from training.evaluation.heads import Heads, nearest
from training.evaluation.players import Player, perform
from training.evaluation.starts import Scene, one_hot

Array = NDArray[Any]

PIXEL_LABELS: dict[str, Label] = {
    "psnr": ("PSNR", "dB", "high"),
    "moved": ("moved pixels right", "%", "high"),
    "exact": ("frames exact", "%", "high"),
}
HEAD_LABELS: dict[str, Label] = {
    "end_recall": ("ends of games that the model tells", "%", "high"),
    "end_precision": ("told ends that are true", "%", "high"),
    "reward_error": ("error of the reward, in parts of what the sim gives", "%", "low"),
}
WITHIN = 2  # most steps between a model's event and the sim's
HELD = 8  # steps for which each action is held to see its effect


def pixel_figures(scene: Scene, frames: Array) -> dict[str, Array]:
    """Compare frames with the sim's by pixels: float64 [N, T] each, NaN where not defined.

    `psnr` in dB, at most 60 (an exact frame); `moved`: the share of right pixels among the pixels
    that differ from the start frame in the sim or in the model; `exact`: the frame equals the
    sim's.
    """
    error = scene.frames[..., :3].astype(np.int16) - frames[..., :3]
    axes = tuple(range(2, error.ndim))
    mse = np.mean(error.astype(np.float32) ** 2, axes)
    wrong = np.any(error != 0, -1)
    start = scene.history[:, -1:]
    moved = np.any(scene.frames != start, -1) | np.any(frames != start, -1)
    count = moved.sum(axes[:-1])
    right = (moved & ~wrong).sum(axes[:-1])
    return {
        "psnr": np.minimum(60.0, 10 * np.log10(255.0**2 / np.maximum(mse, 1e-9))),
        "moved": np.where(count > 0, right / np.maximum(count, 1), np.nan),
        "exact": (~wrong.any(axes[:-1])).astype(np.float64),
    }


def moments(scene: Scene, steps: list[int]) -> Scene:
    """Return a scene with only some of its steps, counted from 1: to compare, not to play."""
    rows = (slice(None), np.array(steps, np.int64) - 1)
    parts = {
        name: getattr(scene, name)[rows]
        for name in ("frames", "actions", "chances", "alive", "rewards", "ends")
    }
    return replace(scene, **parts, truth=at(scene.truth, rows), events=at(scene.events, rows))


@dataclass
class Read:
    """What a detector reads from a scene and its later frames: objects and events [N, T]."""

    objects: Objects
    events: dict[str, Array]


def read(scene: Scene, frames: Array, detector: Detector) -> Read:
    """Read frames, uint8 as `scene.frames`; the earlier frames help to detect the first events."""
    past = detector.read(scene.history[:, :, 0])
    mine = detector.read(frames[:, :, 0])
    whole = joined([past, mine])
    found = detector.events(
        at(whole, (slice(None), slice(None, -1))), at(whole, (slice(None), slice(1, None)))
    )
    skipped = scene.history.shape[1] - 1
    return Read(mine, {name: value[:, skipped:] for name, value in found.items()})


def matches(mine: Array, true: Array, within: int = WITHIN) -> Array:
    """Pair events in time, bool [N, T] each: int64 [N, 3], those paired, mine alone, true alone."""
    out = np.zeros((len(mine), 3), np.int64)
    for counts, a, b in zip(out, map(np.flatnonzero, mine), map(np.flatnonzero, true), strict=True):
        i = j = 0
        while i < len(a) and j < len(b):
            near = abs(int(a[i]) - int(b[j])) <= within
            ahead = a[i] < b[j]
            counts[0] += near
            i += int(near or ahead)
            j += int(near or not ahead)
        counts[1:] = len(a) - counts[0], len(b) - counts[0]
    return out


def event_counts(mine: Read, true: dict[str, Array], alive: Array) -> dict[str, Array]:
    """Pair every kind of event, int64 [N, 3] each as `matches`; "all" is their sum."""
    # The last step's events may show only in a step that was not played.
    known = alive.copy()
    known[:, -1] = False
    counts = {name: matches(mine.events[name] & known, true[name] & known) for name in true}
    return {"all": np.sum(list(counts.values()), 0), **counts} if counts else {}


def event_figures(counts: dict[str, Array]) -> dict[str, bootstrap.Figure | None]:
    """Return F1, precision and recall in percent, by kind: keys "f1_all", "precision_brick"..."""
    out = {}
    for name, found in counts.items():
        both, mine, true = found.T
        out[f"f1_{name}"] = bootstrap.ratio(2 * both, 2 * both + mine + true)
        out[f"precision_{name}"] = bootstrap.ratio(both, both + mine)
        out[f"recall_{name}"] = bootstrap.ratio(both, both + true)
    return out


def event_columns(detector: Detector) -> list[dict[str, str]]:
    """Return the columns of `event_figures`, for tables."""
    kinds = {"all": "all events", **detector.event_labels}
    measures = {"f1": "F1", "precision": "precision", "recall": "recall"}
    return [
        {"key": f"{m}_{k}", "label": f"{said}: {how}", "unit": "%", "better": "high"}
        for k, said in kinds.items()
        for m, how in measures.items()
    ]


@dataclass
class Agreement:
    """One player's figures [N, steps] by name over all scenes, its paired events, and its heads."""

    steps: list[int]
    figures: dict[str, Array]
    events: dict[str, Array]
    heads: dict[str, Array] = field(default_factory=dict)  # as `head_counts`, if there are any

    def values(self, labels: dict[str, Label]) -> dict[str, bootstrap.Figure | None]:
        """Return the table's values, by keys such as "psnr@16"."""
        return {
            f"{key}@{step}": bootstrap.mean(values[:, i], labels[key][1] == "%")
            for key, values in self.figures.items()
            for i, step in enumerate(self.steps)
        }

    def curve(self, key: str, unit: str) -> list[bootstrap.Figure | None]:
        """Return one figure at each step."""
        return [bootstrap.mean(values, unit == "%") for values in self.figures[key].T]


def head_counts(heads: Heads | None, scene: Scene, values: Sequence[float]) -> dict[str, Array]:
    """Compare rewards and ends with the sim's until the games end, by rollout.

    `ends`, int64 [N, 3], as `matches`; `reward`, float64 [N, 2], the sums of errors and of the
    sim's rewards. `values` are the world's rewards; each predicted reward counts as the nearest of
    them.
    """
    if heads is None:
        return {}
    wrong = np.abs(nearest(heads.rewards, values) - scene.rewards) * scene.alive
    given = np.abs(scene.rewards) * scene.alive
    return {
        "ends": matches(heads.ends & scene.alive, scene.ends),
        "reward": np.stack([wrong.sum(1), given.sum(1)], 1, dtype=np.float64),
    }


def head_figures(counts: dict[str, Array]) -> dict[str, bootstrap.Figure | None]:
    """Return the figures of `HEAD_LABELS` in percent, from `head_counts`."""
    if not counts:
        return {}
    both, mine, true = counts["ends"].sum(0)
    # A game ends once: each end is a separate yes or no.
    return {
        "end_recall": bootstrap.mean(np.repeat([1.0, 0.0], [both, true]), True),
        "end_precision": bootstrap.mean(np.repeat([1.0, 0.0], [both, mine]), True),
        "reward_error": bootstrap.ratio(*counts["reward"].T),
    }


def head_columns() -> list[dict[str, str]]:
    """Return the columns of `head_figures`, for tables."""
    return [
        {"key": key, "label": label, "unit": unit, "better": better}
        for key, (label, unit, better) in HEAD_LABELS.items()
    ]


def agree(
    player: Player,
    scenes: list[Scene],
    detector: Detector | None,
    steps: list[int],
    rewards: Sequence[float] = (),
    observations: Sequence[Observation] = (),
) -> Agreement:
    """Let a player play scenes and compare it with the sim: at `steps`, by events and heads.

    `rewards` are the values that the world's rewards take; see `head_counts`. With `observations`,
    each of them is compared, in the place of the pixels.
    """
    parts = []
    for scene in scenes:
        frames, heads, shown = perform(player, scene)
        some, at_steps = moments(scene, steps), np.array(steps, np.int64) - 1
        if observations:
            told = {k: v[:, at_steps] for k, v in ({"frame": frames} | shown).items()}
            sim = {k: v[:, at_steps] for k, v in scene.shown.items()}
            figures = observed.figures(observations, sim, told)
        else:
            figures = pixel_figures(some, frames[:, at_steps])
        events = {}
        if detector:
            mine, true = read(scene, frames, detector), read(scene, scene.frames, detector)
            figures |= _objects(mine, true.objects, detector, steps)
            events = event_counts(mine, true.events, scene.alive)
        said = head_counts(heads, scene, rewards)
        parts.append((_alive(figures, some.alive), events, said))
    return Agreement(steps, *(joined([p[k] for p in parts], 0) for k in range(3)))


def detector_error(scenes: list[Scene], detector: Detector, steps: list[int]) -> Agreement:
    """Compare the detector's reading of the sim's own frames with the sim's state."""
    parts = []
    for scene in scenes:
        mine = read(scene, scene.frames, detector)
        figures = _objects(mine, scene.truth, detector, steps)
        events = event_counts(mine, scene.events, scene.alive)
        parts.append((_alive(figures, moments(scene, steps).alive), events))
    return Agreement(steps, *(joined([p[k] for p in parts], 0) for k in (0, 1)))


def _objects(mine: Read, true: Objects, detector: Detector, steps: list[int]) -> dict[str, Array]:
    where = (slice(None), np.array(steps, np.int64) - 1)
    return detector.compare(at(mine.objects, where), at(true, where))


def _alive(figures: dict[str, Array], alive: Array) -> dict[str, Array]:
    return {name: np.where(alive, values, np.nan) for name, values in figures.items()}


def controllability(
    player: Player, scene: Scene, sim_class: type[Sim], detector: Detector
) -> Array:
    """Hold every action for 8 steps from one state; was the controlled object where the sim's is.

    Returns float64 [N * actions], 1 where within the detector's tolerance, NaN if the game ended.
    """
    n = len(scene.actions)
    out = []
    for a in range(scene.actions.shape[2]):
        sim = sim_class(n)
        sim.restore(scene.start)
        actions = np.full(n, a, np.int64)
        given = one_hot(sim, actions)
        ended = np.zeros(n, bool)
        player.watch(scene)
        for _ in range(HELD):
            chances = sim.draw()
            ended |= sim.step(actions, chances)[1]
            mine = player.step(given, chances)
        near = detector.controlled(detector.read(mine[:, 0]), detector.read(rgba(sim)[:, 0]))
        out.append(np.where(ended, np.nan, near))
    return np.concatenate(out)
