"""The families of world models, one package each, found by convention.

A family is a folder here, or in the `families/` folder of a project. `options.py` holds the keys
that a recipe may set (`Options`; `Training` for keys of `[train]` of its own; `check` if names must
fit the world), `model.py` the model (`Config`, `Model`), `loss.py` the loss of training (`loss`). A
family may have `found.py`, with the fields that come from recipe and data (`config`), and
`diagram.py`, a drawing for its page (`boxes`). Only model and loss import torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from sims.errors import UserError

FILE = "options.py"  # the modules of every family
OURS = Path(__file__).parent


def bring(folder: Path) -> None:
    """Find the families of a project's folder before ours, and no families of another project."""
    __path__[:] = [str(folder), str(OURS)]


def names() -> list[str]:
    """Return the names of all families, sorted."""
    found = {file.parent.name for folder in __path__ for file in Path(folder).glob(f"*/{FILE}")}
    return sorted(found)


def part(family: str, name: str) -> ModuleType:
    """Import one module of a family; UserError for an unknown family."""
    if family not in names():
        raise UserError(f"family '{family}': unknown. Known families: {', '.join(names())}")
    return import_module(module(family, name))


def optional(family: str, name: str) -> ModuleType | None:
    """Import a module that a family may have; None without it."""
    there = family in names() and find_spec(module(family, name)) is not None
    return part(family, name) if there else None


def module(family: str, name: str) -> str:
    """Return the dotted name of a module of a family."""
    return f"{__name__}.{family}.{name}"
