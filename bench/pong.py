"""Pong's model, which learned from frames and actions alone: how long it follows, and stays whole.

The figures are those of the committed weights. Its recipe is the gallery's budget: 30 minutes on
two cores.
"""

from __future__ import annotations

import json

from bench.table import ROOT, Figure

WORLD, FAMILY = "pong", "pixels"
WHOLE = 200.0  # steps that half of its own rollouts must stay whole
FOLLOWED = ("ball_held", "mine_held", "theirs_held", "points")
STEPS = (16, 30, 100)


def measure() -> list[Figure]:
    """Return what the weights were measured by, beside what is asked of them."""
    told = json.loads((ROOT / "weights" / WORLD / FAMILY / "metrics.json").read_text())
    name = f"{WORLD}/{FAMILY}"
    found = []
    for row in told["rows"][:2]:  # the model, and the same with its latent drawn
        for column in told["columns"]:
            kind, _, step = column["key"].partition("@")
            if kind in FOLLOWED and int(step) in STEPS:
                said = f"{name}, {row['name']}: {column['label']}, step {step}"
                found.append(Figure(said, row["values"][column["key"]]["mean"], column["unit"]))
    control = told["checks"]["controllability"]
    found.append(Figure(f"{name}: {control['label']}", control["mean"], "%", at_least=99.0))
    alone = {column["key"]: column for column in told["autonomy"]["columns"]}
    for row in told["autonomy"]["rows"]:
        for key in ("collapse", "clean", "survived", "hits", "points"):
            mine = row["name"] == FAMILY and key == "collapse"
            said = f"{name}, alone, {row['name']}: {alone[key]['label']}"
            value, unit = row["values"][key]["mean"], alone[key]["unit"]
            found.append(Figure(said, value, unit, at_least=WHOLE if mine else None))
    whole = told["measures"]["whole"]
    for row in whole["rows"]:
        for column in whole["columns"]:
            mine = row["name"] == FAMILY and column["key"] == "whole"
            said = f"{name}, {row['name']}: {column['label']}"
            value, unit = row["values"][column["key"]]["mean"], column["unit"]
            found.append(Figure(said, value, unit, at_least=WHOLE if mine else None))
    for column in told["heads"]["columns"]:
        value = told["heads"]["rows"][0]["values"][column["key"]]
        found.append(Figure(f"{name}: {column['label']}", value and value["mean"], column["unit"]))
    return found
