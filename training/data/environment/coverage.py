"""Say what a recording of an environment covers: its actions, its games, its frames."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np

from sims.contract import Array
from training.data.dataset import Dataset
from training.data.files import opened

LISTED = 8  # actions that are named


def lines(folder: Path) -> list[str]:
    """Return a few lines about a dataset: what was done in it, how long, how much is different."""
    dataset = Dataset.open(folder)
    spec, table = dataset.spec, dataset.episodes
    frames: set[int] = set()
    actions, changed, rows = [], 0, 0
    name = f"observation.images.{spec['cameras'][0]['name']}"
    for file in sorted((folder / "data").rglob("*.parquet")):
        for part in opened(file).iter_batches(1024, columns=["action", name]):
            images = part.column(name).field(0).to_pylist()
            numbers = [hash(image) for image in images]
            changed += sum(a != b for a, b in itertools.pairwise(numbers))
            frames.update(numbers)
            rows += len(images)
            action = part.column("action")
            flat = getattr(action, "values", action)
            actions.append(np.asarray(flat, np.float32).reshape(len(images), -1))
    lengths = table["length"].tolist()
    seconds = [length / spec["rate"] for length in lengths]
    q = quantiles(seconds, n=10) if len(seconds) > 1 else seconds * 9
    ended = int((table["ended"] == "terminated").sum())
    return [
        f"actions: {_done(spec, np.concatenate(actions))}",
        f"games: {len(lengths):,}, {ended:,} of them to their end; half are longer than "
        f"{q[4]:.1f} s, one in ten shorter than {q[0]:.1f} s, one in ten longer than {q[8]:.1f} s",
        f"frames: {len(frames):,} of {rows:,} are different; {100 * changed / max(1, rows):.0f} % "
        "differ from the one before",
    ]


def _done(spec: dict[str, Any], actions: Array) -> str:
    """Say how often each action was played, or where each axis was."""
    if spec["actions"]:
        shares = [(a["name"], s) for a, s in zip(spec["actions"], actions.mean(0), strict=True)]
        more = f", and {len(shares) - LISTED} more" if len(shares) > LISTED else ""
        return ", ".join(f"{name} {100 * s:.0f} %" for name, s in shares[:LISTED]) + more
    told = []
    for axis, values in zip(spec["axes"][:LISTED], actions.T, strict=False):
        low, high = axis["low"], axis["high"]
        third = np.digitize((values - low) / (high - low), [1 / 3, 2 / 3])
        told.append(
            f"{axis['name']} "
            + "/".join(f"{100 * float((third == i).mean()):.0f}" for i in range(3))
            + " % low/middle/high"
        )
    more = f", and {len(spec['axes']) - LISTED} more" if len(spec["axes"]) > LISTED else ""
    return ", ".join(told) + more
