"""Recorded games, many side by side, as cells; in some of them the model sees its own frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sims.contract import Array
from training.data.dataset import Arrays
from training.families.pixels.cells import Contents
from training.recipe import Train
from training.trainer.events import Events

BEFORE = 16  # steps before an event at which a game may be joined, at most


@dataclass
class Steps:
    """T steps of B games: contents of cells [T, B, cells] before and after each, and all else.

    `fresh`, bool [T, B]: the game has just been joined, and nothing of it is remembered. `alone`,
    bool [T, B]: the model may see its own last frame in place of `seen`.
    """

    seen: Array
    after: Array
    action: Array
    chance: Array
    rewards: Array
    ends: Array
    fresh: Array
    alone: Array
    known: Array  # float32 [T, B]: 1 where the game has been watched long enough to count


class Games:
    """B games that go on step by step; one that ends, or is left, is followed by another.

    `horizon` is the most steps that a model goes on alone now, 0 for none. Contents are numbered as
    they are met: `planes` [V, planes] are those that each shows, `kinds` int64 [V] its place in the
    model's list from 1, or 0 if the model can't draw it, and `content_of` the way back.
    """

    def __init__(self, arrays: Arrays, size: int, plan: Train, seed: int, model: Any) -> None:
        self.arrays, self.plan, self.history = arrays, plan, model.config.history
        contents = Contents(model.config.patch)
        self.numbers = contents.number(arrays.frames)
        where = model.contents.device
        drawn = model.contents.cpu().numpy().astype(np.uint8)
        listed = {one.tobytes(): k + 1 for k, one in enumerate(drawn)}
        kinds = [listed.get(one.tobytes(), 0) for one in contents.told]
        back = np.zeros(1 + len(listed), np.int64)
        back[kinds] = np.arange(len(kinds))
        self.kinds, self.content_of = (
            torch.tensor(kinds).to(where),
            torch.from_numpy(back).to(where),
        )
        pixels = torch.from_numpy(contents.told).long().to(where)
        self.planes = model.one_hot(pixels[:, :, None, None])[:, :, 0, 0]
        self.rng = np.random.default_rng(seed)
        spans = arrays.episodes[:, 1] - arrays.episodes[:, 0]
        self.starts, self.stops = np.repeat(arrays.episodes, spans, axis=0).T
        self.anywhere = arrays.windows(1)
        self.events = Events(arrays.events.values())
        self.horizon = 0
        self.rows, self.age = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.fresh, self.own = np.ones(size, bool), np.zeros(size, bool)
        self.alone_steps = self.left = 0

    def next(self, steps: int, lost: Array | None = None) -> Steps:
        """Advance some steps; first leave the games that are `lost`, bool [B].

        In those the model left the recording, so what it shows next is no target any more.
        """
        if lost is not None:
            self.left += int(lost.sum())
            self.fresh |= lost
        each = [vars(self._step()) for _ in range(steps)]
        return Steps(**{name: np.stack([one[name] for one in each]) for name in each[0]})

    def _step(self) -> Steps:
        """Advance one step; without the axis of the steps."""
        a = self.arrays
        longest = np.where(self.own, max(self.plan.stream, self.horizon), self.plan.stream)
        self.fresh |= self.age >= self.history + longest
        for slot in np.flatnonzero(self.fresh):
            self.rows[slot] = self._place()
        self.age[self.fresh] = 0
        self.own[self.fresh] = self.rng.random(int(self.fresh.sum())) < self.plan.dream_share
        rows, fresh = self.rows, self.fresh
        alone = self.own & (self.age >= self.history)
        alone &= self.age < self.history + self.horizon
        self.alone_steps += int(alone.sum())
        step = Steps(
            seen=self.numbers[rows],
            after=self.numbers[rows + 1],
            action=a.actions[rows],
            chance=a.chances[rows],
            rewards=a.rewards[rows],
            ends=a.dones[rows].astype(np.float32),
            fresh=fresh,
            alone=alone,
            known=(self.age >= 2).astype(np.float32),
        )
        self.rows, self.age = rows + 1, self.age + 1
        self.fresh = self.rows + 1 >= self.stops[rows]
        return step

    def mean_dream(self) -> float:
        """Return the mean number of steps alone until a game was left, since the last call."""
        steps, self.alone_steps, left, self.left = self.alone_steps, 0, self.left, 0
        return steps / max(1, left)

    def _place(self) -> int:
        """Choose a row to join a game at: anywhere, or a little before an event."""
        if self.events and self.rng.random() < self.plan.event_share:
            row = self.events.row(self.rng)
            place = max(int(self.starts[row]), row - int(self.rng.integers(2, BEFORE)))
            return min(place, int(self.stops[row]) - 2)
        return int(self.rng.choice(self.anywhere))
