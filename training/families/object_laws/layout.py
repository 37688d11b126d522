"""The inputs of the layers of `object_laws` from sensors and landmarks, value by value."""

from __future__ import annotations

from typing import Any

from training.families.object_laws.inherit import BOTH, DISTANCES, HALVES, Axis
from training.families.object_laws.laws import GIVEN, linear


def layout(config: Any) -> dict[str, list[Axis]]:
    """Return the axes of weights with values of sensors or landmarks, by the weights' names.

    `config` is an `object_laws.Config`.
    """
    c, pooled, glance = config.channels, config.pooled, config.glance
    given = ("", config.actions + config.chance)
    told = [("told", 1), ("told", 1)]
    judged = [
        ("marks", c), ("marks", glance), ("marks", 4), ("marks", 4), *DISTANCES,
        ("", 2 * pooled), *BOTH, ("marks", 9 * config.touch), ("pairs", HALVES), *BOTH, given,
    ]  # fmt: skip
    rule = [Axis(0, [("sensors", GIVEN + 3 + config.laws)], alike=True)]
    return {
        "recall.weight": [Axis(1, [("", config.memory), *told], alike=True)],
        "control.weight": [Axis(1, [given, ("sensors", 1)])],
        "judge.0.weight": [Axis(1, judged)],
        "trace.0.weight": [Axis(1, [("", glance + config.wide), *BOTH])],
        "stamp": [Axis(0, [("marks", 1), ("marks", 1)], alike=True)],
        "plan.weight": [Axis(1, [("", c), ("marks", config.patch**2), ("told", 1)], alike=True)],
        "change.weight": [Axis(1, [*BOTH, given])],
        "heads.weight": [Axis(1, [("", 2 * pooled), *BOTH])],
        "laws.rule.weight": rule,
        "laws.rule.bias": rule,
        "laws.low": [Axis(0, [("sensors", 1)])],
        "laws.span": [Axis(0, [("sensors", 1)])],
        "laws.weight": [
            Axis(0, [("sensors", 1)]),
            Axis(2, [*linear(config.actions, config.chance), ("", 1)]),
        ],
    }
