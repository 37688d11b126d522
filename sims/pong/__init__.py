"""Pong, 48 by 32 pixels: two paddles, a ball, an opponent that follows a script.

Places and speeds are whole numbers of half pixels. The ball flies by 1.5 pixels a step from side to
side, and up or down by what the paddle gave it: the further from its middle, the steeper. The
opponent follows the ball by half a pixel a step while it comes, so a steep ball beats it. Who
misses gives a point to the other, shown at the top; the game is over at five points.

Everything that decides the next frame is in the frames, the action and the chance: a model can
learn the game from pixels alone.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Action, Array, Camera, HudField, Sim, Spec

WIDTH, HEIGHT = 48, 32
TOP = 4  # The row below the points, where the field begins.
HALF = 2  # Half pixels in a pixel.
PADDLE, BALL = 8, 2  # How tall and how large they are.
LEFT, RIGHT = 2, WIDTH - 4  # The columns of the paddles, two pixels wide.
SPEED, OPPONENT = 2 * HALF, 1  # Of the paddles, a step.
PACE = 3  # Of the ball from side to side.
POINTS = 5

GREEN, LINE, WHITE = (16, 48, 40), (40, 84, 72), (240, 240, 232)
YOU, THEM = (104, 208, 255), (255, 152, 96)
MOVES = np.array([0, -SPEED, SPEED], dtype=np.int64)
SLOPES = np.array([-3, -2, -1, 0, 0, 1, 2, 3], dtype=np.int64)
HIGHEST, LOWEST = HALF * TOP, HALF * (HEIGHT - BALL)
SPAN = HALF * (HEIGHT - PADDLE)  # The lowest place of a paddle.


class Pong(Sim):
    """N games of Pong; the player has the right paddle."""

    spec = Spec(
        name="pong",
        title="Pong",
        rate=20,
        cameras=(Camera("screen", HEIGHT, WIDTH),),
        actions=(
            Action("noop"),
            Action("up", ("ArrowUp", "KeyW"), "▲", ("dpad-up", "axis1-")),
            Action("down", ("ArrowDown", "KeyS"), "▼", ("dpad-down", "axis1+")),
        ),
        chance=("side", "slope"),
        sensors=(),
        hud=(HudField("you", "You"), HudField("them", "Them")),
        events=("hit", "won", "lost"),
        behaviours=("good", "sloppy", "random"),
        max_steps=2000,
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        names = ("seed", "tick", "x", "y", "dx", "dy", "mine", "theirs", "you", "them")
        self.state = {
            name: np.zeros(worlds, dtype=np.int64) for name in (*names, *self.spec.events)
        }
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start games anew; `where` (bool [N]) picks which."""
        w = np.ones(self.worlds, dtype=np.bool_) if where is None else where
        for value in self.state.values():
            value[w] = 0
        self.state["seed"][w] = np.asarray(seeds, dtype=np.int64)[w]
        for name in ("mine", "theirs"):
            self.state[name][w] = (HIGHEST + SPAN) // 2
        self._serve(w, exact.uniform(self.state["seed"], self.state["tick"], 2, 2))

    def draw(self) -> Array:
        """Return the chance of the coming step, from (seed, tick) alone."""
        return exact.uniform(self.state["seed"], self.state["tick"], 0, 2)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick."""
        s = self.state
        chance = self.draw() if chance is None else chance
        alive = (s["you"] < POINTS) & (s["them"] < POINTS)
        s["tick"] += alive
        s["mine"] = np.clip(s["mine"] + MOVES[actions] * alive, HIGHEST, SPAN)
        ahead = s["y"] + HALF * BALL // 2 - s["theirs"] - HALF * PADDLE // 2
        follows = alive & (s["dx"] < 0)
        s["theirs"] = np.clip(
            s["theirs"] + np.clip(ahead, -OPPONENT, OPPONENT) * follows, HIGHEST, SPAN
        )
        s["x"] += s["dx"] * alive
        s["y"] += s["dy"] * alive
        wall = (s["y"] < HIGHEST) | (s["y"] > LOWEST)
        s["dy"] = np.where(wall, -s["dy"], s["dy"])
        s["y"] = np.clip(s["y"], HIGHEST, LOWEST)

        s["hit"] = self._returned(s["mine"], HALF * (RIGHT - BALL), 1, alive)
        self._returned(s["theirs"], HALF * (LEFT + 2), -1, alive)
        lost = alive & (s["x"] > HALF * (WIDTH - BALL))
        won = alive & (s["x"] < 0)
        s["won"], s["lost"] = won.astype(np.int64), lost.astype(np.int64)
        s["you"] += won
        s["them"] += lost
        self._serve(won | lost, chance)
        terminated = (s["you"] >= POINTS) | (s["them"] >= POINTS)
        truncated = (s["tick"] >= self.spec.max_steps) & ~terminated
        return (won.astype(np.float32) - lost.astype(np.float32)), terminated, truncated

    def render(self, out: Array) -> None:
        """Draw the screen into `out`, uint8 [N, 1, 32, 48, 3]."""
        out[:] = GREEN
        out[:, 0, TOP::4, WIDTH // 2] = LINE
        out[:, 0, TOP - 1] = LINE
        s = self.state
        for n in range(self.worlds):
            screen = out[n, 0]
            for point in range(int(s["them"][n])):
                screen[1, 2 + 2 * point] = THEM
            for point in range(int(s["you"][n])):
                screen[1, WIDTH - 3 - 2 * point] = YOU
            theirs, mine = int(s["theirs"][n]) // HALF, int(s["mine"][n]) // HALF
            x, y = max(0, int(s["x"][n]) // HALF), int(s["y"][n]) // HALF
            screen[theirs : theirs + PADDLE, LEFT : LEFT + 2] = THEM
            screen[mine : mine + PADDLE, RIGHT : RIGHT + 2] = YOU
            screen[y : y + BALL, x : x + BALL] = WHITE

    def sensors(self) -> dict[str, Array]:
        """Return nothing: the game is all in its frames."""
        return {}

    def hud(self) -> dict[str, Array]:
        """Return the points of both."""
        return {name: self.state[name].copy() for name in ("you", "them")}

    def events(self) -> dict[str, Array]:
        """Return what happened in the last step."""
        return {name: self.state[name] > 0 for name in self.spec.events}

    def act(self, behaviour: str) -> Array:
        """Return the actions of a player: good meets the ball, sloppy often does not."""
        s = self.state
        u = exact.uniform(s["seed"], s["tick"] // 8, 1, 2)
        anywhere = (u[:, 0] * np.float32(3)).astype(np.int64)
        if behaviour == "random":
            return np.asarray(anywhere)
        # Aim with another part of the paddle in every rally, so that balls fly at all slopes.
        aim = ((s["you"] + 3 * s["them"] + s["tick"] // 64) % 7 - 3) * HALF
        ahead = s["y"] + HALF * BALL // 2 - s["mine"] - HALF * PADDLE // 2 + aim
        ahead = np.where(s["dx"] > 0, ahead, 0)
        meets = np.where(ahead > HALF, 2, np.where(ahead < -HALF, 1, 0))
        if behaviour == "sloppy":
            meets = np.where(u[:, 1] < np.float32(0.4), anywhere, meets)
        return np.asarray(meets.astype(np.int64))

    def _serve(self, where: Array, chance: Array) -> None:
        """Put the ball into the middle, on its way to either side."""
        s = self.state
        side = np.where(chance[:, 0] < np.float32(0.5), -PACE, PACE)
        slope = (chance[:, 1] * np.float32(5)).astype(np.int64) - 2
        middle = HALF * (TOP + HEIGHT - BALL) // 2
        starts: dict[str, Array | int] = {
            "x": HALF * (WIDTH - BALL) // 2,
            "y": middle,
            "dx": side,
            "dy": slope,
        }
        for name, value in starts.items():
            s[name] = np.where(where, value, s[name])

    def _returned(self, paddle: Array, column: int, side: int, alive: Array) -> Array:
        """Turn balls that reach a paddle at `column`; return where, int64 [N]."""
        s = self.state
        reached = alive & (s["dx"] * side > 0) & ((s["x"] - column) * side >= 0)
        # A ball that was already behind the paddle is lost.
        reached &= (s["x"] - s["dx"] - column) * side <= 0
        met = s["y"] + HALF * BALL // 2 - paddle
        part = np.clip(met // HALF, 0, PADDLE - 1)
        hit = reached & (met > -HALF) & (met < HALF * (PADDLE + 1))
        s["dx"] = np.where(hit, -side * PACE, s["dx"])
        s["dy"] = np.where(hit, SLOPES[part], s["dy"])
        s["x"] = np.where(hit, column, s["x"])
        return hit.astype(np.int64)
