"""Games that a person played: seeds and actions, in a file of the project.

An environment that repeats itself shows the same frames again, so nothing else has to be kept.
Recording plays the games again, and drops one that earns something else than it did.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sims.errors import UserError

SUFFIX = ".json"
FORMAT = 1


@dataclass(frozen=True)
class Played:
    """One game: its seed, the environment's actions, one for each step, and what they earned."""

    seed: int
    actions: list[Any]
    earned: float


def read(file: Path) -> list[Played]:
    """Return the games of a file in the order in which they were played; UserError for none."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"it is of format {told['format']}")
        games = [Played(int(g["seed"]), list(g["actions"]), float(g["earned"]))
                 for g in told["games"]]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise UserError(
            f"games of a person, '{file}': can't be read; {why}. Run: wmsite data play WORLD, "
            "which makes such a file, or take it out of data.behaviours"
        ) from error
    return [game for game in games if game.actions]


def write(file: Path, games: list[Played]) -> None:
    """Write the games of a file as a whole, or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(game)) for game in games)
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.write_text(f'{{"format": {FORMAT}, "games": [\n{lines}\n]}}\n', encoding="utf-8")
    aside.replace(file)


def between(games: list[Played], low: float, high: float) -> list[Played]:
    """Return the games of a part of a recording, from `low` to `high` of its steps, 0..1."""
    return [game for i, game in enumerate(games) if low <= (i + 0.5) / len(games) < high]
