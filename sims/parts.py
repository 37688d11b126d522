"""Find what a world that is a package may have beside its sim, by convention."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from sims.errors import UserError


def part_of(world: str, name: str) -> ModuleType | None:
    """Return the module `sims.<world>.<name>`; None for a world without it, or of one file.

    Raises UserError for one that can't be imported.
    """
    package = importlib.util.find_spec(f"sims.{world}") if world else None
    if package is None or not package.submodule_search_locations:
        return None
    if importlib.util.find_spec(f"sims.{world}.{name}") is None:
        return None
    try:
        return importlib.import_module(f"sims.{world}.{name}")
    except (Exception, SystemExit) as error:
        raise UserError(
            f"world {world!r}: sims/{world}/{name}.py can't be imported; {type(error).__name__}: "
            f"{error}. Run: mend it, then the same command again"
        ) from error


def held(world: str, name: str, value: str) -> Any:
    """Return what such a module holds by a name; None without the module, UserError without it."""
    part = part_of(world, name)
    if part is None:
        return None
    if not hasattr(part, value):
        raise UserError(
            f"world {world!r}: sims/{world}/{name}.py holds no {value}; see sims/{name}.py of "
            "wmsite. Run: write it there, then the same command again"
        )
    return getattr(part, value)
