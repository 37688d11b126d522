"""Let a person play an environment, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sims.contract import Array
from training.data.environment.opened import Opened
from training.data.images import encode_png


@dataclass(frozen=True)
class Begin:
    """Begin a game."""

    seed: int


@dataclass(frozen=True)
class Step:
    """Play one step: the row of `action`."""

    row: Array


@dataclass(frozen=True)
class Shown:
    """What a person sees of a moment: the whole frame as a PNG, and what led to it.

    `action` is the environment's own, as JSON values; None at the start of a game.
    """

    png: bytes
    action: Any = None
    reward: float = 0.0
    over: bool = False


def shown(opened: Opened, asked: Begin | Step) -> Shown:
    """Begin a game or play one step; Broken if the environment fails in it."""
    if isinstance(asked, Begin):
        opened.reset(asked.seed)
        return Shown(_png(opened))
    action = np.asarray(opened.controls.played(asked.row)).tolist()
    _, reward, terminated, truncated = opened.step(asked.row)
    return Shown(_png(opened), action, reward, terminated or truncated)


def _png(opened: Opened) -> bytes:
    return encode_png(opened.frames.last[None])[0]
