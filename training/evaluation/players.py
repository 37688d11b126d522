"""The players: a trained model, its baselines, and the sim itself, behind one interface.

A player shows frames and gets actions and chance, for N rollouts at a time. The same code measures
players that run elsewhere (the graphs in onnxruntime, `builder.export.replay`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sims.canvas import rgba
from sims.contract import Sim
from training.evaluation.heads import ENDED, Heads
from training.evaluation.starts import Scene, stacked
from training.families.base import watch

Array = NDArray[Any]
Act = Literal["given", "zeroed", "repeated", "shuffled"]


class Player(Protocol):
    """N rollouts that continue alone after their history."""

    @property
    def heads(self) -> Heads | None:
        """The predictions of the last step, if the player makes any."""
        ...

    @property
    def shown(self) -> dict[str, Array]:
        """The predicted observations of the last step beside the frame, by name; {} for none."""
        ...

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history: all rollouts, or only those of `rows` (int64 [M])."""
        ...

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance by actions float32 [N, A] and chance [N, C]: uint8 [N, cams, H, W, 4]."""
        ...


class Model:
    """A trained model in PyTorch.

    `act` changes its action input: "zeroed", "repeated" (the first action of each rollout, for
    ever) or "shuffled" (those of another rollout). `carry=False` zeroes its carried state, except
    the observations, before each step.
    """

    def __init__(self, model: Any, *, act: Act = "given", carry: bool = True) -> None:
        self.model, self.act, self.carry = model, act, carry
        self.first: torch.Tensor | None = None
        self.where = next(model.parameters()).device
        self.state: dict[str, torch.Tensor] = {}
        self.heads: Heads | None = None
        self.shown: dict[str, Array] = {}

    @torch.inference_mode()
    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `Player`."""
        state = watch(self.model, **tensors(scene.history_parts, self.where))
        self.first = None
        if rows is not None:
            at = torch.from_numpy(rows).to(self.where)
            state = {k: v.index_copy(0, at, state[k]) for k, v in self.state.items()}
        self.state = state

    @torch.inference_mode()
    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        state = self.state
        if not self.carry:
            kept = {"frame"} if self.model.palette_frames else {*self.model.observed}
            state = {k: v if k in kept else torch.zeros_like(v) for k, v in state.items()}
        action, chance = (torch.from_numpy(part).to(self.where) for part in (actions, chances))
        self.first = action if self.first is None else self.first
        if self.act != "given":
            changed = {"zeroed": torch.zeros_like(action), "repeated": self.first}
            action = changed.get(self.act, action.roll(1, 0))
        frame, self.state, out = self.model.step(state, action, chance)
        reward, terminated = (out[name].cpu().numpy() for name in ("reward", "terminated"))
        self.heads = Heads(reward, terminated > ENDED)
        told = (name for name in self.model.observed if name != "frame" and name in self.state)
        self.shown = {name: self.state[name].cpu().numpy() for name in told}
        return np.asarray(frame.cpu().numpy())


class Still:
    """Repeat the last observations: the persistence baseline."""

    heads: Heads | None = None

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `Player`."""
        last = {name: value[:, -1] for name, value in scene.history_shown.items()}
        if rows is None:
            self.kept = last
        else:
            self.kept = {name: value.copy() for name, value in self.kept.items()}
            for name, value in last.items():
                self.kept[name][rows] = value

    @property
    def shown(self) -> dict[str, Array]:
        """The last observations beside the frame."""
        return {name: value for name, value in self.kept.items() if name != "frame"}

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        return self.kept["frame"]


class Real:
    """The sim itself, for reference."""

    def __init__(self, sim_class: type[Sim]) -> None:
        self.sim_class = sim_class
        self.heads: Heads | None = None
        self.shown: dict[str, Array] = {}

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's snapshot; see `Player`."""
        if rows is None:
            self.sim = self.sim_class(len(scene.history))
            self.sim.restore(scene.start)
        else:
            for name, value in scene.start.items():
                self.sim.state[name][rows] = value

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        taken = actions.argmax(-1) if self.sim.spec.actions else actions
        reward, terminated, _ = self.sim.step(taken, chances)
        self.heads = Heads(reward, terminated)
        return rgba(self.sim)


def tensors(parts: Mapping[str, Any], where: torch.device | None = None) -> dict[str, Any]:
    """Return arrays as tensors on a device; a dict of arrays as a dict of tensors."""
    return {
        name: tensors(part, where)
        if isinstance(part, Mapping)
        else torch.from_numpy(np.ascontiguousarray(part)).to(where)
        for name, part in parts.items()
    }


def play(player: Player, scene: Scene) -> Array:
    """Return a player's rollouts under a scene's actions and chance, uint8 as `scene.frames`."""
    return perform(player, scene)[0]


def perform(player: Player, scene: Scene) -> tuple[Array, Heads | None, dict[str, Array]]:
    """Return `play`'s frames, and for each step the predicted heads and observations, if any."""
    player.watch(scene)
    frames = np.empty_like(scene.frames)
    said: list[Heads] = []
    shown: list[dict[str, Array]] = []
    for t in range(frames.shape[1]):
        frames[:, t] = player.step(scene.actions[:, t], scene.chances[:, t])
        said += [player.heads] if player.heads else []
        shown.append({name: value.copy() for name, value in player.shown.items()})
    if not said:
        return frames, None, stacked(shown)
    rewards, ends = (np.stack([getattr(h, k) for h in said], 1) for k in ("rewards", "ends"))
    return frames, Heads(rewards, ends), stacked(shown)
