"""An environment as the sim of a page: the browser's Python plays it, as CPython does.

A build writes a module of `sims` with a subclass that has the spec and the recipe's table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from sims.contract import Array, Sim
from sims.exact import uniform
from training.data.environment.observations import Broken, Frames
from training.data.environment.opened import Opened, Seen
from training.data.environment.policies import RANDOM, policy
from training.data.environment.scaling import area, nearest
from training.environment_recipe import Gym

ROOT = Path(__file__).parents[3]  # in a page, where the modules of the project are, too
Told = TypeVar("Told")
HELD = 4  # steps for which random play holds an action


class PageFrames(Frames):
    """Frames as they were recorded, without Pillow, which is compiled code."""

    rows_first = False

    def small(self, frame: Array) -> Array:
        """Scale one frame."""
        if frame.shape[:2] == self.size:
            return np.ascontiguousarray(frame)
        if self.gym.scaling == "nearest":
            return nearest(frame, self.size)
        return area(frame, self.size, self.rows_first)


def _plainly(call: Callable[[], Told]) -> Told:
    """Let an exception of the environment be what it is, so that its line can be shown."""
    try:
        return call()
    except Broken as error:
        fault = error.__cause__ or ValueError(str(error))
    raise fault


class EnvironmentSim(Sim):
    """N environments that step together.

    What an environment holds is its own. So a game is kept as its seed and its actions, and
    restored by playing them again. Random play and the players of the recipe draw their chance from
    seed and tick. `rows_first` tells how Pillow scales its frames (`scaling.rows_first`).
    """

    replayed: ClassVar[bool] = True
    gym: ClassVar[Gym]
    rows_first: ClassVar[bool] = False

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        for name in self.gym.imports:  # An error in one is shown at its line.
            importlib.import_module(name)
        self.opened = [Opened(self.gym, ROOT) for _ in range(worlds)]
        for one in self.opened:
            one.frames = frames = PageFrames(self.gym, one.env.observation_space)
            frames.rows_first = self.rows_first
        width = max(1, len(self.spec.axes))
        self.state = {
            "seed": np.zeros(worlds, np.int64),
            "tick": np.zeros(worlds, np.int64),
            "over": np.zeros(worlds, np.bool_),
            "actions": np.zeros((worlds, self.spec.max_steps, width), np.float32),
        }
        self.seen: list[Seen] = [self._begun(i, 0) for i in range(worlds)]
        # Found once: later, another world's modules may be there instead.
        self.players = {
            name: policy(name, ROOT, self.spec.name)
            for name in self.spec.behaviours if name != RANDOM
        }  # fmt: skip

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start new games."""
        chosen = range(self.worlds) if where is None else np.flatnonzero(where).tolist()
        for i in chosen:
            self.state["seed"][i] = seeds[i]
            for name in ("tick", "over", "actions"):
                self.state[name][i] = 0
            self.seen[i] = self._begun(i, int(seeds[i]))

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick; the environment has a chance of its own."""
        rewards = np.zeros(self.worlds, np.float32)
        terminated, truncated = (np.zeros(self.worlds, np.bool_) for _ in range(2))
        ticks, over = self.state["tick"], self.state["over"]
        for i in np.flatnonzero(~over).tolist():
            action = np.ravel(actions[i])
            self.state["actions"][i, ticks[i]] = action
            rewards[i], terminated[i], truncated[i] = self._step(i, action)
            ticks[i] += 1
            truncated[i] |= ticks[i] == self.spec.max_steps
            over[i] = terminated[i] | truncated[i]
        return rewards, terminated, truncated

    def _step(self, world: int, action: Array) -> tuple[float, bool, bool]:
        count = len(self.spec.actions)
        row = np.eye(count, dtype=np.float32)[int(action[0])] if count else action
        told = _plainly(lambda: self.opened[world].step(row))
        self.seen[world], reward, terminated, truncated = told
        return reward, terminated, truncated

    def _begun(self, world: int, seed: int) -> Seen:
        return _plainly(lambda: self.opened[world].reset(seed))

    def render(self, out: Array) -> None:
        """Draw the frames."""
        for i, seen in enumerate(self.seen):
            out[i, 0] = seen.frame

    def draw(self) -> Array:
        """Return numbers that only a model draws with."""
        return uniform(self.state["seed"], self.state["tick"], 0, len(self.spec.chance))

    def sensors(self) -> dict[str, Array]:
        """Return what is observed."""
        return {
            sensor.name: np.stack([seen.sensors[sensor.name] for seen in self.seen])
            for sensor in self.spec.sensors
        }

    def act(self, behaviour: str) -> Array:
        """Return the actions of a player of the recipe."""
        rows: Array = np.stack([self._acted(behaviour, i) for i in range(self.worlds)])
        return rows.argmax(1) if self.spec.actions else rows

    def _acted(self, behaviour: str, world: int) -> Array:
        seed, tick = (int(self.state[name][world]) for name in ("seed", "tick"))
        opened, seen = self.opened[world], self.seen[world]
        if behaviour == RANDOM:
            part = uniform(np.array([seed]), np.array([tick // HELD]), 1, self.spec.action_size)[0]
            if self.spec.actions:
                return np.asarray(part)
            low, high = (np.array([getattr(axis, end) for axis in self.spec.axes], np.float32)
                         for end in ("low", "high"))  # fmt: skip
            return opened.controls.told(opened.controls.played(low + part * (high - low)))
        choose = self.players[behaviour]
        random = np.random.default_rng([abs(seed), tick])
        return opened.controls.told(choose(seen.observation, opened.env, random))

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Play the games of a snapshot again."""
        super().restore(snapshot)
        for i in range(self.worlds):
            self.seen[i] = self._begun(i, int(self.state["seed"][i]))
            for action in self.state["actions"][i, : self.state["tick"][i]]:
                self._step(i, action)
