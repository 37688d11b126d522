"""An environment that everyone knows, from its ID to a page that plays, as a newcomer does it."""

from __future__ import annotations

from bench.newcomer import built
from bench.table import Figure

ID, WORLD, FAMILY = "CartPole-v1", "cartpole", "numbers"


def measure() -> list[Figure]:
    """Make a project of CartPole and build it; does a game end when it should?"""
    minutes, told = built(WORLD, FAMILY, "--gym", ID)
    ends = told["measures"]["ends"]
    rows = {row["name"]: row["values"] for row in ends["rows"]}
    said = f"{ID}: its fall within 3 steps of the environment's"
    usual = rows["always after the median"]["right"]["mean"]
    note = f"{ends['note']} Always after the median: {usual:.0f} %"
    return [
        Figure(f"wmsite new --gym {ID}, and wmsite build", minutes, "min", at_most=10),
        Figure(said, rows[FAMILY]["right"]["mean"], "%", at_least=80, note=note),
    ]
