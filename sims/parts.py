"""Find what a world that is a package may have beside its sim, by convention."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from sims.errors import UserError


def part_of(world: str, name: str, value: str) -> Any:
    """Return what the module `sims.<world>.<name>` holds as `value`.

    None for a world without it, or of one file. UserError for one that can't be imported, or holds
    no such value.
    """
    package = importlib.util.find_spec(f"sims.{world}") if world else None
    if package is None or not package.submodule_search_locations:
        return None
    if importlib.util.find_spec(f"sims.{world}.{name}") is None:
        return None
    where = f"world {world!r}: sims/{world}/{name}.py"
    try:
        part = importlib.import_module(f"sims.{world}.{name}")
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{where} can't be imported; {type(error).__name__}: {error}. Run: mend it, then the "
            "same command again"
        ) from error
    if not hasattr(part, value):
        raise UserError(
            f"{where} holds no {value}; see sims/{name}.py of wmsite. Run: write it there, then "
            "the same command again"
        )
    return getattr(part, value)
