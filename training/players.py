"""Who plays: a trained model, what it is compared with, and the sim itself, behind one interface.

A player shows frames and is given actions and chance, N rollouts at a time. What runs elsewhere
(the graphs in onnxruntime, `builder.replay`) is measured by the same code.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sims.contract import Sim
from training.models import watch
from training.scenes import Scene, rgba

Array = NDArray[Any]


class Player(Protocol):
    """N rollouts that go on alone after what they watched."""

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history: all rollouts, or those of `rows` (int64 [M]) again."""
        ...

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance by actions float32 [N, A] and chance [N, C]: uint8 [N, cams, H, W, 4]."""
        ...


class Model:
    """A trained model in PyTorch.

    `act=False` zeroes its action input; `carry=False` zeroes what it carries, but for the frame,
    before each step.
    """

    def __init__(self, model: Any, *, act: bool = True, carry: bool = True) -> None:
        self.model, self.act, self.carry = model, act, carry
        self.where = next(model.parameters()).device
        self.state: dict[str, torch.Tensor] = {}

    @torch.inference_mode()
    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `Player`."""
        past = scene.history_parts
        given = {
            k: torch.from_numpy(np.ascontiguousarray(v)).to(self.where) for k, v in past.items()
        }
        state = watch(self.model, **given)
        if rows is not None:
            at = torch.from_numpy(rows).to(self.where)
            state = {k: v.index_copy(0, at, state[k]) for k, v in self.state.items()}
        self.state = state

    @torch.inference_mode()
    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        state = self.state
        if not self.carry:
            state = {k: v if k == "frame" else torch.zeros_like(v) for k, v in state.items()}
        action, chance = (torch.from_numpy(part).to(self.where) for part in (actions, chances))
        action = action if self.act else torch.zeros_like(action)
        frame, self.state, _ = self.model.step(state, action, chance)
        return np.asarray(frame.cpu().numpy())


class Still:
    """Repeat the last frame seen: the persistence baseline."""

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `Player`."""
        last = scene.history[:, -1]
        if rows is None:
            self.frame = last
        else:
            self.frame = self.frame.copy()
            self.frame[rows] = last

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        return self.frame


class Real:
    """The sim itself, for reference."""

    def __init__(self, sim_class: type[Sim]) -> None:
        self.sim_class = sim_class

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
        self.sim.step(actions.argmax(-1) if self.sim.spec.actions else actions, chances)
        return rgba(self.sim)


def play(player: Player, scene: Scene) -> Array:
    """Return a player's rollouts under a scene's actions and chance, uint8 as `scene.frames`."""
    player.watch(scene)
    frames = np.empty_like(scene.frames)
    for t in range(frames.shape[1]):
        frames[:, t] = player.step(scene.actions[:, t], scene.chances[:, t])
    return frames
