"""Noise in all that the model carries beside the picture: its latent, and the numbers it says."""

from __future__ import annotations

import torch

from training.attacks.contract import Attack
from training.families.base import State


def disturb(
    state: State, observed: tuple[str, ...], strength: float, random: torch.Generator
) -> State:
    """Add noise to each state of floats, in parts of how each of its values differs
    between the games."""
    made = {}
    for name, value in state.items():
        if not value.is_floating_point() or not value.numel():
            continue
        spread = value.std(0, correction=0)
        noise = torch.randn(value.shape, generator=random)
        made[name] = value + strength / 100 * spread * noise
    return state | made


ATTACK = Attack(
    "Noise in the memory",
    "Before every step, noise is added to all that the model carries beside its picture: that "
    "share of how each value differs between the games.",
    "%", (0.1, 1, 10), 1000, disturb=disturb,
)  # fmt: skip
