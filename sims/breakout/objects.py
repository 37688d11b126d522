"""Read Breakout's objects and events from frames.

The result is exact on the sim's own frames (tested). A model's frames are read strictly: a ball is
one bright centre, the paddle is where its colour is, and a brick is whole, gone or torn. A colour
that the game does not have belongs to no object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import breakout as b

Array = NDArray[Any]
Objects = dict[str, Array]

LABELS = {
    "ball_held": ("ball present and within 2 px", "%", "high"),
    "ball_error": ("ball error where one is seen", "px", "low"),
    "paddle_held": ("paddle whole and within 1 px", "%", "high"),
    "paddle_error": ("paddle error where it is whole", "px", "low"),
    "bricks": ("bricks right", "%", "high"),
    "lives": ("lives right", "%", "high"),
}
EVENTS = {
    "brick": "a brick is hit",
    "paddle": "the paddle returns the ball",
    "life": "a life is lost",
}
CHUNK = 512  # frames per block, which fit into a core's cache
UNKNOWN, NOWHERE = 255, 254  # a colour that the game does not have; a pixel of no brick

# Palette indices of the objects, and of the frame without ball and paddle.
BACKGROUND, WALL, BRICK = 0, 1, 2
PADDLE, BALL, CENTRE, LIFE = range(2 + b.BRICK_ROWS, 6 + b.BRICK_ROWS)
_ROWS = b.BRICK_TOP[:, None] + np.arange(b.BRICK_HEIGHT)
_COLUMNS = b.BRICK_LEFT[:, None] + np.arange(b.BRICK_WIDTH)
_BRICK_PIXELS = (_ROWS[:, :, None, None], _COLUMNS[None, None])
_LIFE_PIXELS = (
    np.arange(1, 3)[:, None, None],
    (2 + 4 * np.arange(b.LIVES))[:, None] + np.arange(2),
)
_LEFTS = np.arange(b.LEFT, b.PADDLE_END + 1)  # the possible first pixels of the paddle


def _codes(frames: Array) -> Array:
    """Return each pixel's colour as one number, uint32 [M, H, W]."""
    if frames.shape[-1] == 4:
        whole = np.ascontiguousarray(frames)
        return np.asarray(whole.view("<u4")[..., 0] & np.uint32(0xFFFFFF))
    wide = frames[..., :3].astype(np.uint32)
    return np.asarray(wide[..., 0] | wide[..., 1] << 8 | wide[..., 2] << 16)


_COLOURS = _codes(
    np.array(
        [
            b.BACKGROUND,
            b.WALL,
            *(b.BRICK_COLOURS[r % len(b.BRICK_COLOURS)] for r in range(b.BRICK_ROWS)),
            b.PADDLE,
            b.BALL,
            b.BALL_CENTRE,
            b.LIFE,
        ],
        np.uint8,
    )[:, None]
)[:, 0]


def _hash() -> tuple[np.uint32, Array]:
    """Return a multiplier that gives each colour a separate slot of 4096, and the slots."""
    for factor in range(0x9E3779B1, 0x9E3779B1 + 20_000, 2):
        slots = (_COLOURS * np.uint32(factor)) >> np.uint32(20)
        if len(set(slots.tolist())) == len(set(_COLOURS.tolist())):
            table = np.zeros(4096, np.uint8)
            table[slots[::-1]] = np.arange(len(_COLOURS), dtype=np.uint8)[::-1]
            return np.uint32(factor), table
    raise AssertionError("no multiplier tells the colours apart")


_FACTOR, _SLOTS = _hash()


def colours(frames: Array) -> Array:
    """Return each pixel's colour: uint8 [M, H, W, >= 3] -> palette index uint8, or UNKNOWN."""
    codes = _codes(frames)
    index = _SLOTS[(codes * _FACTOR) >> np.uint32(20)]
    return np.where(_COLOURS[index] == codes, index, np.uint8(UNKNOWN))


def _surround() -> Array:
    """Return the frame outside the field for each number of lives, uint8 [LIVES + 1, H, W]."""
    empty = np.full((b.LIVES + 1, b.HEIGHT, b.WIDTH), BACKGROUND, np.uint8)
    empty[:, b.TOP - 1 :] = WALL
    empty[:, b.TOP :, b.LEFT : b.RIGHT] = BACKGROUND
    for lives in range(b.LIVES + 1):
        rows, columns = _LIFE_PIXELS
        empty[lives, rows[:, 0], columns[:lives].reshape(-1)] = LIFE
    return empty


def _bricks() -> Array:
    """Return the colour of the brick at each pixel, or NOWHERE: uint8 [H, W]."""
    whole = np.full((b.HEIGHT, b.WIDTH), NOWHERE, np.uint8)
    whole[_BRICK_PIXELS] = (BRICK + np.arange(b.BRICK_ROWS))[:, None, None, None]
    return whole


_SURROUND, _WHOLE = _surround(), _bricks()


def read(frames: Array) -> Objects:
    """Read frames uint8 [..., 64, 64, >= 3] into objects [...].

    `ball_x`, `ball_y`: the ball's middle in px, NaN unless there is exactly one, of about nine
    pixels; `balls`: the number of bright centres; `pair` [..., 2, 2]: the middles (x, y) of two
    balls, if an edited sim has two, otherwise NaN. `paddle`: its left edge in px, NaN if more than
    two of its pixels are wrong; `slack`: the possible error of that edge, because the ball hides an
    end. `bricks` bool [..., rows, columns]; `torn`: the number of bricks that are neither whole nor
    gone. `lives`. `scars`: wrong pixels of walls and life icons; `strays`: pixels of the field that
    belong to no object.
    """
    shape = frames.shape[:-3]
    flat = frames.reshape(-1, *frames.shape[-3:])
    parts = [_read(flat[i : i + CHUNK]) for i in range(0, len(flat), CHUNK)]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: value.reshape(*shape, *value.shape[1:]) for name, value in whole.items()}


def _read(frames: Array) -> Objects:
    picture = colours(frames)
    n = len(picture)
    centre = picture == CENTRE
    ball = centre | (picture == BALL)
    balls = centre.sum((1, 2))
    place = centre.reshape(n, -1).argmax(1)
    y, x = place // b.WIDTH, place % b.WIDTH
    pixels = ball.sum((1, 2))
    one = (balls == 1) & (pixels >= 6) & (pixels <= 12)
    two = (balls == 2) & (pixels >= 10) & (pixels <= 24)
    other = b.HEIGHT * b.WIDTH - 1 - centre.reshape(n, -1)[:, ::-1].argmax(1)
    pair = np.stack([[x, y], [other % b.WIDTH, other // b.WIDTH]]).transpose(2, 0, 1) + 0.5

    paddle, slack = _paddle(picture, ball)
    brick = picture[:, *_BRICK_PIXELS]
    hidden = ball[:, *_BRICK_PIXELS].sum((2, 4))
    right = (brick == _WHOLE[_BRICK_PIXELS]).sum((2, 4))
    gone = (brick == BACKGROUND).sum((2, 4))
    area = b.BRICK_HEIGHT * b.BRICK_WIDTH - hidden
    lives = (picture[:, *_LIFE_PIXELS] == LIFE).mean((1, 3)).round().sum(1).astype(np.int64)
    return {
        "ball_x": np.where(one, x + 0.5, np.nan),
        "ball_y": np.where(one, y + 0.5, np.nan),
        "balls": balls,
        "pair": np.where(two[:, None, None], pair, np.nan),
        "paddle": paddle,
        "slack": slack,
        "bricks": right * 2 > area,
        "torn": ((right != area) & (gone != area)).sum((1, 2)),
        "lives": lives,
        "scars": _scars(picture, lives),
        "strays": _strays(picture, ball, x, y, one),
    }


def _paddle(picture: Array, ball: Array) -> tuple[Array, Array]:
    """Return (left edge or NaN, slack), float64 [M]: the place with the fewest wrong pixels."""
    rows = slice(b.PADDLE_TOP, b.PADDLE_TOP + b.PADDLE_HEIGHT)
    line = (picture[:, rows] == PADDLE).sum(1)
    hidden = ball[:, rows].sum(1)
    edge = ((0, 0), (1, 0))
    inside, under = (
        (total := np.pad(part, edge).cumsum(1))[:, _LEFTS + b.PADDLE_WIDTH] - total[:, _LEFTS]
        for part in (line, hidden)
    )
    missing = b.PADDLE_WIDTH * b.PADDLE_HEIGHT - inside - under
    wrong = missing + line.sum(1, keepdims=True) - inside
    least = wrong.min(1)
    fits = wrong == least[:, None]
    low = _LEFTS[fits.argmax(1)]
    high = _LEFTS[len(_LEFTS) - 1 - fits[:, ::-1].argmax(1)]
    return np.where(least <= 2, (low + high) / 2, np.nan), (high - low) / 2


def _scars(picture: Array, lives: Array) -> Array:
    """Count the wrong pixels outside of the field, int64 [M]."""
    wanted = _SURROUND[lives]
    top = (picture[:, : b.TOP] != wanted[:, : b.TOP]).sum((1, 2))
    sides = np.r_[0 : b.LEFT, b.RIGHT : b.WIDTH]
    return np.asarray(top + (picture[:, b.TOP :, sides] != wanted[:, b.TOP :, sides]).sum((1, 2)))


def _strays(picture: Array, ball: Array, x: Array, y: Array, one: Array) -> Array:
    """Count the pixels of the field that no object explains, int64 [M]."""
    known = (picture == BACKGROUND) | (picture == _WHOLE)
    known[:, b.PADDLE_TOP : b.PADDLE_TOP + b.PADDLE_HEIGHT] |= (
        picture[:, b.PADDLE_TOP : b.PADDLE_TOP + b.PADDLE_HEIGHT] == PADDLE
    )
    # A ball may be one pixel larger on each side. Another rule asks for exactly one.
    reach = b.BALL_SIZE // 2 + 1
    near_y = np.abs(np.arange(b.HEIGHT) - y[:, None]) <= reach
    near_x = np.abs(np.arange(b.WIDTH) - x[:, None]) <= reach
    known |= ball & ((near_y[:, :, None] & near_x[:, None]) | ~one[:, None, None])
    field = known[:, b.TOP :, b.LEFT : b.RIGHT]
    return np.asarray((~field).sum((1, 2)))


def truth(state: dict[str, Array]) -> Objects:
    """Return the objects in a sim's frame, as `read` does, but from the state alone."""
    n = len(state["lives"])
    ball = b.pixel(state["ball"][:, :2] - b.RADIUS) + b.RADIUS
    ball[~state["flying"]] = np.nan
    return {
        "ball_x": ball[:, 0],
        "ball_y": ball[:, 1],
        "balls": state["flying"].astype(np.int64),
        "pair": np.full((n, 2, 2), np.nan),
        "paddle": b.pixel(state["paddle"]),
        "slack": np.zeros(n),
        "bricks": state["bricks"].copy(),
        "torn": np.zeros(n, np.int64),
        "lives": state["lives"].copy(),
        "scars": np.zeros(n, np.int64),
        "strays": np.zeros(n, np.int64),
    }


def compare(mine: Objects, true: Objects) -> dict[str, Array]:
    """Compare the model's objects with the sim's; see `LABELS`."""
    absent = np.isnan(true["ball_x"])
    distance = np.hypot(mine["ball_x"] - true["ball_x"], mine["ball_y"] - true["ball_y"])
    held = np.where(absent, mine["balls"] == 0, np.nan_to_num(distance, nan=99.0) <= 2)
    gaps = np.linalg.norm(mine["pair"][..., :, None, :] - true["pair"][..., None, :, :], axis=-1)
    straight = gaps[..., [0, 1], [0, 1]].max(-1)  # both orders, as the balls look alike
    crossed = gaps[..., [0, 1], [1, 0]].max(-1)
    both = np.nan_to_num(np.minimum(straight, crossed), nan=99.0) <= 2
    held = np.where(true["balls"] == 2, both, held)
    return {
        "ball_held": held.astype(np.float64),
        "ball_error": distance,
        "paddle_held": controlled(mine, true),
        "paddle_error": np.abs(mine["paddle"] - true["paddle"]),
        "bricks": (mine["bricks"] == true["bricks"]).mean((-2, -1)),
        "lives": (mine["lives"] == true["lives"]) * 1.0,
    }


def controlled(mine: Objects, true: Objects) -> Array:
    """Return 1.0 where the paddle is whole and within 1 px of the sim's paddle."""
    gap = np.abs(mine["paddle"] - true["paddle"]) - mine["slack"]
    return np.asarray(np.nan_to_num(gap, nan=99.0) <= 1, np.float64)


def events(before: Objects, after: Objects) -> dict[str, Array]:
    """Find the events of each step in the objects [N, T] before and after it: bool [N, T] each.

    brick: a brick disappeared. life: one life less. paddle: the ball turned upwards near the
    paddle. That turn shows only in the following step, so the last step has no paddle event.
    """
    y, rise = after["ball_y"], after["ball_y"] - before["ball_y"]
    rests = b.PADDLE_TOP - b.RADIUS  # the ball's height on the paddle, in px from the top
    returned = np.zeros(y.shape, bool)
    falling = np.zeros(len(y), bool)
    for t in range(y.shape[1] - 1):
        falling = np.where(rise[:, t] == 0, falling, rise[:, t] > 0)
        turns = falling & (rise[:, t + 1] < 0) & (y[:, t] >= rests - 2)
        # A paddle that slides under a ball lifts it: then the turn shows one step later.
        late = turns & (y[:, t] > rests)
        returned[:, t] |= turns & ~late
        returned[:, t + 1] |= late
    returned[:, -1] = False
    return {
        "brick": np.any(before["bricks"] & ~after["bricks"], (-2, -1)),
        "paddle": returned,
        "life": after["lives"] < before["lives"],
    }
