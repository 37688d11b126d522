"""World-model families. Each module offers a frozen `Config` and a `Model` with one contract.

`initial(frames) -> State`, `encode(frames, actions, chances) -> State` and
`step(state, action, chance) -> (frame, State, heads)`, where a State is a dict of tensors.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from sims.errors import UserError

FAMILIES = ("recurrent",)


def family(name: str) -> ModuleType:
    """Import a family's module by name; UserError when there is none of that name."""
    if name not in FAMILIES:
        raise UserError(f"family '{name}': unknown. Known families: {', '.join(FAMILIES)}")
    return import_module(f"training.models.{name}")
