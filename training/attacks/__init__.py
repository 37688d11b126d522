"""Attacks on a model that plays alone; one file each, found by convention.

An attack is a module here, or in the `attacks/` folder of a project: `ATTACK` is a
`contract.Attack`. What may happen in a world (`sims.incidents`) is an attack on its models, too.
`wmsite attack` tries each at several strengths, and tells how soon games break.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sims.errors import UserError
from sims.incidents import incidents_of

if TYPE_CHECKING:  # The builder reads names without torch.
    from training.attacks.contract import Attack

OURS = Path(__file__).parent
OTHERS = {"__init__", "campaign", "contract", "judges", "search", "victim"}


def bring(folder: Path) -> None:
    """Find the attacks of a project's folder before ours, and none of another project."""
    __path__[:] = [str(folder), str(OURS)]


def names() -> list[str]:
    """Return the names of the modules that are an attack each, sorted."""
    found = {file.stem for folder in __path__ for file in Path(folder).glob("*.py")}
    return sorted(found - OTHERS)


def of(world: str) -> list[str]:
    """Return the names of all attacks on a world's models, its incidents last.

    Raises UserError for an incident that is named like another attack.
    """
    known, incidents = names(), incidents_of(world)
    if twice := [name for name in incidents if name in known]:
        raise UserError(
            f"world {world!r}: its incident {twice[0]!r} has the name of an attack. "
            f"Run: rename it in sims/{world}/incidents.py"
        )
    return [*known, *incidents]


def attack(name: str, world: str = "") -> Attack:
    """Return an attack: a module's, or an incident of the world."""
    if one := incidents_of(world).get(name):
        from training.attacks.contract import Attack

        return Attack(one.title, one.says, one.unit, one.strengths, one.most, happen=one.happen)
    found: Attack = import_module(f"{__name__}.{name}").ATTACK
    return found
