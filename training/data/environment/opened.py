"""Make an environment as a recipe says, and step it; each way in which that fails is one line."""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from sims.contract import Array
from sims.errors import UserError
from training.data.environment import controls
from training.data.environment.namespaces import KNOWN, package_of
from training.data.environment.observations import Broken, Frames, Vectors
from training.environment_recipe import Gym

MOST_SEED = 2**31 - 1  # that environments written in C take


@dataclass(frozen=True)
class Seen:
    """What is recorded of one moment, and what a player of the user's is told of it."""

    frame: Array
    sensors: dict[str, Array]
    observation: Any
    info: dict[str, Any]


class Opened:
    """One environment, with what is kept of each of its steps.

    `touched` is called before and after each call of it, so that others see that it goes on.
    """

    def __init__(self, gym: Gym, root: Path, touched: Callable[[], None] = lambda: None) -> None:
        self.gym, self.root, self.touched = gym, root, touched
        self.where = f"environment '{gym.id}'"
        _register(gym, root, self.where)
        self.env = _made(gym, self.where)
        try:
            self.vectors = Vectors(gym, self.env.observation_space)
            self.frames = Frames(gym, self.env.observation_space)
        except UserError as error:
            raise self._blamed(error) from None
        self.controls = controls.controls(
            self.env.action_space, controls.hints(self.env), gym.actions, self.where
        )

    def reset(self, seed: int) -> Seen:
        """Start a game."""
        told = self._call(lambda: self.env.reset(seed=seed % MOST_SEED))
        if not isinstance(told, tuple) or len(told) != 2 or not isinstance(told[1], dict):
            raise self._old(f"its reset returns {_kind(told)}, not (observation, info)")
        return self._seen(*told, first=True)

    def step(self, action: Array) -> tuple[Seen, float, bool, bool]:
        """Play one row of `action` for `skip` steps: what is seen, the reward, and both ends."""
        played, total = self.controls.played(action), 0.0
        for _ in range(self.gym.skip):
            told = self._call(lambda: self.env.step(played))
            if not isinstance(told, tuple) or len(told) != 5:
                raise self._old(f"its step returns {_kind(told)}, not (observation, reward, "
                                "terminated, truncated, info)")  # fmt: skip
            observation, reward, terminated, truncated, info = told
            total += float(reward)
            if terminated or truncated:
                break
        if not np.isfinite(total):
            raise Broken("its reward is NaN or an infinity")
        return self._seen(observation, info, first=False), total, bool(terminated), bool(truncated)

    def close(self) -> None:
        """Close it, whatever it thinks of that."""
        try:
            self.env.close()
        except Exception as error:
            print(f"close: {error!r}", file=sys.stderr)

    def _seen(self, observation: Any, info: dict[str, Any], first: bool) -> Seen:
        try:
            frame = self._call(lambda: self.frames.read(self.env, observation))
            return Seen(frame, self.vectors.read(observation, info, first), observation, info)
        except UserError as error:
            raise self._blamed(error) from None

    def _call(self, what: Callable[[], Any]) -> Any:
        self.touched()
        try:
            return what()
        except (UserError, Broken):
            raise
        except (Exception, SystemExit) as error:
            raise Broken(one_line(error)) from error
        finally:
            self.touched()

    def _blamed(self, error: UserError) -> UserError:
        return UserError(f"{self.where}: {error}", error.exit_code)

    def _old(self, what: str) -> UserError:
        return UserError(
            f"{self.where}: {what}; that is an API of before gymnasium 0.26. Run: pip install "
            "shimmy, and register it wrapped: shimmy.GymV21CompatibilityV0(env=...)"
        )


def _kind(told: Any) -> str:
    if isinstance(told, tuple):
        return f"{len(told)} values"
    return f"{type(told).__name__} alone"


def one_line(error: BaseException) -> str:
    """Return an exception as one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:300]}" if said else type(error).__name__


def _register(gym: Gym, root: Path, where: str) -> None:
    """Import the modules that register IDs; UserError in one line."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    for name in gym.imports:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            install = next((p for p, m in KNOWN.values() if m.split(".")[0] == error.name), "")
            how = f"pip install {install}" if install else "install it, or mend gym.imports"
            if str(error.name).partition(".")[0] != name.partition(".")[0]:
                how = f"pip install {error.name}, which {name} needs"
            raise UserError(
                f"{where}: imports {name}, and there is no module {error.name!r}, installed or in "
                f"{root}. Run: {how}",
                exit_code=3,
            ) from None
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{where}: module {name} can't be imported; {one_line(error)}. "
                "Run: mend it, then the same command again"
            ) from error
        if name == "ale_py":
            gymnasium.register_envs(module)


def _made(gym: Gym, where: str) -> Any:
    """Make the environment, without Gymnasium's own checks: those here say more."""
    mode = {"render_mode": "rgb_array"} if gym.frames == "render" else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.make(gym.id, disable_env_checker=True, **(mode | gym.make))
    except gymnasium.error.DeprecatedEnv as error:
        raise UserError(
            f"{where}: {one_line(error)} Run: the same command with the ID that it names",
            exit_code=2,
        ) from error
    except gymnasium.error.UnregisteredEnv as error:
        raise unknown(gym, where) from error
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(
            f"{where}: {one_line(error)}. Run: install that, then the same command again",
            exit_code=3,
        ) from error
    except (Exception, SystemExit) as error:
        if mode and "render_mode" in str(error).partition(" was raised from ")[0]:
            raise UserError(
                f"{where}: it has no render_mode 'rgb_array' ({one_line(error)}). Run: give it "
                "one, or name an image of its observation as gym.frames"
            ) from error
        raise UserError(
            f"{where}: can't be made; {one_line(error)}. "
            "Run: mend gym.make or the environment, then the same command again"
        ) from error


def unknown(gym: Gym, where: str) -> UserError:
    """Return the error of an ID that is not registered: the nearest ones, or what to install."""
    asked, package = gym.id, package_of(gym.id)
    known = sorted(gymnasium.registry)
    lower = {name.lower(): name for name in known}
    near = [lower[n] for n in difflib.get_close_matches(asked.lower(), lower, n=3, cutoff=0.5)]
    if (
        package
        and package[1] not in gym.imports
        and not any(name.startswith(asked[:4]) for name in near)
    ):
        return UserError(
            f"{where}: no such ID is registered. Run: pip install {package[0]}, and name "
            f"{package[1]!r} in gym.imports (--gym-import {package[1]})",
            exit_code=2,
        )
    nearest = f"nearest are {', '.join(near)}" if near else f"{len(known)} others are"
    return UserError(
        f"{where}: no such ID is registered; {nearest}. Run: the same command with one of those, "
        "or name the module that registers it in gym.imports (--gym-import)",
        exit_code=2,
    )
