"""A square that covers a part of the frame that the model sees, for a moment."""

from __future__ import annotations

import torch

from training.attacks.contract import Attack
from training.families.base import State

SHARE = 0.1  # of the steps before which a square comes: half of a second at most rates


def disturb(
    state: State, observed: tuple[str, ...], strength: float, random: torch.Generator
) -> State:
    """Cover a square of that many pixels a side with its frame's first colour, now and then."""
    if "frame" not in state:
        return state
    frames = state["frame"].clone()
    n, _, height, width, _ = frames.shape
    side = round(strength)
    for game in range(n):
        dice = torch.rand(3, generator=random)
        if dice[0] >= SHARE:
            continue
        top = int(dice[1] * max(1, height - side + 1))
        left = int(dice[2] * max(1, width - side + 1))
        frames[game, :, top : top + side, left : left + side] = frames[game, :, :1, :1]
    return state | {"frame": frames}


ATTACK = Attack(
    "A covered patch",
    "In one step of ten, a square of so many pixels a side of the frame that the model sees is "
    "covered with the colour of the frame's corner.",
    "px", (4, 8, 16), 64, disturb=disturb,
)  # fmt: skip
