"""World-model families: what each module's `Config` and `Model` have in common, and their names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from sims.errors import UserError

State = dict[str, Tensor]
FAMILIES = ("recurrent", "denoiser")
OBSERVED = ("frame", "sensors")  # states that the sim itself can show


@dataclass(frozen=True)
class WorldConfig:
    """What follows from a world and its data; stored in the checkpoint and in the ONNX metadata."""

    palette: tuple[tuple[int, int, int], ...]  # every colour that the data shows, RGB 0..255
    actions: int  # length of the action vector
    chance: int  # length of the chance vector
    sensor_low: tuple[float, ...] = ()  # the least that each sensor value is in the data
    height: int = 64
    width: int = 64
    cameras: int = 1
    reward_scale: float = 1.0  # the largest reward in the data; the head predicts fractions of it

    def to_json(self) -> dict[str, Any]:
        """Return the config as plain JSON values."""
        return asdict(self)


class WorldModel(nn.Module):
    """One world model, of whatever family.

    A State is a dict of tensors. What the sim itself shows is in it by name (`OBSERVED`): a model
    is brought back to the sim by stepping along, being shown the sim's frame and sensors each time.
    """

    config: Any  # the family's Config
    past = 0  # frames that training gives beside the last one

    @property
    def evaluations(self) -> int:
        """How often the network is evaluated for a frame."""
        return 1

    def initial(self, frames: Tensor, sensors: Tensor) -> State:
        """Return the state that starts a game: its first frame, RGBA uint8, and its sensors."""
        raise NotImplementedError

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        raise NotImplementedError

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights of hidden layers, which the trainer's Muon is for."""
        return [m.weight for m in self.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[misc]

    def inherited(self, weights: State, before: Any) -> State:
        """Return weights of a model of the Config `before` as they fit this one, where they can."""
        return weights

    def go_on_from(self, weights: State) -> None:
        """Go on from what was found in other data, in the `weights` that it will start from."""

    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> Tensor:
        """Find what needn't be taught in R steps of the sim, [R, ...] each.

        Returns bool [R]: which are not as this forecasts, and so to be sampled more often.
        """
        return torch.zeros(len(sensors), dtype=torch.bool)

    def fit_shapes(self, index: Tensor, sensors: Tensor) -> None:
        """Find how things look in R (some) frames of palette indices [R, cams, H, W]."""

    def recoloured(self, weights: State, order: list[int]) -> State:
        """Return weights whose colour `order[k]` is what is colour k here."""
        return weights

    def offered(self) -> list[WorldModel]:
        """Return the model as it may be played, the one that is evaluated first."""
        return [self]

    def samplers(self) -> dict[str, WorldModel]:
        """Return the same model with other samplers of its frames, to compare with, by name."""
        return {}


def family(name: str) -> ModuleType:
    """Import a family's module by name; UserError when there is none of that name."""
    if name not in FAMILIES:
        raise UserError(f"family '{name}': unknown. Known families: {', '.join(FAMILIES)}")
    return import_module(f"training.models.{name}")


def watch(
    model: WorldModel, frames: Tensor, sensors: Tensor, actions: Tensor, chances: Tensor
) -> State:
    """Return the state after watching T frames.

    frames: uint8 [B, T, cameras, H, W, 4] and sensors [B, T, S], oldest first; actions
    [B, T - 1, A] and chances [B, T - 1, C] are those taken between them.
    """
    state = model.initial(frames[:, 0], sensors[:, 0])
    for t in range(frames.shape[1] - 1):
        _, state, _ = model.step(state, actions[:, t], chances[:, t])
        shown = {"frame": frames[:, t + 1], "sensors": sensors[:, t + 1]}
        state = {name: shown.get(name, value) for name, value in state.items()}
    return state
