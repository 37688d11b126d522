"""Find what a world that is a package may have beside its sim, by convention."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


def part_of(world: str, name: str) -> ModuleType | None:
    """Return the module `sims.<world>.<name>`; None for a world without it, or of one file."""
    package = importlib.util.find_spec(f"sims.{world}") if world else None
    if package is None or not package.submodule_search_locations:
        return None
    if importlib.util.find_spec(f"sims.{world}.{name}") is None:
        return None
    return importlib.import_module(f"sims.{world}.{name}")
