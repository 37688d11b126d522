"""World-model families. Each module offers a frozen `Config` and a `Model` with one contract.

`initial(frame, sensors) -> State` and `step(state, action, chance) -> (frame, State, heads)`, where
a State is a dict of tensors. What the sim itself shows is in it by name (`OBSERVED`): a model is
brought back to the sim by stepping along, and being shown the sim's frame and sensors each time.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from torch import Tensor

from sims.errors import UserError

FAMILIES = ("recurrent", "denoiser")
OBSERVED = ("frame", "sensors")  # states that the sim itself can show


def family(name: str) -> ModuleType:
    """Import a family's module by name; UserError when there is none of that name."""
    if name not in FAMILIES:
        raise UserError(f"family '{name}': unknown. Known families: {', '.join(FAMILIES)}")
    return import_module(f"training.models.{name}")


def watch(
    model: Any, frames: Tensor, sensors: Tensor, actions: Tensor, chances: Tensor
) -> dict[str, Tensor]:
    """Return the state after watching T frames.

    frames: uint8 [B, T, cameras, H, W, 4] and sensors [B, T, S], oldest first; actions
    [B, T - 1, A] and chances [B, T - 1, C] are those taken between them.
    """
    state: dict[str, Tensor] = model.initial(frames[:, 0], sensors[:, 0])
    for t in range(frames.shape[1] - 1):
        _, state, _ = model.step(state, actions[:, t], chances[:, t])
        shown = {"frame": frames[:, t + 1], "sensors": sensors[:, t + 1]}
        state = {name: shown.get(name, value) for name, value in state.items()}
    return state
