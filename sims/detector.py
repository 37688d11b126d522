"""The functions that the evaluation needs to measure a world's objects, events and rules by frames.

A world that is a package may have them: `DETECTOR` in `sims/<world>/detector.py`. A detector is
exact on the sim's own frames (tested), and its own error stands beside the model's figures. A world
without one is measured by pixels alone. The browser never loads it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sims.contract import Sim

Array = NDArray[Any]
Objects = dict[str, Array]
# (label on the page, unit, "high" or "low" is better; "" if the sim's figure is best)
Label = tuple[str, str, str]


class Referee(Protocol):
    """Judges N rollouts step by step; it knows the player's actions, and sees only frames."""

    def watch(self, rows: Array, start: dict[str, Array]) -> None:
        """Note that the rollouts `rows` (int64 [M]) begin at these sim snapshots."""
        ...

    def judge(self, before: Objects, actions: Array, after: Objects) -> Array:
        """Return bool [N, rules]: the rules that one step breaks."""
        ...


@dataclass(frozen=True)
class Detector:
    """How to read, compare and judge the frames of one world.

    Objects are arrays by name that share their leading dimensions, here [...].
    """

    read: Callable[[Array], Objects]  # frames uint8 [..., H, W, >= 3] -> [...]
    truth: Callable[[dict[str, Array]], Objects]  # a sim's state -> the objects in its frame, [N]
    # (the model's, the sim's) -> figures float64 [...], NaN where not defined
    compare: Callable[[Objects, Objects], dict[str, Array]]
    labels: dict[str, Label]
    held: str  # the one figure that says whether the model still follows the sim
    # (the model's, the sim's) -> 1.0 if the controlled object is in its place
    controlled: Callable[[Objects, Objects], Array]
    control_label: str
    # Objects [N, T] before and after each step -> bool [N, T] by name. The last step's may be
    # missing: some events show only in what follows. Names are the sim's own.
    events: Callable[[Objects, Objects], dict[str, Array]]
    event_labels: dict[str, str]
    referee: Callable[[int], Referee]
    rules: dict[str, str]  # a description of each rule, in the order of the referee's result
    # A player that sees only frames: (objects [N], uniform numbers [N]) -> actions [N]
    act: Callable[[Objects, Array], Array]
    over: Callable[[Objects], Array]  # objects [N] -> bool [N]: the game has ended
    # Objects [N, T] before and after each step -> one figure a rollout, [N], by name
    statistics: Callable[[Objects, Objects], dict[str, Array]]
    statistic_labels: dict[str, Label]
    places: Callable[[Objects], Array]  # objects [N, T] -> float64 [N, K]: counts of places
    # Moves a sim of N games to predicted frames and sensors, where bool [N] says so, for training:
    # -> the frame shows what the sensors say, bool [N]; too far off to go on from, bool [N]
    adopt: Callable[[Sim, Array, Array, Array], tuple[Array, Array]]


def at(objects: Objects, index: Any) -> Objects:
    """Return the objects at an index of their leading dimensions."""
    return {name: value[index] for name, value in objects.items()}


def joined(parts: list[Objects], axis: int = 1) -> Objects:
    """Return objects one after another along an axis."""
    return {name: np.concatenate([part[name] for part in parts], axis) for name in parts[0]}


def detector_of(world: str) -> Detector | None:
    """Return the detector of a world of `sims`; None without one."""
    name = f"sims.{world}"
    package = importlib.util.find_spec(name)
    if package is None or not package.submodule_search_locations:
        return None
    if importlib.util.find_spec(f"{name}.detector") is None:
        return None
    found: Detector = importlib.import_module(f"{name}.detector").DETECTOR
    return found
