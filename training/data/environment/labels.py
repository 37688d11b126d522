"""Names that a spec may have, made of those of an environment."""

from __future__ import annotations

import re

LONGEST = 40  # characters


def unlike(name: str, taken: set[str]) -> str:
    """Return a name of letters, digits and underscores that is not taken, and take it."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:LONGEST] or "unnamed"
    tried = (f"{plain}_{i}" if i else plain for i in range(len(taken) + 1))
    found = next(name for name in tried if name not in taken)
    taken.add(found)
    return found
