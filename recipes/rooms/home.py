"""ViZDoom's "my way home" scenario, with the numbers that decide what it shows.

Rooms and passages with walls of their own, and a suit of armour in the last of them. The player
starts anywhere, walks and turns. The view does not bob, so that a frame follows from where the
player stands and looks. A game ends when the armour is reached.
"""

from __future__ import annotations

import tempfile
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from vizdoom import GameVariable, ScreenResolution
from vizdoom.gymnasium_wrapper.gymnasium_env_defns import VizdoomScenarioEnv

SLOW = 6  # steps of a held turn that are counted; the first five turn half as fast


class Home(VizdoomScenarioEnv):
    """The scenario; an observation is a screen, uint8 [240, 320, 3], and seven numbers."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__("my_way_home.cfg", render_mode=render_mode)
        self.game.set_screen_resolution(ScreenResolution.RES_320X240)
        self.game.set_doom_config_path(str(Path(tempfile.gettempdir()) / "wmsite-doom.ini"))
        self.game.add_game_args("+movebob 0")
        low = np.array([128, -736, -16, -16, -1, -1, 0], np.float32)
        high = np.array([1152, 160, 16, 16, 1, 1, SLOW], np.float32)
        screen = spaces.Box(0, 255, (240, 320, 3), np.uint8)
        self.observation_space = spaces.Dict(screen=screen, numbers=spaces.Box(low, high))

    def reset(self, **asked: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a game."""
        super().reset(**asked)
        self.turned, self.goal = 0, None
        self.shown = self._seen(self.state)
        return self.shown, {}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Play one of Doom's 35 steps a second."""
        _, reward, over, late, _ = super().step(np.asarray(action, np.int8))
        self.turned = min(SLOW, self.turned + 1) if action[0] or action[1] else 0
        if self.state is not None:
            self.shown = self._seen(self.state)
        return self.shown, reward, over and not late, late, {}

    def _seen(self, state: Any) -> dict[str, Any]:
        *told, angle = (
            self.game.get_game_variable(one)
            for one in (
                GameVariable.POSITION_X,
                GameVariable.POSITION_Y,
                GameVariable.VELOCITY_X,
                GameVariable.VELOCITY_Y,
                GameVariable.ANGLE,
            )
        )
        look = cos(radians(angle)), sin(radians(angle))
        numbers = np.array([*told, *look, self.turned], np.float32)
        return {"screen": state.screen_buffer, "numbers": numbers}


gymnasium.register("DoomRooms-v0", f"{__name__}:Home")
