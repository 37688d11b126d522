"""Adopt weights: after an edit that changed no number, or from a machine that trained them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from builder.project import cache, weights
from builder.project.entries import Due, Entry
from builder.project.steps import dataset, make
from builder.terminal import Terminal
from sims.errors import UserError

MADE_FROM = {"sim": "sim", "data": "recording", "train": "trainer"}


def adopt(entry: Entry, terminal: Terminal) -> None:
    """Mark weights as up to date after an edit of code or prose that changed no number.

    If the sim or the recording's code changed, this is proved: the dataset that the weights were
    trained on is recorded again, and must hold the same rows. Raises UserError otherwise, and for
    an edited recipe.
    """
    made = entry.made
    if not entry.trained or not weights.whole(entry.weights / weights.WEIGHTS):
        raise UserError(
            f"model {entry.name}: it has no whole weights to adopt. Run: {entry.train_command}"
        )
    _same_recipe(entry, entry.provenance)
    if made.get("data") != entry.keys["data"]:
        old = entry.home / "data" / f"{entry.world.name}-{made.get('data', '')[:16]}"
        if not old.is_dir():
            raise UserError(
                f"model {entry.name}: its recording is not in the cache, so nothing proves that "
                f"the sim plays as before. Run: wmsite train {entry.world.name}"
            )
        new = dataset(entry)
        if not same_play(old, new):
            raise UserError(
                f"model {entry.name}: recorded anew, its sim plays otherwise than the one it was "
                f"trained on. Run: wmsite train {entry.world.name}"
            )
    weights.refuse(entry.weights)
    keys = {step: entry.keys[step] for step in ("sim", "data", "train")}
    work = entry.home / "train" / f"{entry.stem}-adopted"
    shutil.rmtree(work, ignore_errors=True)
    weights.copy(entry.weights, work)
    weights.stamp(work, keys)
    weights.publish(work, entry.weights)
    shutil.rmtree(work, ignore_errors=True)
    terminal.say(f"model {entry.name}: adopted; evaluation and graphs follow")


def bring(entry: Entry, folder: Path, terminal: Terminal) -> None:
    """Take weights of the same sim, data and recipe out of `folder`; measure and export them here.

    The weights that were there stay until that is done. Raises UserError for weights of another
    sim, data, recipe or training code, and for damaged ones.
    """
    told = cache.read_json(folder / "provenance.json")
    file, files = folder / weights.WEIGHTS, told.get("files")
    seal = files.get(weights.WEIGHTS) if isinstance(files, dict) else None
    if not weights.whole(file) or (seal and cache.sha256_file(file) != seal):
        raise UserError(
            f"weights {folder}: damaged. Run: wmsite adopt {folder}, after copying it again"
        )
    entry.tuning = bool(told.get("finetuned_from"))
    _same_recipe(entry, told)
    made = told.get("keys")
    for step, what in MADE_FROM.items():
        if not isinstance(made, dict) or made.get(step) != entry.keys[step]:
            raise UserError(
                f"weights {folder}: they were made from another {what} than this project's. Run: "
                f"wmsite train {entry.world.name} --full, with the same {what} in both projects"
            )
    make(entry, Due(("evaluate", "graphs"), f"its weights come from {folder}"), terminal, folder)


def _same_recipe(entry: Entry, provenance: Mapping[str, Any]) -> None:
    """Raise UserError if weights were made by another recipe than the project's."""
    from training import recipe

    told = recipe.from_json(provenance["recipe"], f"model {entry.name}: its provenance")
    for part in ("seed", "data", "model", "train"):
        if getattr(told, part) != getattr(entry.recipe, part):
            raise UserError(
                f"model {entry.name}: '{part}' of its recipe is not what its weights were made "
                f"with, so they can't be adopted. Run: wmsite train {entry.world.name}"
            )


def same_play(one: Path, other: Path) -> bool:
    """Return whether two datasets hold the same rows, images to the byte, and the same events.

    The comparison ignores how files are split and packed, and other data about the recording.
    """
    from training.data.dataset_manifest import MANIFEST
    from training.data.files import read
    from training.data.merge import episodes_of

    places = ("data/chunk_index", "data/file_index")
    for pair in zip_longest(episodes_of(one), episodes_of(other)):
        if None in pair:
            return False
        (row, _, table), (row2, _, table2) = pair
        apart = {name for name in row.keys() | row2.keys() if row.get(name) != row2.get(name)}
        if apart.difference(places) or not table.equals(table2):
            return False
    events, events2 = (read(at / MANIFEST / "events.parquet") for at in (one, other))
    return bool(events.equals(events2))
