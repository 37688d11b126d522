"""Pixels of the frame that the model sees, overwritten by others of it, as on the page."""

from __future__ import annotations

import torch

from training.attacks.contract import Attack
from training.families.base import State


def disturb(
    state: State, observed: tuple[str, ...], strength: float, random: torch.Generator
) -> State:
    """Overwrite that many percent of the pixels of each frame."""
    if "frame" not in state:
        return state
    flat = state["frame"].flatten(1, 3)
    n, pixels = flat.shape[:2]
    hit = torch.rand(n, pixels, generator=random) < strength / 100
    other = torch.randint(0, pixels, (n, pixels), generator=random)
    other = flat.gather(1, other[:, :, None].expand(-1, -1, 4))
    flat = torch.where(hit[:, :, None], other, flat)
    return state | {"frame": flat.reshape(state["frame"].shape)}


ATTACK = Attack(
    "Noise in the picture",
    "That share of the pixels of every frame that the model sees is overwritten by others of it, "
    "as the slider of the page does.",
    "%", (0.1, 1, 5), 50, disturb=disturb,
)  # fmt: skip
