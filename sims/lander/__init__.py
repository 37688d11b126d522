"""Lander: bring a craft down on a lit pad, softly and upright.

A craft falls onto a moon. Its main engine pushes along the craft, its two small ones turn it, and
all of them burn fuel. It has landed when it stands on the pad, slow and upright: that is one point.
Any other way to meet the ground costs one, and so does a craft that tumbles or leaves the picture.
Either ends the game.

Everything is shaded: the sky, two ranges of hills that differ from game to game, the craft and its
flames. The hills decide nothing. Eight numbers do.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Action, Array, Camera, HudField, Sensor, Sim, Spec

HEIGHT, WIDTH = 64, 96
GROUND = 56.0  # The row of the plain. Rows count downwards; heights count upwards from here.
GRAVITY, PUSH = 0.010, 0.028  # Pixels a step, each step.
TWIST, CALM = 0.22, 0.985  # Degrees a step, each step; and what is left of a turn.
TANK, MAIN, SMALL = 1.0, 0.005, 0.001  # Fuel, and what the engines burn in a step.
FEET = 3.0  # The craft's middle is so high when it stands.
PAD = 9.0  # How far the pad reaches to each side.
SOFT, UPRIGHT, TUMBLES = 0.45, 12.0, 100.0  # Pixels a step, and degrees.
REACH = 12  # Pixels around the craft that it and its flames may cover.

NOTHING, LEFT, MAIN_ENGINE, RIGHT = range(4)
SKY_HIGH, SKY_LOW = np.array([8, 10, 28]), np.array([52, 50, 92])
FAR, NEAR, PLAIN = np.array([46, 44, 78]), np.array([34, 32, 56]), np.array([120, 116, 122])
LAMPS, HULL, LEGS = np.array([92, 232, 190]), np.array([226, 228, 236]), np.array([150, 154, 170])
HOT, COOL = np.array([255, 236, 150]), np.array([255, 122, 48])
NUMBERS = ("x", "height", "vx", "vy", "angle", "spin", "fuel", "pad")


class Lander(Sim):
    """N landings."""

    spec = Spec(
        name="lander",
        title="Lander",
        rate=20,
        cameras=(Camera("screen", HEIGHT, WIDTH),),
        actions=(
            Action("nothing"),
            Action("turn left", ("ArrowLeft", "KeyA"), "↺", ("dpad-left", "axis0-")),
            Action("main engine", ("ArrowUp", "KeyW", "Space"), "▲", ("dpad-up", "south")),
            Action("turn right", ("ArrowRight", "KeyD"), "↻", ("dpad-right", "axis0+")),
        ),
        sensors=(
            Sensor("x", (1,), "float32", "px", 0, WIDTH, "place, from the left"),
            Sensor("height", (1,), "float32", "px", 0, 56, "of its middle above the plain"),
            Sensor("vx", (1,), "float32", "px/step", -1.5, 1.5, "speed to the right"),
            Sensor("vy", (1,), "float32", "px/step", -2, 1, "speed upwards", "gauge"),
            Sensor("angle", (1,), "float32", "deg", -100, 100, "lean to the right", "gauge"),
            Sensor("spin", (1,), "float32", "deg/step", -8, 8, "how fast it leans further"),
            Sensor("fuel", (1,), "float32", "share", 0, 1, "what is left of it", "gauge"),
            Sensor("pad", (1,), "float32", "px", 0, WIDTH, "the middle of the pad"),
        ),
        hud=(HudField("landed", "Landed"),),
        events=("landed", "crashed", "lost"),
        behaviours=("pilot", "novice", "random"),
        max_steps=600,
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        whole = ("seed", "tick", "engine", "landed", "crashed", "lost")
        self.state = {name: np.zeros(worlds, dtype=np.int64) for name in whole}
        self.state |= {name: np.zeros(worlds, dtype=np.float64) for name in NUMBERS}
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start games anew; `where` (bool [N]) picks which."""
        w = np.ones(self.worlds, dtype=np.bool_) if where is None else where
        s = self.state
        for value in s.values():
            value[w] = 0
        s["seed"][w] = np.asarray(seeds, dtype=np.int64)[w]
        u = exact.uniform(s["seed"], np.zeros_like(s["seed"]), 1, 6).astype(np.float64)
        first = {
            "x": 12 + 72 * u[:, 0],
            "height": 44 + 8 * u[:, 1],
            "vx": 0.6 * u[:, 2] - 0.3,
            "vy": -0.2 * u[:, 3],
            "angle": 30 * u[:, 4] - 15,
            "fuel": np.full(self.worlds, TANK),
            "pad": 16 + 64 * u[:, 5],
        }
        for name, value in first.items():
            s[name][w] = value[w]

    def draw(self) -> Array:
        """Return the chance of the coming step: nothing here happens by chance."""
        return np.zeros((self.worlds, 0), dtype=np.float32)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick."""
        s = self.state
        over = (s["landed"] + s["crashed"] + s["lost"]) > 0
        s["tick"] += ~over
        engine = np.where((s["fuel"] > 0) & ~over, np.asarray(actions, dtype=np.int64), NOTHING)
        burns = MAIN * (engine == MAIN_ENGINE) + SMALL * ((engine == LEFT) | (engine == RIGHT))
        turns = 1.0 * (engine == RIGHT) - 1.0 * (engine == LEFT)
        push = PUSH * (engine == MAIN_ENGINE)
        lean = s["angle"] / 360
        after = {
            "fuel": np.maximum(s["fuel"] - burns, 0),
            "spin": (s["spin"] + TWIST * turns) * CALM,
            "vx": s["vx"] + push * exact.sine(lean),
            "vy": s["vy"] + push * exact.cosine(lean) - GRAVITY,
        }
        after["angle"] = s["angle"] + after["spin"]
        after["x"] = s["x"] + after["vx"]
        after["height"] = np.maximum(s["height"] + after["vy"], FEET)
        for name, value in after.items():
            s[name] = np.where(over, s[name], value)
        s["engine"] = engine

        down = ~over & (s["height"] <= FEET)
        soft = (np.abs(s["vx"]) < SOFT) & (-s["vy"] < SOFT) & (np.abs(s["angle"]) < UPRIGHT)
        landed = down & soft & (np.abs(s["x"] - s["pad"]) < PAD)
        away = (s["x"] < 0) | (s["x"] > WIDTH) | (s["height"] > GROUND)
        lost = ~over & ~down & (away | (np.abs(s["angle"]) > TUMBLES))
        for name, now in (("landed", landed), ("crashed", down & ~landed), ("lost", lost)):
            s[name] = np.where(over, s[name], now.astype(np.int64))
        terminated = (s["landed"] + s["crashed"] + s["lost"]) > 0
        truncated = (s["tick"] >= self.spec.max_steps) & ~terminated
        reward = np.where(over, 0, 2 * landed.astype(np.int64) - (down | lost))
        return reward.astype(np.float32), terminated, truncated

    def render(self, out: Array) -> None:
        """Draw the screen into `out`, uint8 [N, 1, 64, 96, 3]."""
        s = self.state
        rows, columns = np.arange(HEIGHT, dtype=np.float64), np.arange(WIDTH, dtype=np.float64)
        sky = SKY_HIGH + (SKY_LOW - SKY_HIGH) * (rows / GROUND)[:, None]
        picture = np.repeat(np.repeat(sky[None, :, None], self.worlds, 0), WIDTH, 2)
        for stream, (colour, top, tall) in enumerate(((FAR, 40.0, 9.0), (NEAR, 48.0, 6.0))):
            edge = top - tall * _hills(s["seed"], 10 + stream, columns)
            inside = np.clip(rows[None, :, None] - edge[:, None] + 0.5, 0, 1)[..., None]
            picture += inside * (colour - picture)
        inside = np.clip(rows - GROUND + 0.5, 0, 1)[None, :, None, None]
        plain = PLAIN * (1 - 0.05 * np.maximum(rows - GROUND, 0))[:, None]
        picture += inside * (plain[:, None] - picture)
        lit = np.clip(PAD + 0.5 - np.abs(columns - s["pad"][:, None]), 0, 1)
        lit = lit[:, None] * (np.abs(rows - GROUND - 0.5) < 1)[None, :, None]
        picture += lit[..., None] * (LAMPS - picture)
        for n in range(self.worlds):
            x, y = float(s["x"][n]), GROUND - float(s["height"][n])
            top, left = max(0, int(y) - REACH), max(0, int(x) - REACH)
            part = picture[n, top : int(y) + REACH + 1, left : int(x) + REACH + 1]
            if part.size:
                _craft(part, left - x, top - y, s["angle"][n], int(s["engine"][n]))
        out[:, 0] = (picture + 0.5).astype(np.uint8)

    def sensors(self) -> dict[str, Array]:
        """Return the eight numbers that decide a landing."""
        return {name: self.state[name][:, None].astype(np.float32) for name in NUMBERS}

    def hud(self) -> dict[str, Array]:
        """Return whether it has landed."""
        return {"landed": self.state["landed"].copy()}

    def events(self) -> dict[str, Array]:
        """Return what happened in the last step; it ended the game."""
        return {name: self.state[name] > 0 for name in ("landed", "crashed", "lost")}

    def act(self, behaviour: str) -> Array:
        """Return the actions of a player: a pilot lands, a novice errs for a while at times."""
        s = self.state
        u = exact.uniform(s["seed"], s["tick"] // 12, 2, 2)
        anything = (u[:, 1] * np.float32(4)).astype(np.int64)
        if behaviour == "random":
            return np.asarray(anything)
        far = s["pad"] - s["x"]
        want = np.sign(far) * np.minimum(np.sqrt(0.003 * np.abs(far)), 0.4)
        most = np.clip(s["height"] - FEET, 8, 25)
        lean = np.clip((want - s["vx"]) * 150, -most, most)
        wrong = np.clip((lean - s["angle"]) * 0.1, -2, 2) - s["spin"]
        above = s["height"] - FEET - 0.8 * np.maximum(np.abs(far) - 4, 0)
        fall = -np.clip(0.012 * above + 0.1, 0.02, 0.5)
        engine = np.where(s["vy"] < fall, MAIN_ENGINE, NOTHING)
        engine = np.where(np.abs(wrong) > 0.25, np.where(wrong > 0, RIGHT, LEFT), engine)
        errs = (behaviour == "novice") & (u[:, 0] < np.float32(0.2))
        return np.asarray(np.where(errs, anything, engine).astype(np.int64))


def _hills(seeds: Array, stream: int, columns: Array) -> Array:
    """Return the heights of a range of hills, float64 [N, columns], about 0..1."""
    u = exact.uniform(seeds, np.zeros_like(seeds), stream, 3).astype(np.float64)
    place = columns / WIDTH
    waves = [exact.sine(k * place + u[:, i, None]) / k for i, k in enumerate((1.5, 2.7, 5.3))]
    return np.asarray(0.5 + 0.45 * (waves[0] + waves[1] + waves[2]))


def _craft(part: Array, left: float, top: float, angle: float, engine: int) -> None:
    """Draw the craft and its flames into `part` [h, w, 3], whose first pixel is at (left, top)."""
    rows, columns = np.arange(part.shape[0]) + top, np.arange(part.shape[1]) + left
    turn = np.array([float(angle) / 360])
    sine, cosine = float(exact.sine(turn)[0]), float(exact.cosine(turn)[0])
    across = columns * cosine + rows[:, None] * sine
    along = rows[:, None] * cosine - columns * sine  # Downwards, through the craft's feet.

    def drawn(inside: Array, colour: Array) -> None:
        part[...] += np.clip(inside + 0.5, 0, 1)[..., None] * (colour - part)

    if engine == MAIN_ENGINE:
        flame = 1 - np.abs(along - 5.5) / 4.5
        heat = np.clip(1.2 - (along - 2) / 6, 0, 1)[..., None]
        drawn(np.minimum(1.8 * flame - np.abs(across), 4 * flame), COOL + heat * (HOT - COOL))
    if engine in (LEFT, RIGHT):
        side = 1.0 if engine == LEFT else -1.0
        drawn(1.4 - np.sqrt((across - 5.0 * side) ** 2 + (along + 1.5) ** 2), HOT)
    for side in (-1.0, 1.0):
        aside = np.abs(across - side * (1.6 + 0.55 * along)) * 0.85
        drawn(np.minimum(0.55 - aside, 1.6 - np.abs(along - 1.5)), LEGS)
    light = (0.82 + 0.18 * np.clip((-across - along) / 4, -1, 1))[..., None]
    drawn(3.1 - np.sqrt(across**2 + (1.35 * (along + 0.8)) ** 2), HULL * light)
    drawn(0.9 - np.sqrt((across - 0.6) ** 2 + (along + 1.4) ** 2), LAMPS * 0.6)
