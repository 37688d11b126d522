"""A small Gymnasium environment, written into a folder as a user would: 40 lines, and faults."""

from __future__ import annotations

from pathlib import Path

import pytest

SOURCE = '''
import os, sys, time
import gymnasium
import numpy as np
from gymnasium import spaces


class Ball(gymnasium.Env):
    """A ball on a field of 120 x 90 pixels, pushed by two numbers; it ends at the right wall."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = spaces.Box(-1, 1, (2,), np.float64)

    def __init__(self, render_mode=None, fault="", actions=None):
        self.render_mode, self.fault = render_mode, fault
        if fault == "starts":
            import subprocess
            self.started = subprocess.Popen(["sleep", "577"])
        self.action_space = actions or spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number, self.steps = seed or 0, 0
        self.place = self.np_random.uniform(-0.5, 0.5, 2)
        return self.place.copy(), {}

    def step(self, action):
        self.steps += 1
        self.fail()
        push = np.zeros(2) + np.ravel(action)[0] if self.action_space.shape != (2,) else action
        self.place = np.clip(self.place + 0.1 * np.asarray(push, float), -1, 1)
        over = bool(self.place[0] > 0.8)
        seen = self.place * (np.nan if "nan" in self.fault and self.unlucky else 1)
        if self.fault == "old":
            return seen, 1.0, over, {}
        return seen, float(over), over, self.steps >= 60, {"steps": self.steps, "word": "no"}

    @property
    def unlucky(self):
        return self.number % 4 == 2 and self.steps == 3

    def fail(self):
        if self.fault == "print":
            print("here I am", self.steps)
        if self.fault == "always" or ("raise" in self.fault and self.unlucky):
            raise RuntimeError("the ball\\nis lost")
        if "die" in self.fault and self.number % 10**6 == 1 and self.steps == 5:
            print("about to die", flush=True)
            os._exit(7)
        if "hang" in self.fault and self.number % 10**6 == 3 and self.steps == 4:
            time.sleep(600)

    def render(self):
        if self.fault == "blind":
            return None
        size = (90, 121) if self.fault == "grows" and self.steps > 5 else (90, 120)
        frame = np.zeros((*size, 3), np.uint8)
        x, y = (self.place * (50, 35) + (60, 45)).astype(int)
        frame[y - 6 : y + 6, x - 6 : x + 6] = (255, 200, 0)
        return frame


class Screen(Ball):
    """Observes an image and other things, and draws nothing."""

    metadata = {"render_modes": []}
    observation_space = spaces.Dict({
        "pixels": spaces.Box(0, 255, (90, 120, 3), np.uint8), "facing": spaces.Discrete(4),
        "far": spaces.Box(-np.inf, np.inf, (20,)), "words": spaces.Text(9),
    })

    def __init__(self):
        super().__init__(actions=spaces.Discrete(3))

    def told(self, seen):
        far = np.full(20, seen[0], np.float32)
        return {"pixels": self.render(), "facing": 2, "far": far, "words": ""}

    def reset(self, *, seed=None, options=None):
        seen, info = super().reset(seed=seed)
        return self.told(seen), info

    def step(self, action):
        seen, *rest = super().step([(action - 1) / 2, 0])
        return self.told(seen), *rest


def rightwards(observation, env, random):
    return np.array([0.5, random.uniform(-1, 1)])


gymnasium.register("tiny/Ball-v0", "tiny_env:Ball")
gymnasium.register("tiny/Screen-v0", "tiny_env:Screen", max_episode_steps=50)
'''


def project(home: Path) -> Path:
    """Make what `wmsite new --gym` makes of it, in a folder of `home`, and return that folder."""
    from builder.commands import new, new_gym
    from builder.terminal import Terminal

    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(write(home))
        asked = new_gym.Asked("tiny/Ball-v0", ("tiny_env",))
        return new.run(home / "project", Terminal(quiet=True), asked)


def write(folder: Path) -> Path:
    """Write the module `tiny_env` into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny_env.py").write_text(SOURCE)
    return folder
