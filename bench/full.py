"""The best model for an edit: trained from new weights with the recipe's whole budget.

An edit takes half an hour, so this runs only on request: python -m bench full:gravity
Recorded data and weights stay in bench/out until they are measured: an interrupted run continues.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.build import copy_project
from bench.edits import EDITS, FAMILY, WORLD, apply, ask, python, rows
from bench.table import OUT, Figure
from builder.project.entries import Entry
from builder.project.worlds import Project
from sims.errors import UserError

# Run in a separate process, beside the edited sim: train its model from new weights.
TRAIN = """
import sys
from pathlib import Path
from builder.project.entries import Entry
from builder.project.worlds import Project
folder, recorded, out = map(Path, sys.argv[1:])
entry = Entry(Project.open(folder).world("breakout"), "object_laws")
from training.data.record import record
from training.trainer.train import train
sim, keys = entry.world.load(), {step: entry.keys[step] for step in ("sim", "data", "train")}
train(entry.asked, record(sim, entry.asked, recorded.parent, recorded.name), out, sim, keys=keys)
"""


def measure(*names: str) -> list[Figure]:
    """Train a model for each edit, and measure it; UserError if training fails."""
    figures: list[Figure] = []
    for name in names or EDITS:
        kept = OUT / "full" / name.replace(" ", "-")
        with tempfile.TemporaryDirectory(prefix="wmsite-full-") as place:
            folder = Path(place)
            copy_project(folder)
            apply(folder, name)
            keys = Entry(Project.open(folder).world(WORLD), FAMILY).keys_of(tuning=False)
            out = kept / f"weights-{keys['train'][:16]}"
            recorded = kept / f"data-{keys['data'][:16]}"
            out.mkdir(parents=True, exist_ok=True)
            if python(["-c", TRAIN, str(folder), str(recorded), str(out)], quiet=False).returncode:
                raise UserError(f"bench full: {name} was not trained. Run: the same, to go on")
            figures += rows(f"{name}, after the full budget", ask(folder, out))
        shutil.rmtree(kept)
    return figures
