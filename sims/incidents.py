"""What may happen to a running sim beside its rules: somebody steps into the way, rain begins.

A world that is a package may have incidents: `INCIDENTS` in `sims/<world>/incidents.py`, by name.
`wmsite attack` lets each of them happen while a model watches, and then lets the model go on alone.
The browser never loads them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sims.contract import Array
from sims.parts import part_of

# The state of N worlds, which is changed in place, and a strength.
Happen = Callable[[dict[str, Array], float], None]


@dataclass(frozen=True)
class Incident:
    """One of a world's incidents, and the strengths that are tried, from weak to strong."""

    title: str
    says: str  # what happens, in a sentence
    unit: str  # of the strength
    strengths: tuple[float, ...]
    most: float  # the largest number that makes sense
    happen: Happen


def incidents_of(world: str) -> dict[str, Incident]:
    """Return the incidents of a world of `sims`, by name; none without any."""
    found: dict[str, Incident] = part_of(world, "incidents", "INCIDENTS") or {}
    return found
