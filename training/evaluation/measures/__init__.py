"""Measures that a recipe asks for by name, in `evaluate.measures`; one file each.

A measure is a module here, or in the `measures/` folder of a project. `measure(subject)` returns a
`contract.Table`, which the page and `wmsite eval` show under its title, or None where the world has
nothing to measure in this way.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # The builder reads names without torch.
    from training.evaluation.measures.contract import Measure

OURS = Path(__file__).parent
OTHERS = {"__init__", "contract"}


def bring(folder: Path) -> None:
    """Find the measures of a project's folder before ours, and none of another project."""
    __path__[:] = [str(folder), str(OURS)]


def names() -> list[str]:
    """Return the names of all measures, sorted."""
    found = {file.stem for folder in __path__ for file in Path(folder).glob("*.py")}
    return sorted(found - OTHERS)


def measure(name: str) -> Measure:
    """Import a measure's function; `suits.world` has refused unknown names."""
    found: Measure = import_module(module(name)).measure
    return found


def module(name: str) -> str:
    """Return the dotted name of a measure's module."""
    return f"{__name__}.{name}"
