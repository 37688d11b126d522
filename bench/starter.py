"""The starter of `wmsite new`, learned from pixels in five minutes, as a newcomer builds it."""

from __future__ import annotations

from bench.newcomer import built
from bench.table import Figure

WORLD, FAMILY = "catcher", "pixels"
WHOLE = 300.0  # steps that half of its own rollouts must stay whole


def measure() -> list[Figure]:
    """Make a project and build it: for how long do its frames stay like recorded ones?"""
    minutes, told = built(WORLD, FAMILY)
    found = [Figure("wmsite new, and wmsite build", minutes, "min")]
    whole = told["measures"]["whole"]
    for row in whole["rows"]:
        mine = row["name"] == FAMILY
        value = row["values"]["whole"]
        note = f"{value['low']:.0f} to {value['high']:.0f}"
        said = f"{WORLD}/{FAMILY}, {row['name']}: steps whole, median"
        found.append(Figure(said, value["mean"], "", at_least=WHOLE if mine else None, note=note))
    return found
