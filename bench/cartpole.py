"""An environment that everyone knows, from its ID to a page that plays, as a newcomer does it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import Figure
from sims.errors import UserError

ID, WORLD, FAMILY = "CartPole-v1", "cartpole", "latent"


def measure() -> list[Figure]:
    """Make a project of CartPole and build it; does a game end when it should?"""
    with tempfile.TemporaryDirectory(prefix="wmsite-bench-") as place:
        project = Path(place) / "pole"
        began = time.monotonic()
        _wmsite("new", str(project), "--gym", ID)
        _wmsite("-C", str(project), "build")
        minutes = (time.monotonic() - began) / 60
        made = project / "weights" / WORLD / FAMILY
        told = json.loads((made / "metrics.json").read_text())
    ends = told["measures"]["ends"]
    rows = {row["name"]: row["values"] for row in ends["rows"]}
    said = f"{ID}: its fall within 3 steps of the environment's"
    usual = rows["always after the median"]["right"]["mean"]
    note = f"{ends['note']} Always after the median: {usual:.0f} %"
    return [
        Figure(f"wmsite new --gym {ID}, and wmsite build", minutes, "min", at_most=10),
        Figure(said, rows[FAMILY]["right"]["mean"], "%", at_least=80, note=note),
    ]


def _wmsite(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "builder.cli", *arguments]).returncode:
        raise UserError("bench cartpole: a run failed. Run: the same, and look")
