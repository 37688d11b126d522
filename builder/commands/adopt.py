"""`wmsite adopt`: take in weights that another machine has trained."""

from __future__ import annotations

from pathlib import Path

from builder.commands.train import entries
from builder.project import adoption, cache
from builder.terminal import Terminal
from sims.errors import UserError
from training import contained


def run(root: Path, folder: Path, terminal: Terminal, wait: bool = False) -> None:
    """Measure and export the weights in `folder`, and put them in the place of the project's own.

    Their provenance names world and family. Raises UserError for a folder that holds no weights,
    or weights of another world, recipe, sim, recording or trainer.
    """
    contained.files(folder, f"weights {folder}")
    told = cache.read_json(folder / "provenance.json")
    made_by = told.get("recipe") if isinstance(told, dict) else None
    if not isinstance(made_by, dict) or not {"world", "family"} <= made_by.keys():
        raise UserError(
            f"weights {folder}: no provenance.json says what they are of. "
            "Run: wmsite adopt FOLDER, with a folder such as weights/breakout/pixels",
            exit_code=2,
        )
    world, family, spent = (str(made_by.get(name, "")) for name in ("world", "family", "spent"))
    for entry in entries(root, world, family, terminal, spent):
        with entry.lock(wait):
            adoption.bring(entry, folder, terminal)
