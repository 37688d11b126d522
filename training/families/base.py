"""The common parts of the `Config` and `Model` of each family."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sims.contract import Array
from training.data.dataset import Arrays

State = dict[str, Tensor]


@dataclass(frozen=True)
class WorldConfig:
    """The values that follow from a world and its data; in checkpoint and ONNX metadata."""

    palette: tuple[tuple[int, int, int], ...]  # every colour of the data, RGB 0..255; or none
    actions: int  # length of the action vector
    chance: int  # length of the chance vector
    sensor_low: tuple[float, ...] = ()  # the least value of each sensor value in the data
    height: int = 64
    width: int = 64
    cameras: int = 1
    reward_scale: float = 1.0  # the largest reward in the data; the head predicts fractions of it

    def to_json(self) -> dict[str, Any]:
        """Return the config as plain JSON values."""
        return asdict(self)

    def grown_from(self, before: Any) -> Any:
        """Return the config of a model that starts from the weights of one with `before`."""
        return self


class WorldModel(nn.Module):
    """One world model, of any family.

    A State is a dict of tensors. The sim's own observations are in it by name (`observed`): to
    follow the sim again, the model steps with the sim's observations in its state. "frame" is the
    canvas of all cameras, "sensors" are all sensors of at most one dimension, one after the other;
    every other sensor has its own name.
    """

    config: Any  # the family's Config
    palette_frames = True  # it trains on palette indices, not on RGB
    observed: tuple[str, ...] = ("frame", "sensors")  # observations that its state may hold
    past = 0  # frames before the last one that training gives

    @property
    def evaluations(self) -> int:
        """The number of evaluations of the network for a frame."""
        return 1

    def blank(self) -> State:
        """Return black and zero observations of one game, in the form of `initial`."""
        c = self.config
        frame = torch.zeros(1, c.cameras, c.height, c.width, 4, dtype=torch.uint8)
        return {"frame": frame, "sensors": torch.zeros(1, len(c.sensor_low))}

    def initial(self, shown: State) -> State:
        """Return the state that starts a game with observations by name.

        "frame" is RGBA uint8 [B, cameras, H, W, 4], "sensors" float32 [B, S].
        """
        raise NotImplementedError

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        raise NotImplementedError

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights of hidden layers, which Muon trains."""
        return [m.weight for m in self.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[misc]

    def inherited(self, weights: State, before: Any) -> State:
        """Return weights of a model of the Config `before`, fitted to this one where possible."""
        return weights

    def go_on_from(self, weights: State) -> None:
        """Continue from values found in other data, in the `weights` at the start."""

    def readings(self, arrays: Arrays, rows: Array) -> Array:
        """Return the numbers of some rows that `fit` gets, [R, ...]: their sensors."""
        return arrays.state[rows]

    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> Tensor:
        """Fit the parts that are not trained, to R steps of the sim, [R, ...] each.

        Returns bool [R]: the steps that differ from the forecast, to be sampled more often.
        """
        return torch.zeros(len(sensors), dtype=torch.bool)

    def that_holds(self, index: Tensor, sensors: Tensor) -> WorldModel:
        """Return a model large enough for the shapes in R (some) frames, as `fit_shapes`."""
        return self

    def fit_shapes(self, index: Tensor, sensors: Tensor) -> None:
        """Find the shapes of things in R (some) frames of palette indices [R, cams, H, W]."""

    def recoloured(self, weights: State, order: list[int]) -> State:
        """Return weights for which colour `order[k]` is this model's colour k."""
        return weights

    def offered(self) -> list[WorldModel]:
        """Return the model in all ways that a player may choose; the evaluation uses the first."""
        return [self]

    def samplers(self) -> dict[str, WorldModel]:
        """Return the same model with other samplers of its frames, to compare with, by name."""
        return {}


def nearest(frames: Tensor, palette: Tensor) -> Tensor:
    """Return the index of the nearest colour of each pixel, int64 [...].

    `frames` are 0..255, [..., 3] or more; `palette` [K, 3] or more.
    """
    pixels, colours = frames[..., :3].float(), palette[:, :3]
    scores = pixels @ (2 * colours.T) - (colours**2).sum(1)
    return scores.argmax(-1)


def watch(model: WorldModel, shown: State, actions: Tensor, chances: Tensor) -> State:
    """Return the state after the steps through T observations.

    shown: observations by name, [B, T, ...], oldest first; actions [B, T - 1, A] and chances [B,
    T - 1, C] are those of the steps between them.
    """
    state = model.initial({name: value[:, 0] for name, value in shown.items()})
    for t in range(shown["frame"].shape[1] - 1):
        _, state, _ = model.step(state, actions[:, t], chances[:, t])
        state = {k: shown[k][:, t + 1] if k in shown else v for k, v in state.items()}
    return state
