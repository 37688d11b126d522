"""What the evaluation must know of a world to measure its objects, events and rules by frames.

A detector is exact on the sim's own frames (tested), and its own error stands beside the model's
figures. A world without one is measured by pixels alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sims.contract import Sim
from training import breakout_objects, breakout_relabel, breakout_rules

Array = NDArray[Any]
Objects = dict[str, Array]
# (what is said on the page, unit, "high" or "low" is better; "" where the sim's figure is best)
Label = tuple[str, str, str]


class Referee(Protocol):
    """Judges N rollouts step by step; it knows what the player did, and sees only frames."""

    def watch(self, rows: Array, start: dict[str, Array]) -> None:
        """Take note that the rollouts `rows` (int64 [M]) begin at these sim snapshots."""
        ...

    def judge(self, before: Objects, actions: Array, after: Objects) -> Array:
        """Return bool [N, rules]: which rules one step breaks."""
        ...


@dataclass(frozen=True)
class Detector:
    """How one world's frames are read, compared and judged.

    Objects are arrays by name that share their leading dimensions, here [...].
    """

    read: Callable[[Array], Objects]  # frames uint8 [..., H, W, >= 3] -> [...]
    truth: Callable[[dict[str, Array]], Objects]  # a sim's state -> what its frame shows, [N]
    # (the model's, the sim's) -> figures float64 [...], NaN where not defined
    compare: Callable[[Objects, Objects], dict[str, Array]]
    labels: dict[str, Label]
    held: str  # the one figure that tells whether the model still follows the sim
    # (the model's, the sim's) -> 1.0 where what the player moves is where it should be
    controlled: Callable[[Objects, Objects], Array]
    control_label: str
    # Objects [N, T] before and after each step -> bool [N, T] by name. The last step's may be
    # missing: some events show only in what follows. Names are the sim's own.
    events: Callable[[Objects, Objects], dict[str, Array]]
    event_labels: dict[str, str]
    referee: Callable[[int], Referee]
    rules: dict[str, str]  # what each rule says, in the order of the referee's answer
    # A player that sees only frames: (objects [N], uniform numbers [N]) -> actions [N]
    act: Callable[[Objects, Array], Array]
    over: Callable[[Objects], Array]  # objects [N] -> bool [N]: the game has ended
    # Objects [N, T] before and after each step -> one figure a rollout, [N], by name
    statistics: Callable[[Objects, Objects], dict[str, Array]]
    statistic_labels: dict[str, Label]
    places: Callable[[Objects], Array]  # objects [N, T] -> float64 [N, K]: where things were
    # Moves a sim of N games to predicted frames and sensors, where bool [N] says so, for training:
    # -> the frame shows what the sensors say, bool [N]; too far off to go on from, bool [N]
    adopt: Callable[[Sim, Array, Array, Array], tuple[Array, Array]]


def at(objects: Objects, index: Any) -> Objects:
    """Return the objects at an index of their leading dimensions."""
    return {name: value[index] for name, value in objects.items()}


def joined(parts: list[Objects], axis: int = 1) -> Objects:
    """Return objects one after another along an axis."""
    return {name: np.concatenate([part[name] for part in parts], axis) for name in parts[0]}


DETECTORS: dict[str, Detector] = {
    "breakout": Detector(
        read=breakout_objects.read,
        truth=breakout_objects.truth,
        compare=breakout_objects.compare,
        labels=breakout_objects.LABELS,
        held="ball_held",
        controlled=breakout_objects.controlled,
        control_label="paddle within 1 px of the sim's after each action held for 8 steps",
        events=breakout_objects.events,
        event_labels=breakout_objects.EVENTS,
        referee=breakout_rules.Referee,
        rules=breakout_rules.RULES,
        act=breakout_rules.act,
        over=breakout_rules.over,
        statistics=breakout_rules.statistics,
        statistic_labels=breakout_rules.STATISTICS,
        places=breakout_rules.places,
        adopt=breakout_relabel.adopt,
    )
}
