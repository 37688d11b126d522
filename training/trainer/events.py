"""The recorded rows in which something happened, to begin games shortly before them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sims.contract import Array


class Events:
    """Rows by event; rare events are chosen more often than they happen, less than the others."""

    def __init__(self, rows: Iterable[Array]) -> None:
        self.rows = [some for some in rows if len(some)]
        often = np.sqrt([len(some) for some in self.rows])
        self.shares = often / often.sum() if len(often) else often

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.rows)

    def row(self, rng: np.random.Generator) -> int:
        """Choose a row: first the event, then one of its rows."""
        return int(rng.choice(self.rows[rng.choice(len(self.rows), p=self.shares)]))
