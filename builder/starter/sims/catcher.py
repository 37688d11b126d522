"""Catcher, 32 by 32 pixels.

An apple falls, one pixel a step, from a column that chance decides. The basket moves two pixels a
step. A caught apple gives a point; one that reaches the ground costs one of three lives, which
are drawn at the top. With no life left the game is over.

The frame, the action and the chance decide the next frame: that is what makes a world learnable.
Change any number below, and run it again.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Action, Array, Camera, HudField, Sensor, Sim, Spec

SIZE = 32
GROUND = 30  # The apple's row when the basket can catch it.
START = 3  # The row it falls from.
BASKET, APPLE = 8, 2  # How wide they are.
SPEED, FALL = 2, 1  # Pixels a step.
LIVES = 3

SKY, RED, BROWN, PINK = (18, 24, 44), (232, 64, 56), (214, 160, 92), (255, 96, 144)
MOVES = np.array([0, -SPEED, SPEED], dtype=np.int64)


class Catcher(Sim):
    """N games of Catcher."""

    spec = Spec(
        name="catcher",
        title="Catcher",
        rate=20,
        cameras=(Camera("screen", SIZE, SIZE),),
        actions=(
            Action("noop"),
            Action("left", ("ArrowLeft", "KeyA"), "◀", ("dpad-left", "axis0-")),
            Action("right", ("ArrowRight", "KeyD"), "▶", ("dpad-right", "axis0+")),
        ),
        chance=("column",),
        sensors=(Sensor("apple", (2,), "int64", "px", 0, SIZE, "column and row"),),
        hud=(HudField("score", "Score"), HudField("lives", "Lives")),
        events=("caught", "missed"),
        behaviours=("good", "random"),
        max_steps=3000,
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        names = ("seed", "tick", "x", "y", "basket", "lives", "score", "caught", "missed")
        self.state = {name: np.zeros(worlds, dtype=np.int64) for name in names}
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start games anew; `where` (bool [N]) picks which."""
        w = np.ones(self.worlds, dtype=np.bool_) if where is None else where
        for value in self.state.values():
            value[w] = 0
        self.state["seed"][w] = np.asarray(seeds, dtype=np.int64)[w]
        self.state["lives"][w] = LIVES
        self.state["x"][w] = SIZE // 2
        self.state["y"][w] = START
        self.state["basket"][w] = (SIZE - BASKET) // 2

    def draw(self) -> Array:
        """Return the chance of the coming step, from (seed, tick) alone."""
        return exact.uniform(self.state["seed"], self.state["tick"], 0, 1)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick."""
        s = self.state
        chance = self.draw() if chance is None else chance
        alive = s["lives"] > 0
        s["tick"] += alive
        s["basket"] = np.clip(s["basket"] + MOVES[actions] * alive, 0, SIZE - BASKET)
        s["y"] += FALL * alive
        over = (s["x"] + APPLE > s["basket"]) & (s["x"] < s["basket"] + BASKET)
        landed = alive & (s["y"] >= GROUND - APPLE)
        s["caught"] = (landed & over).astype(np.int64)
        s["missed"] = (landed & ~over).astype(np.int64)
        s["score"] += s["caught"]
        s["lives"] -= s["missed"]
        column = (chance[:, 0] * np.float32(SIZE - APPLE + 1)).astype(np.int64)
        s["x"] = np.where(landed, column, s["x"])
        s["y"] = np.where(landed, START, s["y"])
        terminated = s["lives"] <= 0
        truncated = (s["tick"] >= self.spec.max_steps) & ~terminated
        return s["caught"].astype(np.float32), terminated, truncated

    def render(self, out: Array) -> None:
        """Draw the screen into `out`, uint8 [N, 1, 32, 32, 3]."""
        out[:] = SKY
        s = self.state
        for n in range(self.worlds):
            screen = out[n, 0]
            x, y, basket = int(s["x"][n]), int(s["y"][n]), int(s["basket"][n])
            for life in range(int(s["lives"][n])):
                screen[0, 1 + 2 * life] = PINK
            screen[GROUND:, basket : basket + BASKET] = BROWN
            screen[y : y + APPLE, x : x + APPLE] = RED

    def sensors(self) -> dict[str, Array]:
        """Return where the apple is."""
        return {"apple": np.stack([self.state["x"], self.state["y"]], axis=1)}

    def hud(self) -> dict[str, Array]:
        """Return score and lives."""
        return {name: self.state[name].copy() for name in ("score", "lives")}

    def events(self) -> dict[str, Array]:
        """Return what happened in the last step."""
        return {name: self.state[name] > 0 for name in ("caught", "missed")}

    def act(self, behaviour: str) -> Array:
        """Return the actions of a player: good goes under the apple, random anywhere."""
        s = self.state
        if behaviour == "random":
            u = exact.uniform(s["seed"], s["tick"] // 6, 1, 1)[:, 0]
            return np.asarray((u * np.float32(3)).astype(np.int64))
        ahead = s["x"] - s["basket"] - (BASKET - APPLE) // 2
        return np.asarray(np.where(ahead > 1, 2, np.where(ahead < -1, 1, 0)).astype(np.int64))
