"""What an edit's model could be: trained from nothing with the recipe's whole budget.

Half an hour an edit, so it is measured only when asked for: python -m bench full:gravity
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.edits import EDITS, ask, edited, python, rows
from bench.table import Figure

# Run in a process of its own, beside the edited sim: train its model from nothing.
TRAIN = """
import sys
from pathlib import Path
from builder.pipeline import Entry, dataset
from builder.project import Project
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
entry = Entry(Project.open(folder).world("breakout"), "recurrent")
from training.train import train
keys = {step: entry.keys[step] for step in ("sim", "data", "train")}
train(entry.asked, dataset(entry), out, entry.world.load(), keys=keys)
"""


def measure(*names: str) -> list[Figure]:
    """Train a model for each edit, and measure it."""
    figures: list[Figure] = []
    for name in names or EDITS:
        with tempfile.TemporaryDirectory(prefix="wmsite-full-") as place:
            folder = edited(place, name)
            out = Path(place) / "weights"
            python(["-c", TRAIN, str(folder), str(out)], quiet=False)
            figures += rows(f"{name}, after the full budget", ask(folder, out))
    return figures
