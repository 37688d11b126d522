"""ViZDoom's basic scenario, with the numbers that decide what it shows.

One room, and a monster at its far wall. The player moves sideways and shoots. The view does not
bob, so that a frame follows from five numbers. The monster's place is given relative to the
player's: that is what the eye sees, and what a shot must meet. Each shot is aimed anew: in ViZDoom,
further shots of a held key go astray by chance. A game ends when the monster is hit, one step
sooner than in ViZDoom, which has no frame of its last step.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from vizdoom import GameVariable, ScreenResolution
from vizdoom.gymnasium_wrapper.gymnasium_env_defns import VizdoomScenarioEnv

READY = 18  # steps of a shot; the bullet leaves the gun in the fifth


class Room(VizdoomScenarioEnv):
    """The basic scenario; an observation is a screen, uint8 [240, 320, 3], and five numbers."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__("basic.cfg", render_mode=render_mode)
        self.game.set_screen_resolution(ScreenResolution.RES_320X240)
        self.game.set_render_hud(True)
        self.game.set_objects_info_enabled(True)
        self.game.set_doom_config_path(str(Path(tempfile.gettempdir()) / "wmsite-doom.ini"))
        self.game.add_game_args("+movebob 0")
        low = np.array([-256, -12, -512, 0, 0], np.float32)
        high = np.array([256, 12, 512, 50, READY], np.float32)
        screen = spaces.Box(0, 255, (240, 320, 3), np.uint8)
        self.observation_space = spaces.Dict(screen=screen, numbers=spaces.Box(low, high))

    def reset(self, **asked: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a game."""
        super().reset(**asked)
        self.gun, self.monster, self.hit = 0, 0.0, False
        self.shown = self._seen(self.state)
        return self.shown, {}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Play one of Doom's 35 steps a second."""
        shoots = int(action[2] and not self.gun)
        played = np.array([*action[:2], shoots], np.int8)
        _, reward, over, late, _ = super().step(played)
        self.gun = (self.gun + 1) % (READY + 1) if self.gun else shoots
        if self.state is not None:
            self.shown = self._seen(self.state)
        return self.shown, reward, self.hit or (over and not late), late, {}

    def _seen(self, state: Any) -> dict[str, Any]:
        place, speed, bullets = (
            self.game.get_game_variable(one)
            for one in (GameVariable.POSITION_Y, GameVariable.VELOCITY_Y, GameVariable.AMMO2)
        )
        alive = [one.position_y for one in state.objects if one.name == "Cacodemon"]
        self.hit = not alive
        self.monster = alive[0] if alive else self.monster
        numbers = [place, speed, self.monster - place, bullets, self.gun]
        return {"screen": state.screen_buffer, "numbers": np.array(numbers, np.float32)}


gymnasium.register("DoomBasic-v0", f"{__name__}:Room")
