"""Models that learned from frames and actions alone: how long they follow, and stay whole.

The figures are those of the committed weights: Pong's are of its recipe's budget for a GPU,
Breakout's of 25 minutes on two cores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bench.table import ROOT, Figure

FAMILY = "pixels"
STEPS = (16, 30, 100)


@dataclass(frozen=True)
class Asked:
    """What is looked at in a world, and what is asked of it.

    `followed` are figures by step, `alone` of games that the model plays alone. It must break no
    rule for `collapse` steps, and stay whole for `whole`, in half of its rollouts. No figure may be
    below that of the family `beside`.
    """

    followed: tuple[str, ...]
    alone: tuple[str, ...]
    collapse: float
    whole: float | None = None
    beside: str = ""


WORLDS = {
    "pong": Asked(
        ("ball_held", "mine_held", "theirs_held", "points"), ("hits", "points"), 200.0, 200.0
    ),
    "breakout": Asked(
        ("ball_held", "paddle_held", "bricks", "lives"), ("hits", "bricks_hit"), 100.0,
        beside="denoiser",
    ),
}  # fmt: skip


def measure() -> list[Figure]:
    """Return what the weights were measured by, beside what is asked of them."""
    return [figure for world, asked in WORLDS.items() for figure in _of(world, asked)]


def _of(world: str, asked: Asked) -> list[Figure]:
    told, name = _metrics(world, FAMILY), f"{world}/{FAMILY}"
    other = _metrics(world, asked.beside)["rows"][0]["values"] if asked.beside else {}
    found = []
    for row in told["rows"][:2]:  # the model, and the same with its latent drawn
        for column in told["columns"]:
            key = column["key"]
            kind, _, step = key.partition("@")
            if kind in asked.followed and int(step) in STEPS:
                said = f"{name}, {row['name']}: {column['label']}, step {step}"
                least = other[key]["mean"] if other and row["name"] == FAMILY else None
                value = row["values"][key]["mean"]
                found.append(Figure(said, value, column["unit"], at_least=least))
    control = told["checks"]["controllability"]
    found.append(Figure(f"{name}: {control['label']}", control["mean"], "%", at_least=99.0))
    alone = {column["key"]: column for column in told["autonomy"]["columns"]}
    for row in told["autonomy"]["rows"]:
        for key in ("collapse", "clean", "survived", *asked.alone):
            least = asked.collapse if row["name"] == FAMILY and key == "collapse" else None
            said = f"{name}, alone, {row['name']}: {alone[key]['label']}"
            value, unit = row["values"][key]["mean"], alone[key]["unit"]
            found.append(Figure(said, value, unit, at_least=least))
    whole = told["measures"]["whole"]
    for row in whole["rows"]:
        for column in whole["columns"]:
            least = asked.whole if row["name"] == FAMILY and column["key"] == "whole" else None
            said = f"{name}, {row['name']}: {column['label']}"
            value, unit = row["values"][column["key"]]["mean"], column["unit"]
            found.append(Figure(said, value, unit, at_least=least))
    for column in told["heads"]["columns"]:
        value = told["heads"]["rows"][0]["values"][column["key"]]
        found.append(Figure(f"{name}: {column['label']}", value and value["mean"], column["unit"]))
    return found


def _metrics(world: str, family: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        (ROOT / "weights" / world / family / "metrics.json").read_text()
    )
    return told
