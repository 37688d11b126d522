"""Play a model alone under an attack, until its rollouts are broken or over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sims.contract import Array, Spec
from training.attacks.contract import Attack
from training.attacks.judges import Judge
from training.evaluation import players
from training.evaluation.players import Player
from training.evaluation.starts import Scene

# (step, frames [N, ...]) -> action vectors float32 [N, A], and chance float32 [N, C]
Choose = Callable[[int, Array], tuple[Array, Array]]


class Attacked(players.Model):
    """A model whose state is disturbed before each step."""

    def __init__(self, model: Any, attack: Attack, strength: float, seed: int) -> None:
        super().__init__(model)
        self.attack, self.strength = attack, strength
        self.random = torch.Generator().manual_seed(seed)

    @torch.inference_mode()
    def step(self, actions: Array, chances: Array) -> Array:
        """Disturb the state, then advance one step; see `players.Player`."""
        if self.attack.disturb and self.strength:
            self.state = self.attack.disturb(
                self.state, self.model.observed, self.strength, self.random
            )
        if self.attack.aim and self.strength:
            action, chance = (torch.from_numpy(part).to(self.where) for part in (actions, chances))
            self.state = self.attack.aim(
                self.model, self.state, action, chance, self.strength, self.random
            )
        return super().step(actions, chances)


def acting(choose: Choose, attack: Attack, strength: float, spec: Spec, seed: int) -> Choose:
    """Return a player whose actions are attacked."""
    random, act = np.random.default_rng(seed), attack.act
    if act is None:
        return choose

    def chosen(step: int, frames: Array) -> tuple[Array, Array]:
        given, chances = choose(step, frames)
        return act(given, spec, strength, random).astype(np.float32), chances

    return chosen


@dataclass
class Broken:
    """When and by what N rollouts were broken: int64 [N], 0 and -1 where they were not.

    `counts` is false for a rollout that did not begin, bool [N].
    """

    step: Array
    cause: Array
    counts: Array


def play(
    player: Player, scene: Scene, judge: Judge, choose: Choose, steps: int,
    tell: Callable[[], None] = lambda: None,
) -> Broken:  # fmt: skip
    """Play rollouts from where a scene's history ends; one that is over is broken no more.

    `tell` is called after each step.
    """
    player.watch(scene)
    judge.begin(scene)
    count, frames = len(scene.history), scene.history[:, -1]
    found = Broken(np.zeros(count, np.int64), np.full(count, -1), np.ones(count, bool))
    on = np.ones(count, bool)
    for t in range(steps):
        given, chances = choose(t, frames)
        frames = player.step(given, chances)
        wrong = judge.judge(given, chances, frames, player)
        now = on & wrong.any(1)
        found.step[now], found.cause[now] = t + 1, wrong[now].argmax(1)
        on &= ~now & ~judge.over(player.heads)
        tell()
        if not on.any():
            break
    return found
