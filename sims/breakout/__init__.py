"""Breakout, 64 by 64 pixels.

The rules
---------
A ball flies in straight lines at a constant speed. It bounces off the left, right and top walls,
off the bricks and off the paddle. A brick that the ball hits disappears and gives ten points. The
ball moves along one axis after the other. Along each axis it breaks at most one brick, the nearest.
When the ball enters a wall, a brick or the paddle, it is put against its edge, so that it never
passes through anything.

The ball always leaves the paddle upwards. The place of the hit decides the angle: straight up from
the middle, and up to MAX_TURN to the side at either end, counted in whole pixels, as the frame
shows them. After the last brick, the next touch of the paddle fills the wall again.

A ball that would leave the frame at the bottom is lost, and a life with it. That frame shows no
ball and one life less. The next step serves a new ball from a fixed point below the bricks. It
flies downwards, in a direction that depends on the world's one chance number. A game starts the
same way. With no life left the game is over, and the frame does not change any more.

Everything is in pixels and in steps (RATE steps a second). Positions are real numbers: pixel i lies
between i and i + 1. The position of a ball is its middle, and that of the paddle is its left edge.
You can change every number below; the rest follows from them.

To try
------
A wider PADDLE_WIDTH, a faster BALL_SPEED, other colours. Gravity: in `_fly`, before `y` changes,
write `vy += 0.02 * flying`. A second ball: give `state` a "ball2" and a "flying2", and treat them
in `step` and `render` like "ball" and "flying".
"""

from __future__ import annotations

import math

import numpy as np

from sims import exact
from sims.contract import Action, Array, Camera, HudField, Sensor, Sim, Spec
from sims.errors import UserError

RATE = 30
WIDTH = 64
HEIGHT = 64

# The play field lies inside the walls; the lives are drawn above it.
LEFT, RIGHT, TOP = 1, WIDTH - 1, 5

BALL_SIZE = 3
BALL_SPEED = 1.5
SERVE_BELOW = 5  # A serve starts in the middle, this far below the lowest brick.
SERVE_TURN = 1 / 8  # A serve deviates from straight down by at most this part of a full turn.
MAX_TURN = 1 / 6  # The largest angle off the paddle, from straight up: 60 degrees.

PADDLE_WIDTH = 12
PADDLE_HEIGHT = 2
PADDLE_TOP = 58
PADDLE_SPEED = 2.4

BRICK_ROWS, BRICK_COLUMNS = 6, 12
BRICK_WIDTH, BRICK_HEIGHT = 4, 2
BRICK_GAP = 1
BRICKS_AT = (2, 10)  # The left and top edge of the first brick.

LIVES = 3
POINTS = 10

# The exact colours of the frame; it has no others.
BACKGROUND = (12, 14, 28)
WALL = (128, 136, 160)
PADDLE = (96, 232, 255)
BALL = (224, 128, 208)
BALL_CENTRE = (255, 255, 255)
LIFE = (255, 72, 120)
BRICK_COLOURS = (
    (216, 48, 48),
    (232, 120, 24),
    (240, 208, 32),
    (72, 184, 64),
    (40, 112, 232),
    (136, 64, 216),
)
PALETTE = np.array(
    [BACKGROUND, WALL, *BRICK_COLOURS, PADDLE, BALL, BALL_CENTRE, LIFE], dtype=np.uint8
)

# The values below follow from the numbers above.
RADIUS = BALL_SIZE / 2
HAIR = 1e-4
SUBSTEPS = max(1, math.ceil(BALL_SPEED / 2))  # A move of at most 2 px passes through nothing.
PADDLE_END = RIGHT - PADDLE_WIDTH
BRICK_LEFT = BRICKS_AT[0] + (BRICK_WIDTH + BRICK_GAP) * np.arange(BRICK_COLUMNS)
BRICK_TOP = BRICKS_AT[1] + (BRICK_HEIGHT + BRICK_GAP) * np.arange(BRICK_ROWS)
BRICK_X = BRICK_LEFT + BRICK_WIDTH / 2  # The middles of the columns and of the rows.
BRICK_Y = BRICK_TOP + BRICK_HEIGHT / 2
SERVE_AT = (WIDTH / 2, float(BRICK_TOP[-1]) + BRICK_HEIGHT + SERVE_BELOW)
REACH_X = (BRICK_WIDTH + BALL_SIZE) / 2  # Closer than this, ball and brick overlap.
REACH_Y = (BRICK_HEIGHT + BALL_SIZE) / 2
MOVES = np.array([0.0, -PADDLE_SPEED, PADDLE_SPEED])

NOOP, GO_LEFT, GO_RIGHT = 0, 1, 2
EVENTS = ("brick", "paddle", "wall", "life", "refill")

# Sources of random numbers: 0 is the world's chance, the others serve starts and behaviours.
CHANCE, START, WANDER, AIM, MOOD = 0, 1, 2, 3, 4


def pixel(position: Array) -> Array:
    """Return the first pixel of an object whose left (or top) edge is at `position`.

    HAIR compensates for rounding: a position that ends just below a pixel counts as in it.
    """
    return np.floor(position + 0.5 + HAIR)


class Breakout(Sim):
    """N games of Breakout; `state` holds them as arrays with leading dimension N."""

    spec = Spec(
        name="breakout",
        title="Breakout",
        rate=RATE,
        cameras=(Camera("screen", HEIGHT, WIDTH),),
        actions=(
            Action("noop"),
            Action("left", ("ArrowLeft", "KeyA"), "◀", ("dpad-left", "axis0-")),
            Action("right", ("ArrowRight", "KeyD"), "▶", ("dpad-right", "axis0+")),
        ),
        chance=("serve",),
        sensors=(
            Sensor("ball", (4,), "float32", "px, px/step", -64, 64, "x, y, vx, vy; 0: no ball"),
            Sensor("paddle", (1,), "float32", "px", LEFT, PADDLE_END, "left edge"),
            Sensor("lives", (1,), "int64", "count", 0, LIVES, "lives left"),
            Sensor("ball_present", (1,), "int64", "0 or 1", 0, 1, "is a ball in play"),
        ),
        hud=(HudField("score", "Score"), HudField("lives", "Lives")),
        events=EVENTS,
        scenarios=("fresh", "half", "sparse"),
        behaviours=("good", "bad", "random", "recovery"),
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        self.state = {
            "seed": np.zeros(worlds, dtype=np.int64),
            "tick": np.zeros(worlds, dtype=np.int64),
            "ball": np.zeros((worlds, 4), dtype=np.float64),  # x, y, vx, vy
            "flying": np.zeros(worlds, dtype=np.bool_),  # Is there a ball?
            "paddle": np.zeros(worlds, dtype=np.float64),  # Its left edge.
            "bricks": np.ones((worlds, BRICK_ROWS, BRICK_COLUMNS), dtype=np.bool_),
            "lives": np.zeros(worlds, dtype=np.int64),
            "score": np.zeros(worlds, dtype=np.int64),
            "events": np.zeros((worlds, len(EVENTS)), dtype=np.bool_),  # Of the last step.
        }
        self._prepare_picture()
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "fresh", where: Array | None = None) -> None:
        """Start new games from int64 [N] seeds; `where` (bool [N]) selects games (default: all)."""
        if scenario not in self.spec.scenarios:
            known = ", ".join(self.spec.scenarios)
            raise UserError(f"world 'breakout': no scenario '{scenario}'; it has {known}.")
        seeds = np.asarray(seeds, dtype=np.int64)
        w = np.arange(self.worlds) if where is None else np.nonzero(where)[0]
        s = self.state
        for name in s:
            s[name][w] = 0
        s["seed"][w] = seeds[w]
        s["lives"][w] = LIVES
        s["paddle"][w] = (LEFT + PADDLE_END) / 2
        s["bricks"][w] = True
        if scenario != "fresh":
            # A broken wall: chance decides about each brick and about the paddle's place.
            share = 0.5 if scenario == "half" else 0.06
            u = exact.uniform(seeds[w], s["tick"][w], START, BRICK_ROWS * BRICK_COLUMNS + 1)
            s["bricks"][w] = u[:, 1:].reshape(-1, BRICK_ROWS, BRICK_COLUMNS) < np.float32(share)
            s["paddle"][w] = LEFT + u[:, 0].astype(np.float64) * (PADDLE_END - LEFT)

    def draw(self) -> Array:
        """Return the chance of the coming step, float32 [N, 1], from (seed, tick) alone."""
        return exact.uniform(self.state["seed"], self.state["tick"], CHANCE, 1)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick; actions int64 [N] are 0 noop, 1 left, 2 right."""
        s = self.state
        alive = s["lives"] > 0
        serve = alive & ~s["flying"]
        score = s["score"].copy()
        if chance is None:
            chance = self.draw()
        s["tick"] += alive
        s["events"][:] = False

        s["paddle"] += MOVES[actions] * alive
        np.clip(s["paddle"], LEFT, PADDLE_END, out=s["paddle"])
        for _ in range(SUBSTEPS):
            self._fly(s["ball"], s["flying"])
        if serve.any():
            self._serve(s["ball"], s["flying"], serve, chance)

        reward = (s["score"] - score).astype(np.float32)
        terminated = s["lives"] <= 0
        truncated = (s["tick"] >= self.spec.max_steps) & ~terminated
        return reward, terminated, truncated

    def _serve(self, ball: Array, flying: Array, serve: Array, chance: Array) -> None:
        """Serve a ball downwards in the games of `serve`; `chance` gives its direction."""
        turn = (chance[:, 0].astype(np.float64) * 2 - 1) * SERVE_TURN
        x, y, vx, vy = ball.T
        x[serve] = SERVE_AT[0]
        y[serve] = SERVE_AT[1]
        vx[serve] = (BALL_SPEED * exact.sine(turn))[serve]
        vy[serve] = (BALL_SPEED * exact.cosine(turn))[serve]
        flying |= serve

    def _fly(self, ball: Array, flying: Array) -> None:
        """Move one ball of each game, float64 [N, 4], and bounce it; `flying` is bool [N]."""
        s = self.state
        brick, paddle, wall, life, _ = s["events"].T
        x, y, vx, vy = ball.T  # Views: writing to them moves the ball.

        # Across: walls, then bricks.
        x += vx / SUBSTEPS
        bounce = flying & ((x < LEFT + RADIUS) | (x > RIGHT - RADIUS))
        np.clip(x, LEFT + RADIUS, RIGHT - RADIUS, out=x)
        vx[bounce] *= -1
        wall |= bounce
        hit, _, column = self._break_brick(x, y, flying)
        if len(hit):
            x[hit] = BRICK_X[column] - np.sign(vx[hit]) * REACH_X
            vx[hit] *= -1
            brick[hit] = True

        # Up or down: the top wall, then bricks, then the paddle.
        y += vy / SUBSTEPS
        bounce = flying & (y < TOP + RADIUS)
        y[bounce] = TOP + RADIUS
        vy[bounce] *= -1
        wall |= bounce
        hit, row, _ = self._break_brick(x, y, flying)
        if len(hit):
            y[hit] = BRICK_Y[row] - np.sign(vy[hit]) * REACH_Y
            vy[hit] *= -1
            brick[hit] = True
        # The paddle still saves a ball whose middle is above the middle of the paddle.
        caught = flying & (vy > 0) & (y + RADIUS > PADDLE_TOP)
        caught &= y < PADDLE_TOP + PADDLE_HEIGHT / 2
        caught &= (x + RADIUS > s["paddle"]) & (x - RADIUS < s["paddle"] + PADDLE_WIDTH)
        if caught.any():
            # From the middle of the paddle to the middle of the ball, in the frame's pixels.
            offset = pixel(x - RADIUS) + RADIUS - pixel(s["paddle"]) - PADDLE_WIDTH / 2
            turn = np.clip(offset / ((PADDLE_WIDTH + BALL_SIZE) / 2), -1, 1) * MAX_TURN
            y[caught] = PADDLE_TOP - RADIUS
            vx[caught] = (BALL_SPEED * exact.sine(turn))[caught]
            vy[caught] = (-BALL_SPEED * exact.cosine(turn))[caught]
            paddle |= caught
            self._refill(caught)

        lost = flying & (y + RADIUS > HEIGHT)
        s["lives"] -= lost
        life |= lost
        flying &= ~lost
        ball[~flying] = 0

    def _break_brick(self, x: Array, y: Array, flying: Array) -> tuple[Array, Array, Array]:
        """Break the nearest brick that each ball entered; return games, rows and columns."""
        s = self.state
        near_x = np.abs(x[:, None] - BRICK_X)
        near_y = np.abs(y[:, None] - BRICK_Y)
        rows = (near_y < REACH_Y) & flying[:, None]
        touched = s["bricks"] & rows[:, :, None] & (near_x < REACH_X)[:, None, :]
        hit = np.nonzero(touched.any(axis=(1, 2)))[0]
        if not len(hit):
            return hit, hit, hit
        distance = near_y[hit][:, :, None] + near_x[hit][:, None, :]
        nearest = np.where(touched[hit], distance, np.inf).reshape(len(hit), -1).argmin(axis=1)
        row, column = nearest // BRICK_COLUMNS, nearest % BRICK_COLUMNS
        s["bricks"][hit, row, column] = False
        s["score"][hit] += POINTS
        return hit, row, column

    def _refill(self, caught: Array) -> None:
        """Fill an empty wall again if the ball has just touched the paddle."""
        s = self.state
        empty = caught & ~s["bricks"].any(axis=(1, 2))
        s["bricks"][empty] = True
        s["events"][:, EVENTS.index("refill")] |= empty

    # The picture. Walls, bricks and lives rarely change, so they stay painted.

    def _prepare_picture(self) -> None:
        """Paint the empty field of every game, and note that it shows no bricks and no lives."""
        n = self.worlds
        self._picture = np.empty((n, HEIGHT, WIDTH, 3), dtype=np.uint8)
        self._picture[:] = BACKGROUND
        self._picture[:, TOP - 1 :] = WALL
        self._picture[:, TOP:, LEFT:RIGHT] = BACKGROUND
        self._shown_bricks = np.zeros((n, BRICK_ROWS, BRICK_COLUMNS), dtype=np.bool_)
        self._shown_lives = np.zeros((n, LIVES), dtype=np.bool_)

    def render(self, out: Array) -> None:
        """Draw the screen into `out`, uint8 [N, 1, 64, 64, 3]."""
        s = self.state
        self._repaint(s["bricks"], np.arange(LIVES) < s["lives"][:, None])
        screen = out[:, 0]
        np.copyto(screen, self._picture)

        w = np.arange(self.worlds)[:, None]
        x = pixel(s["paddle"]).astype(np.int64)[:, None] + np.arange(PADDLE_WIDTH)
        for row in range(PADDLE_TOP, PADDLE_TOP + PADDLE_HEIGHT):
            screen[w, row, x] = PADDLE

        self._draw_ball(screen, s["ball"], s["flying"])

    def _draw_ball(self, screen: Array, ball: Array, flying: Array) -> None:
        """Draw one ball of each game that has one; a ball never crosses the frame's edge."""
        w = np.nonzero(flying)[0]
        x, y = pixel(ball[w, :2] - RADIUS).astype(np.int64).T
        span = np.arange(BALL_SIZE)
        rows, columns = y[:, None] + span, x[:, None] + span
        screen[w[:, None, None], rows[:, :, None], columns[:, None]] = BALL
        screen[w, rows[:, BALL_SIZE // 2], columns[:, BALL_SIZE // 2]] = BALL_CENTRE

    def _repaint(self, bricks: Array, lives: Array) -> None:
        """Paint the bricks and lives that have changed since the last time."""
        w, row, column = np.nonzero(bricks != self._shown_bricks)
        if len(w):
            colours = np.array(BRICK_COLOURS, dtype=np.uint8)[row % len(BRICK_COLOURS)]
            colours[~bricks[w, row, column]] = BACKGROUND
            y = BRICK_TOP[row][:, None, None] + np.arange(BRICK_HEIGHT)[:, None]
            x = BRICK_LEFT[column][:, None, None] + np.arange(BRICK_WIDTH)
            self._picture[w[:, None, None], y, x] = colours[:, None, None]
            self._shown_bricks = bricks.copy()
        w, life = np.nonzero(lives != self._shown_lives)
        if len(w):
            colours = np.where(lives[w, life][:, None], LIFE, BACKGROUND).astype(np.uint8)
            for i in range(4):  # A square of 2 by 2 pixels.
                self._picture[w, 1 + i // 2, 2 + 4 * life + i % 2] = colours
            self._shown_lives = lives

    # Sensors, figures, events and behaviours.

    def sensors(self) -> dict[str, Array]:
        """Return ball (x, y, vx, vy), paddle, lives and ball_present."""
        s = self.state
        return {
            "ball": s["ball"].astype(np.float32),
            "paddle": s["paddle"].astype(np.float32)[:, None],
            "lives": s["lives"][:, None].copy(),
            "ball_present": s["flying"].astype(np.int64)[:, None],
        }

    def hud(self) -> dict[str, Array]:
        """Return score and lives, int64 [N]."""
        return {"score": self.state["score"].copy(), "lives": self.state["lives"].copy()}

    def events(self) -> dict[str, Array]:
        """Return the events of the last step, bool [N] each."""
        return {name: self.state["events"][:, i].copy() for i, name in enumerate(EVENTS)}

    def act(self, behaviour: str) -> Array:
        """Return the current actions of a behaviour, int64 [N].

        good follows the ball. bad moves away from it. random keeps a random action for ten steps.
        recovery is random for a while, and then good again.
        """
        s = self.state
        seed, tick = s["seed"], s["tick"]
        u = exact.uniform(seed, tick // 10, WANDER, 1)[:, 0]
        wander = (u * np.float32(3)).astype(np.int64)
        # The aimed part of the paddle changes now and then, so that the ball goes everywhere.
        aim = exact.uniform(seed, tick // 50, AIM, 1)[:, 0].astype(np.float64) - 0.5
        target = np.where(s["flying"], s["ball"][:, 0], WIDTH / 2) + aim * (PADDLE_WIDTH - 2)
        ahead = target - (s["paddle"] + PADDLE_WIDTH / 2)
        chase = np.where(ahead > 0, GO_RIGHT, GO_LEFT)
        chase[np.abs(ahead) < PADDLE_SPEED / 2] = NOOP
        if behaviour == "good":
            return chase.astype(np.int64)
        if behaviour == "random":
            return wander
        if behaviour == "bad":
            falling = s["flying"] & (s["ball"][:, 3] > 0)
            flee = np.where(ahead > 0, GO_LEFT, GO_RIGHT)
            return np.where(falling, flee, wander).astype(np.int64)
        if behaviour == "recovery":
            mood = exact.uniform(seed, tick // 45, MOOD, 1)[:, 0]
            lapse = (mood < np.float32(0.7)) & (tick % 45 < 15)
            return np.where(lapse, wander, chase).astype(np.int64)
        known = ", ".join(self.spec.behaviours)
        raise UserError(f"world 'breakout': no behaviour '{behaviour}'; it has {known}.")
