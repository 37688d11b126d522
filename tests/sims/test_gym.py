from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from sims.errors import UserError
from sims.gym import EPISODE, SimEnv, SimVectorEnv


def test_gymnasium_finds_nothing_to_complain_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("sims.gym:wmsite/Breakout-v0", render_mode="rgb_array")
        check_env(env.unwrapped)
    assert env.metadata["render_fps"] == 30
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.action_space == gymnasium.spaces.Discrete(3)
    frame, info = env.reset(seed=4, options={"scenario": "sparse"})
    assert (env.render() == frame).all()
    assert 0 <= info["chance"][0] < 1
    with pytest.raises(UserError, match="no scenario"):
        env.reset(options={"scenario": "none"})


def test_driving_is_registered_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("sims.gym:wmsite/Driving-v0", render_mode="rgb_array")
        check_env(env.unwrapped)
    assert env.metadata["render_fps"] == 20
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (3, 64, 96, 3), np.uint8)
    low = np.array([-1, 0, 0], dtype=np.float32)
    assert env.action_space == gymnasium.spaces.Box(low, np.ones(3, dtype=np.float32))
    frames, info = env.reset(seed=4, options={"scenario": "roundabout/fog"})
    assert (env.render() == frames[0]).all()
    assert info["chance"].shape == (4,)


def test_every_game_without_a_seed_is_another() -> None:
    env = SimEnv("sims.breakout")
    _, first = env.reset(seed=9)
    _, second = env.reset()
    _, same = env.reset(seed=9 + EPISODE)
    assert first["chance"] != second["chance"]
    assert second["chance"] == same["chance"]


@pytest.mark.slow
def test_the_vector_environment_is_its_environments_side_by_side() -> None:
    n = 3
    vector = gymnasium.make_vec("sims.gym:wmsite/Breakout-v0", num_envs=n)
    assert isinstance(vector.unwrapped, SimVectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    envs = [SimEnv("sims.breakout") for _ in range(n)]
    frames, info = vector.reset(seed=30)
    assert vector.observation_space.contains(frames)
    for i, env in enumerate(envs):
        frame, own = env.reset(seed=30 + i)
        assert (frame == frames[i]).all()
        assert own["chance"] == info["chance"][i]
    done, games = [False] * n, 0
    random = np.random.default_rng(0)
    for _ in range(900):
        actions = random.integers(0, 3, n)
        frames, rewards, terminated, truncated, info = vector.step(actions)
        for i, env in enumerate(envs):
            if done[i]:  # The step after the end starts anew, whatever the action.
                frame, own = env.reset()
                reward, ended, cut = 0.0, False, False
                games += 1
            else:
                frame, reward, ended, cut, own = env.step(actions[i])
            done[i] = ended or cut
            assert (frame == frames[i]).all()
            assert (reward, ended, cut) == (rewards[i], terminated[i], truncated[i])
            assert all(own[name] == info[name][i] for name in own)
            assert all(info[f"_{name}"][i] for name in own)
    assert games >= n
