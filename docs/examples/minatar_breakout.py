"""MinAtar's Breakout as an environment that draws its frames with NumPy alone."""

import gymnasium
import numpy as np
from gymnasium import spaces
from minatar import Environment

SIZE = 6
COLOURS = np.array(
    [[0, 0, 0], [90, 160, 255], [255, 220, 80], [120, 90, 30], [200, 80, 80]], np.uint8
)


class Bricks(gymnasium.Env):
    """The paddle goes left and right; the ball takes bricks away."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space = spaces.Discrete(3)
    observation_space = spaces.Box(0, 1, (10, 10, 4), np.int8)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.game = Environment("breakout", sticky_action_prob=0.0)

    def reset(self, *, seed=None, options=None):
        """Start a game."""
        super().reset(seed=seed)
        self.game.seed(seed)
        self.game.reset()
        return self.game.state().astype(np.int8), {}

    def step(self, action):
        """Move the paddle, and the ball."""
        reward, over = self.game.act([0, 1, 3][int(action)])
        return self.game.state().astype(np.int8), float(reward), bool(over), False, {}

    def render(self):
        """Return the frame: one colour for each kind of thing."""
        state = self.game.state()
        shown = np.where(state.any(2), 1 + state.argmax(2), 0)
        return COLOURS[shown].repeat(SIZE, 0).repeat(SIZE, 1)


gymnasium.register("mine/Bricks-v0", "bricks:Bricks")
