"""Taking committed weights as up to date after an edit that changed no number."""

from __future__ import annotations

import shutil

from builder import cache, weights
from builder.pipeline import Entry, dataset
from builder.terminal import Terminal
from sims.errors import UserError


def adopt(entry: Entry, terminal: Terminal) -> None:
    """Take weights as up to date after an edit of code or prose that changed no number.

    Where the sim or the recording's code changed, that is proved: the recording that the weights
    were trained on is made anew, and must be the same bytes. Raises UserError otherwise, and where
    the recipe was edited.
    """
    from training import recipe

    made, asked = entry.made, entry.recipe
    if not entry.trained or not weights.whole(entry.weights / weights.WEIGHTS):
        raise UserError(f"model {entry.name}: it has no whole weights to adopt. Run: wmsite train")
    told = recipe.from_json(entry.provenance["recipe"], f"model {entry.name}: its provenance")
    for part in ("seed", "data", "model", "train"):
        if getattr(told, part) != getattr(asked, part):
            raise UserError(
                f"model {entry.name}: '{part}' of its recipe is not what its weights were made "
                f"with, so they can't be adopted. Run: wmsite train {entry.world.name}"
            )
    if made.get("data") != entry.keys["data"]:
        old = entry.home / "data" / f"{entry.world.name}-{made.get('data', '')[:16]}"
        if not old.is_dir():
            raise UserError(
                f"model {entry.name}: its recording is not in the cache, so nothing proves that "
                f"the sim plays as before. Run: wmsite train {entry.world.name}"
            )
        new = dataset(entry)
        # What was played counts, not what else the recording tells, such as names and keys.
        played = ("data", "meta/wmsite/episodes.parquet", "meta/wmsite/events.parquet")
        was, now = (cache.tree_hash([at / part for part in played], at) for at in (old, new))
        if was != now:
            raise UserError(
                f"model {entry.name}: recorded anew, its sim plays otherwise than the one it was "
                f"trained on. Run: wmsite train {entry.world.name}"
            )
    keys = {step: entry.keys[step] for step in ("sim", "data", "train")}
    work = entry.home / "train" / f"{entry.stem}-adopted"
    shutil.rmtree(work, ignore_errors=True)
    weights.copy(entry.weights, work)
    weights.stamp(work, keys)
    weights.publish(work, entry.weights)
    shutil.rmtree(work, ignore_errors=True)
    terminal.say(f"model {entry.name}: adopted; evaluation and graphs follow")
