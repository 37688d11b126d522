"""Gymnasium's view of a sim: an environment and a vector environment for any world.

    gymnasium.make("sims.gym:wmsite/Breakout-v0", render_mode="rgb_array")
    gymnasium.make_vec("sims.gym:wmsite/Driving-v0", num_envs=256)

Importing this module registers both worlds; `register("sims.another")` adds one of your own.
It needs the extra `gym`; nothing in the page imports it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import register as gymnasium_register
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sims import canvas
from sims.contract import Array, Spec
from sims.errors import UserError
from sims.host import load_sim

EPISODE = 1_000_003  # The step from one game's seed to the next, if nobody gives another.


def register(module: str = "sims.breakout") -> str:
    """Register the world of `module` with Gymnasium; return its id, "wmsite/<Name>-v0"."""
    name = load_sim(module).spec.name.title().replace("_", "").replace("-", "")
    env_id = f"wmsite/{name}-v0"
    if env_id not in gymnasium.registry:
        gymnasium_register(
            env_id,
            entry_point="sims.gym:SimEnv",
            vector_entry_point="sims.gym:SimVectorEnv",
            kwargs={"module": module},
        )
    return env_id


class SimEnv(gymnasium.Env[Array, Any]):
    """One world of `module` as a Gymnasium environment.

    Observations are the frame, uint8 [H, W, 3] ([cameras, H, W, 3] where there are several).
    `info` holds the HUD's figures, the events and the chance of the coming step.
    `reset(seed=..., options={"scenario": ...})`; without a seed the next game has another.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self, module: str, scenario: str | None = None, render_mode: str | None = None
    ) -> None:
        self._batch = _Batch(module, 1, scenario)
        self.metadata = {**self.metadata, "render_fps": self._batch.spec.rate}
        self.render_mode = render_mode
        self.observation_space = self._batch.observation_space
        self.action_space = self._batch.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start a game; return its first frame and info."""
        super().reset(seed=seed)
        first = None
        if seed is not None or not self._batch.seeded:
            first = np.array([_seed(self.np_random) if seed is None else seed], dtype=np.int64)
        self._batch.reset(first, options, np.array([True]))
        return self._batch.observe()[0], self._info()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Advance one tick; return frame, reward, terminated, truncated and info."""
        reward, terminated, truncated = self._batch.step(np.asarray(action)[None])
        done = bool(terminated[0]), bool(truncated[0])
        return self._batch.observe()[0], float(reward[0]), *done, self._info()

    def render(self) -> Any:
        """Return the first camera's frame, uint8 [H, W, 3], in the mode "rgb_array"."""
        return self._batch.frames[0, 0].copy() if self.render_mode == "rgb_array" else None

    def _info(self) -> dict[str, Any]:
        return {name: value[0] for name, value in self._batch.info().items()}


class SimVectorEnv(VectorEnv[Array, Any, Array]):
    """Worlds of `module` stepped together, as a Gymnasium vector environment.

    World i behaves as a `SimEnv` with its seed would. A finished world starts anew in the
    next call of `step`, whose action and reward it ignores (`AutoresetMode.NEXT_STEP`).
    """

    def __init__(
        self,
        module: str,
        num_envs: int = 1,
        scenario: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        self._batch = _Batch(module, num_envs, scenario)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": self._batch.spec.rate,
            "autoreset_mode": AutoresetMode.NEXT_STEP,
        }
        self.render_mode = render_mode
        self.single_observation_space = self._batch.observation_space
        self.single_action_space = self._batch.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._done = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Array, dict[str, Any]]:
        """Start all games; return their first frames and info. World i gets seed + i."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        first = None
        if seed is not None or not self._batch.seeded:
            if isinstance(seed, int):
                seed = [seed + i for i in range(self.num_envs)]
            given = seed if seed is not None else [None] * self.num_envs
            seeds = [_seed(self.np_random) if s is None else s for s in given]
            first = np.array(seeds, dtype=np.int64)
        self._done[:] = False
        self._batch.reset(first, options, ~self._done)
        return self._batch.observe(), self._info()

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Advance one tick; return frames, rewards, terminated, truncated and info."""
        again = self._done.copy()
        reward, terminated, truncated = self._batch.step(np.asarray(actions))
        if again.any():
            self._batch.reset(None, None, again)
            reward[again], terminated[again], truncated[again] = 0, False, False
        self._done = terminated | truncated
        return self._batch.observe(), reward, terminated, truncated, self._info()

    def render(self) -> Any:
        """Return the first camera of every world, a tuple of uint8 [H, W, 3]."""
        return tuple(self._batch.frames[:, 0].copy()) if self.render_mode else None

    def _info(self) -> dict[str, Any]:
        """Return the batch's info in Gymnasium's form: each value with the mask of its worlds."""
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        info = self._batch.info()
        return {**info, **{f"_{name}": everyone.copy() for name in info}}


class _Batch:
    """The common part of both environments: a sim, its spaces, its frames and its games' seeds."""

    def __init__(self, module: str, worlds: int, scenario: str | None) -> None:
        self.sim = load_sim(module)(worlds)
        self.spec: Spec = self.sim.spec
        self.scenario = self._known(scenario or self.spec.scenarios[0])
        self.seeds = np.zeros(worlds, dtype=np.int64)
        self.seeded = False
        self.frames = canvas.blank(self.spec, worlds)
        shape = self.frames.shape[2:] if self.frames.shape[1] == 1 else self.frames.shape[1:]
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space: spaces.Space[Any]
        if self.spec.actions:
            self.action_space = spaces.Discrete(len(self.spec.actions))
        else:
            low = np.array([axis.low for axis in self.spec.axes], dtype=np.float32)
            high = np.array([axis.high for axis in self.spec.axes], dtype=np.float32)
            self.action_space = spaces.Box(low, high, dtype=np.float32)

    def reset(self, seeds: Array | None, options: dict[str, Any] | None, where: Array) -> None:
        scenario = self._known((options or {}).get("scenario", self.scenario))
        with np.errstate(over="ignore"):
            self.seeds[where] = (self.seeds + EPISODE if seeds is None else seeds)[where]
        self.seeded = True
        self.sim.reset(self.seeds, scenario, where)

    def step(self, actions: Array) -> tuple[Array, Array, Array]:
        dtype = np.int64 if self.spec.actions else np.float32
        return self.sim.step(actions.astype(dtype))

    def observe(self) -> Array:
        """Draw the frames and return a copy of them, [N, *observation shape]."""
        self.sim.render(self.frames)
        return self.frames.reshape(-1, *(self.observation_space.shape or ())).copy()

    def info(self) -> dict[str, Array]:
        return {**self.sim.hud(), **self.sim.events(), "chance": self.sim.draw()}

    def _known(self, scenario: str) -> str:
        if not self.spec.has(scenario):
            known = ", ".join(self.spec.scenarios)
            raise UserError(f"world '{self.spec.name}': no scenario '{scenario}'; it has {known}.")
        return scenario


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(2**31))


for world in ("sims.breakout", "sims.driving"):
    register(world)
