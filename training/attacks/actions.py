"""Other actions than the player's, drawn at random among those that the world takes."""

from __future__ import annotations

import numpy as np

from sims.contract import Array, Spec
from training.attacks.contract import Attack


def act(given: Array, spec: Spec, strength: float, random: np.random.Generator) -> Array:
    """Replace a share of discrete actions; add noise to axes, in parts of their range."""
    if spec.actions:
        other = np.eye(len(spec.actions), dtype=np.float32)
        other = other[random.integers(0, len(spec.actions), len(given))]
        return np.where(random.random((len(given), 1)) < strength, other, given)
    low, high = (np.array([getattr(axis, end) for axis in spec.axes]) for end in ("low", "high"))
    noise = random.normal(0, 1, given.shape) * strength * (high - low)
    pushed: Array = np.clip(given + noise, low, high).astype(np.float32)
    return pushed


ATTACK = Attack(
    "Other actions",
    "That share of the player's actions is replaced by random ones; an axis gets noise of that "
    "share of its range, within its bounds.",
    "%", (10, 30, 100), 100,
    act=lambda given, spec, strength, random: act(given, spec, strength / 100, random),
)  # fmt: skip
