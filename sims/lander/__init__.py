"""Lander, 64 by 48 pixels of shaded sky and hills: bring the craft down on the pad, gently.

Places and speeds are whole numbers of 64ths of a pixel. Gravity pulls, the main engine pushes up,
small ones push to the sides, and each push costs fuel. Who touches the pad slowly has landed. Who
touches anything else, or the pad too fast, has crashed. Both end the game.

Hills, pad and wind are other ones in every game. Speeds are in no single frame: they show in how
the craft moves.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Action, Array, Camera, HudField, Sim, Spec

WIDTH, HEIGHT = 64, 48
UNIT = 64  # Parts of a pixel.
RADIUS = 3  # Of the craft, in pixels.
GRAVITY, UP, ASIDE = 3, 9, 4  # What a step adds to the speed.
FASTEST = 2 * UNIT  # In each direction, a step.
GENTLE, STEADY = 52, 40  # The fastest landing, down and to the side.
FUEL, MAIN, SMALL = 240, 2, 1  # All of it, and what a push costs.
PAD = 6  # Half of its width.
SOFT = 16  # Shades between two colours at an edge.

TOP, HORIZON = (14, 18, 52), (244, 150, 92)
ROCK, PADS, CRAFT = (120, 84, 72), (120, 236, 196), (224, 228, 236)
FLAME, GAUGE = (255, 214, 110), (120, 200, 255)
NOTHING, MAIN_ON, LEFT_ON, RIGHT_ON = range(4)


class Lander(Sim):
    """N games of Lander."""

    spec = Spec(
        name="lander",
        title="Lander",
        rate=15,
        cameras=(Camera("screen", HEIGHT, WIDTH),),
        actions=(
            Action("fall"),
            Action("thrust", ("ArrowUp", "KeyW", "Space"), "▲", ("dpad-up", "south")),
            Action("left", ("ArrowLeft", "KeyA"), "◀", ("dpad-left", "axis0-")),
            Action("right", ("ArrowRight", "KeyD"), "▶", ("dpad-right", "axis0+")),
        ),
        hud=(HudField("fuel", "Fuel"),),
        events=("landed", "crashed"),
        behaviours=("good", "sloppy", "random"),
        max_steps=600,
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        names = ("seed", "tick", "x", "y", "vx", "vy", "wind", "fuel", "pad", "pushed")
        self.state = {
            name: np.zeros(worlds, dtype=np.int64) for name in (*names, *self.spec.events)
        }
        self.state["ground"] = np.zeros((worlds, WIDTH), dtype=np.int64)  # its top, in UNITs
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start games anew; `where` (bool [N]) picks which."""
        w = np.ones(self.worlds, dtype=np.bool_) if where is None else where
        s = self.state
        for value in s.values():
            value[w] = 0
        s["seed"][w] = np.asarray(seeds, dtype=np.int64)[w]
        u = exact.uniform(s["seed"], np.zeros_like(s["seed"]), 2, 7).astype(np.float64)
        starts: dict[str, Array | int] = {
            "x": _between(u[:, 0], RADIUS * 2 * UNIT, (WIDTH - RADIUS * 2) * UNIT),
            "y": (RADIUS + 3) * UNIT,
            "vx": _between(u[:, 1], -40, 41),
            "wind": _between(u[:, 2], -1, 2),
            "fuel": FUEL,
            "pad": _between(u[:, 3], PAD + 2, WIDTH - PAD - 2),
        }
        for name, start in starts.items():
            s[name] = np.where(w, start, s[name])
        s["ground"] = np.where(w[:, None], _hills(u[:, 4:], s["pad"]), s["ground"])

    def draw(self) -> Array:
        """Return nothing: once begun, a game has no chance."""
        return np.zeros((self.worlds, 0), dtype=np.float32)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick."""
        s = self.state
        alive = (s["landed"] == 0) & (s["crashed"] == 0)
        on = alive & (s["fuel"] > 0)
        s["tick"] += alive
        s["pushed"] = np.where(alive, actions * on, s["pushed"])
        main, left, right = (on & (actions == k) for k in (MAIN_ON, LEFT_ON, RIGHT_ON))
        s["fuel"] = np.maximum(s["fuel"] - MAIN * main - SMALL * (left | right), 0)
        gust = s["wind"] * (s["tick"] % 4 == 0)
        s["vx"] += (ASIDE * right.astype(np.int64) - ASIDE * left + gust) * alive
        s["vy"] += (GRAVITY - UP * main.astype(np.int64)) * alive
        for name in ("vx", "vy"):
            s[name] = np.clip(s[name], -FASTEST, FASTEST)
        low, high = RADIUS * UNIT, (WIDTH - RADIUS) * UNIT
        x = s["x"] + s["vx"] * alive
        s["vx"] = np.where((x < low) | (x > high), 0, s["vx"])
        s["x"] = np.clip(x, low, high)
        y = np.maximum(s["y"] + s["vy"] * alive, RADIUS * UNIT)
        s["vy"] = np.where(y > RADIUS * UNIT, s["vy"], np.maximum(s["vy"], 0))
        floor = self._below() - RADIUS * UNIT
        touched = alive & (y >= floor)
        s["y"] = np.where(touched, floor, y)
        centred = np.abs(s["x"] - s["pad"] * UNIT) <= (PAD - 1) * UNIT
        gently = (s["vy"] <= GENTLE) & (np.abs(s["vx"]) <= STEADY)
        landed, crashed = touched & centred & gently, touched & ~(centred & gently)
        s["landed"] = np.where(alive, landed.astype(np.int64), s["landed"])
        s["crashed"] = np.where(alive, crashed.astype(np.int64), s["crashed"])
        terminated = (s["landed"] > 0) | (s["crashed"] > 0)
        truncated = (s["tick"] >= self.spec.max_steps) & ~terminated
        return landed.astype(np.float32) - crashed.astype(np.float32), terminated, truncated

    def render(self, out: Array) -> None:
        """Draw the screen into `out`, uint8 [N, 1, 48, 64, 3]."""
        s = self.state
        rows, columns = np.arange(HEIGHT)[:, None], np.arange(WIDTH)[None, :]
        screen = np.zeros((self.worlds, HEIGHT, WIDTH, 3), dtype=np.int64)
        for k in range(3):
            screen[..., k] = TOP[k] + (HORIZON[k] - TOP[k]) * rows * rows // (HEIGHT * HEIGHT)
        # Hills are lit from the left, and darker further down.
        ground = s["ground"][:, None, :]
        slope = np.diff(s["ground"], axis=1, prepend=s["ground"][:, :1])[:, None, :]
        depth = np.maximum(rows * UNIT - ground, 0) // UNIT
        light = np.clip(100 - slope // 2 - 3 * depth, 40, 150)
        rock = np.array(ROCK) * light[..., None] // 100
        cover = np.clip((rows + 1) * UNIT - ground, 0, UNIT) * SOFT // UNIT
        _blend(screen, rock, cover)
        beside = np.abs(columns - s["pad"][:, None, None]) <= PAD - 1
        _blend(screen, np.array(PADS), np.where(beside & (cover > 0) & (depth < 1), cover, 0))
        # The craft is a ball that is lit from the upper left.
        across = columns * UNIT + UNIT // 2 - s["x"][:, None, None]
        down = rows * UNIT + UNIT // 2 - s["y"][:, None, None]
        pushed = s["pushed"][:, None, None]
        fire = np.where(
            pushed == MAIN_ON,
            (down > 0) & (3 * np.abs(across) < (2 * RADIUS + 2) * UNIT - down) & (down < 7 * UNIT),
            np.abs(down) * 2 < 2 * UNIT,
        )
        side = np.where(pushed == LEFT_ON, across, -across)
        fire &= np.where(pushed == MAIN_ON, True, (side > 0) & (side < 5 * UNIT)) & (pushed > 0)
        _blend(screen, np.array(FLAME), fire * SOFT)
        far = np.sqrt((across * across + down * down).astype(np.float64))
        edge = np.clip(np.floor(RADIUS * UNIT + UNIT / 2 - far), 0, UNIT).astype(np.int64)
        lit = np.clip(90 - (across + down) * 9 // UNIT, 40, 120)
        _blend(screen, np.array(CRAFT) * lit[..., None] // 120, edge * SOFT // UNIT)
        out[:, 0] = np.clip(screen, 0, 255)
        full = (s["fuel"] * 20 + FUEL - 1) // FUEL
        bar = (columns >= 2) & (columns < 2 + full[:, None, None]) & (rows >= 2) & (rows < 4)
        out[:, 0][np.broadcast_to(bar, screen.shape[:3])] = GAUGE

    def hud(self) -> dict[str, Array]:
        """Return the fuel."""
        return {"fuel": self.state["fuel"].copy()}

    def events(self) -> dict[str, Array]:
        """Return what happened in the last step."""
        return {name: self.state[name] > 0 for name in self.spec.events}

    def act(self, behaviour: str) -> Array:
        """Return the actions of a player: good lands mostly, sloppy often pushes anywhere."""
        s = self.state
        u = exact.uniform(s["seed"], s["tick"] // 4, 1, 2)
        anywhere = (u[:, 0] * np.float32(4)).astype(np.int64)
        if behaviour == "random":
            return np.asarray(anywhere)
        height = self._below() - RADIUS * UNIT - s["y"]
        off = s["pad"] * UNIT - s["x"]
        goal = np.clip(off // 10, -56, 56)
        # High up until the pad is below, then down: slower, the closer.
        away = np.abs(off) > PAD * UNIT
        sinks = np.where(
            away, np.clip(height // 20 - 20, -24, 40), np.clip(height // 14 + 14, 18, 80)
        )
        aside = np.where(goal - s["vx"] > 5, RIGHT_ON, np.where(goal - s["vx"] < -5, LEFT_ON, 0))
        wise = np.where(s["vy"] > sinks, MAIN_ON, aside)
        if behaviour == "sloppy":
            wise = np.where(u[:, 1] < np.float32(0.35), anywhere, wise)
        return np.asarray(wise.astype(np.int64))

    def _below(self) -> Array:
        """Return the highest ground under the craft, int64 [N]."""
        column = self.state["x"] // UNIT
        near = np.clip(column[:, None] + np.arange(-RADIUS + 1, RADIUS), 0, WIDTH - 1)
        return np.asarray(np.take_along_axis(self.state["ground"], near, 1).min(1))


def _between(share: Array, low: int, high: int) -> Array:
    """Return whole numbers from `low` to `high` - 1 for numbers in [0, 1)."""
    return np.asarray(low + np.floor(share * (high - low)).astype(np.int64))


def _hills(u: Array, pad: Array) -> Array:
    """Return the top of the ground in each column, int64 [N, WIDTH], flat where the pad is."""
    columns = np.arange(WIDTH, dtype=np.float64)[None, :]
    waves = exact.sine(columns / 41 + u[:, :1]) * 5 + exact.sine(columns / 17 + u[:, 1:2]) * 2.5
    top = ((HEIGHT - 11 - 3 * u[:, 2:3] + waves) * UNIT).astype(np.int64)
    level = np.take_along_axis(top, pad[:, None], 1) // UNIT * UNIT
    return np.asarray(np.where(np.abs(columns - pad[:, None]) <= PAD, level, top))


def _blend(screen: Array, colour: Array, cover: Array) -> None:
    """Lay a colour over the screen, int64 [N, H, W, 3], `cover` SOFTths of it."""
    part = np.broadcast_to(cover, screen.shape[:3])[..., None]
    screen += (colour - screen) * part // SOFT
