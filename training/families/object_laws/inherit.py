"""Pass weights to a model that has more sensors or landmarks.

If a sim gets a new sensor or landmark, a layer that reads them gets new inputs in between. Its
knowledge stays with the same values, by their names. New values have no effect at first, unless
they are like known ones (`training.families.object_laws.twins`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.families.base import State
from training.families.object_laws.landmarks import MARKED, NEAR, Landmark
from training.families.object_laws.twins import Twins

# Values along an axis, in order: a kind, and how many values each thing of that kind has. "" is the
# axis itself; "marks", "sensors" and "pairs" are of landmarks, sensors and pairs of landmarks;
# "told" is `Landmarks.tell`.
Runs = list[tuple[str, int]]
BOTH: Runs = [("sensors", 1), ("sensors", 1)]
DISTANCES: Runs = [("pairs", 2), ("pairs", 2 * (2 * NEAR + 1))]  # `Landmarks.apart`
HALVES = 6 * (4 * NEAR + 2)  # of each pair, `Landmarks.halves`


@dataclass(frozen=True)
class Axis:
    """One axis of a weight with values of sensors or landmarks.

    The values of a landmark and its sensors also apply to its twin if the twin has places of its
    own, `alike`; otherwise the twin is read in the other's place.
    """

    axis: int
    runs: Runs
    alike: bool = False


def size(runs: Runs, sensors: int, marks: int) -> int:
    """Return the number of values along an axis."""
    pairs = marks * (marks - 1) // 2
    told = marks * (MARKED + sensors)
    counts = {"": 1, "sensors": sensors, "marks": marks, "pairs": pairs, "told": told}
    return sum(counts[what] * each for what, each in runs)


class Kin:
    """Which sensor values and landmarks of another model are those of this one (-1: none).

    `counts` are the other's sensor values and landmarks. For each landmark without a landmark in
    the other model, `alike` holds its twin's, and all sensor values with both exchanged.
    """

    def __init__(
        self, sensors: Sequence[int], marks: Sequence[int], counts: tuple[int, int],
        alike: Mapping[int, tuple[int, Sequence[int]]] | None = None,
    ) -> None:  # fmt: skip
        self.sensors, self.marks, self.counts = sensors, marks, counts
        self.alike = alike or {}

    def index(self, runs: Runs, alike: bool = False) -> Tensor:
        """Return for each value along this model's axis its place along the other's, or -1."""
        found: list[int] = []
        start = 0
        for what, each in runs:
            found += [start + at if at >= 0 else -1 for at in self._run(what, each, alike)]
            start += size([(what, each)], *self.counts)
        return torch.tensor(found, dtype=torch.int64)

    def _run(self, what: str, each: int, alike: bool) -> list[int]:
        if what == "":
            return list(range(each))
        own = [(mark, self.sensors) for mark in self.marks]
        if alike:
            own = [self.alike.get(k, one) for k, one in enumerate(own)]
        if what == "told":
            first, told = MARKED, MARKED + self.counts[0]
            found = []
            for mark, sensors in own:
                parts = [*range(first), *(first + s if s >= 0 else -1 for s in sensors)]
                found += [told * mark + at if mark >= 0 and at >= 0 else -1 for at in parts]
            return found
        order = self.sensors
        if what == "marks":
            order = [mark for mark, _ in own]
        elif what == "sensors" and alike:
            likes = [self.sensors, *(sensors for _, sensors in self.alike.values())]
            order = [max(known) if known[0] < 0 else known[0] for known in zip(*likes, strict=True)]
        elif what == "pairs":
            before = {pair: k for k, pair in enumerate(combinations(range(self.counts[1]), 2))}
            order = [before.get(pair, -1) for pair in combinations(self.marks, 2)]
        return [each * k + i if k >= 0 else -1 for k in order for i in range(each)]


def exchanged(twins: Twins, view: int, landmarks: Sequence[Landmark]) -> Kin:
    """Return the order of sensor values and landmarks in a view of the same model."""
    order = twins.exchanged[view]
    marks = _matching(landmarks, landmarks, order)
    return Kin(order, marks, (len(order), len(marks)))


def kin(config: Any, before: Any) -> Kin:
    """Return the common parts of two models, by their Configs: by the names of sensor values."""
    places = {name: k for k, name in enumerate(before.sensors)}
    sensors = [places.get(name, -1) for name in config.sensors]
    if not before.sensors and len(before.sensor_low) == len(config.sensor_low):
        sensors = list(range(len(config.sensor_low)))
    marks = _matching(config.landmarks, before.landmarks, sensors)
    twins = Twins(config.twins, len(sensors), [mark[0] for mark in config.landmarks])
    alike = {}
    for k, view in enumerate(twins.seer.tolist()):
        if marks[k] < 0 and view:
            order = [sensors[s] for s in twins.exchanged[view]]
            alike[k] = (_matching(config.landmarks, before.landmarks, order)[k], order)
    return Kin(sensors, marks, (len(before.sensor_low), len(before.landmarks)), alike)


def _matching(
    landmarks: Sequence[Landmark], before: Sequence[Landmark], sensors: Sequence[int]
) -> list[int]:
    """Return for each landmark the earlier one with the same sensor values, or -1."""
    found = []
    for mark in landmarks:
        named = tuple(sensors[s] if s >= 0 else None for s in mark[:3])
        same = [tuple(s if s >= 0 else None for s in other[:3]) == named for other in before]
        found.append(same.index(True) if True in same else -1)
    return found


def inherited(
    mine: State, weights: State, config: Any, before: Any, layout: dict[str, list[Axis]]
) -> State:
    """Return `weights` fitted to a model of `config`: `mine` are its own, `before` theirs.

    `layout` describes the axes of weights with values of sensors or landmarks, by the weights'
    names. New inputs have no effect; new outputs keep the model's own weights. Weights that cannot
    be matched are returned unchanged.
    """
    found, like = dict(weights), kin(config, before)
    for name, axes in layout.items():
        value, new = weights[name], torch.zeros((), dtype=torch.bool)
        for part in axes:
            if value.shape[part.axis] != size(part.runs, *like.counts):
                break
            at = like.index(part.runs, part.alike)
            value = value.index_select(part.axis, at.clamp_min(0))
            shape = [-1 if axis == part.axis else 1 for axis in range(value.ndim)]
            new = new | (at < 0).reshape(shape)
        else:
            if value.shape == mine[name].shape:
                outputs = [part.axis for part in axes] == [0]
                rest = mine[name].to(value) if outputs else torch.zeros_like(value)
                found[name] = torch.where(new, rest, value)
    return found


def widened(weights: State, config: Any, before: Any) -> State:
    """Return weights of glimpses of `before` for those of `config`, which may be wider.

    Pixels farther out have no effect.
    """
    more = (config.glimpse - before.glimpse) // 2
    if more <= 0:
        return weights
    old, shades = before.glimpse, before.shades
    pad = (more, more)
    glance = weights["glance.weight"].reshape(-1, old, shades, old)
    found = {
        "glance.weight": F.pad(glance, (*pad, 0, 0, *pad)).flatten(1),
        "stamp": F.pad(weights["stamp"], (*pad, *pad)),
    }
    for name in ("trace.2.weight", "trace.2.bias"):
        trace = weights[name].reshape(shades, old, old, -1)
        rows = F.pad(trace, (0, 0, *pad, *pad)).flatten(0, 2)
        found[name] = rows.reshape(-1, *weights[name].shape[1:])
    return weights | found
