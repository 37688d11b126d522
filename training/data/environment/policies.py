"""Who plays an environment, beside chance: a function of the user's, or a trained agent.

An agent is a file that stable-baselines3 saved (https://stable-baselines3.readthedocs.io), such as
"agents/ppo.zip". Python code may run while such a file is loaded, as in all that uses pickle.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sims.errors import UserError
from training.data.environment.opened import one_line

RANDOM = "random"
AGENT = ".zip"
ALGORITHMS = ("PPO", "DQN", "SAC", "TD3", "DDPG", "A2C")
# What only training needs, and other versions may not be able to read.
TRAINING = {"buffer_size": 1, "learning_rate": 0.0, "lr_schedule": 0.0, "clip_range": 0.0}
# (observation, the environment, chance) -> an action of the environment
Policy = Callable[[Any, Any, np.random.Generator], Any]


def policy(name: str, root: Path, where: str, env: Any = None) -> Policy:
    """Return the policy that `behaviours` names; UserError where there is none that fits `env`.

    name: "module:function", or the path of an agent in the project, which is at `root`.
    """
    try:
        return _agent(root / name, env) if name.endswith(AGENT) else _function(name)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "stable_baselines3"
        how = "pip install stable-baselines3" if missing else "mend that"
        raise UserError(
            f"{where}: data.behaviours names {name!r}, which can't be used; {one_line(error)}. It "
            f"is {RANDOM!r}, the module and the name of a function, 'players:steady', or a file of "
            f"stable-baselines3, 'agents/ppo{AGENT}'. Run: {how}, then the same command again",
            exit_code=3 if missing else 1,
        ) from error


def _function(name: str) -> Policy:
    module, colon, function = name.partition(":")
    if not colon:
        raise ValueError("no colon")
    found = getattr(importlib.import_module(module), function)
    if not callable(found):
        raise ValueError("it is no function")
    made: Policy = found
    return made


def _agent(file: Path, env: Any) -> Policy:
    """Return an agent that draws its actions as it does while it learns."""
    import torch

    agent = _loaded(file)
    if env is not None:
        for mine, other in (
            (agent.observation_space, env.observation_space),
            (agent.action_space, env.action_space),
        ):
            if _form(mine) != _form(other):
                raise ValueError(f"it was trained with {mine}, and the environment has {other}")

    def act(observation: Any, env: Any, random: np.random.Generator) -> Any:
        torch.manual_seed(int(random.integers(2**31)))
        return agent.policy.predict(observation)[0]

    return act


@functools.cache
def _loaded(file: Path) -> Any:
    """Load an agent by the algorithm that has its kind of policy."""
    import stable_baselines3
    from stable_baselines3.common.save_util import load_from_zip_file

    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data, _, _ = load_from_zip_file(file, custom_objects=TRAINING, device="cpu")
        kind = (data or {})["policy_class"]
        for name in ALGORITHMS:
            algorithm = getattr(stable_baselines3, name)
            if issubclass(kind, tuple(algorithm.policy_aliases.values())):
                return algorithm.load(file, custom_objects=TRAINING, device="cpu")
    raise ValueError(f"its policy is a {kind.__name__}, of none of {', '.join(ALGORITHMS)}")


def _form(space: spaces.Space[Any]) -> Any:
    """Return what an agent and an environment must agree on; bounds may differ.

    An agent that sees pictures was trained with their channels first.
    """
    if isinstance(space, spaces.Dict):
        return {name: _form(one) for name, one in space.spaces.items()}
    shape = space.shape or ()
    numbers = getattr(space, "nvec", getattr(space, "n", None))
    picture = isinstance(space, spaces.Box) and space.dtype == np.uint8
    return type(space), sorted(shape) if picture else shape, np.array(numbers).tolist()
