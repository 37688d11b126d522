"""Whether frames show few shapes: boards do, at the right size; shaded and rough things do not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

from sims.contract import Array
from training.data.environment.shapes import COLOURS, FEWEST, Shapes

RNG = np.random.default_rng(0)


def board(side: int = 8, tile: int = 32) -> Array:
    """A board of tiles of six kinds, each a frame around another colour."""
    kinds = RNG.integers(0, 6, (side, side))
    small = np.zeros((side * tile, side * tile, 3), np.uint8)
    for y in range(side):
        for x in range(side):
            square = small[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile]
            square[:] = 255
            square[tile // 8 : -tile // 8, tile // 8 : -tile // 8] = 40 * kinds[y, x]
    return small


def seen(frames: list[Array]) -> dict[str, int] | None:
    shapes = Shapes()
    for frame in frames:
        shapes.see(frame)
    return shapes.found


def test_a_board_is_scaled_to_whole_pixels() -> None:
    found = {"height": 64, "width": 64, "patch": 8}  # a tile
    assert seen([board() for _ in range(FEWEST)]) == found
    assert seen([board() for _ in range(FEWEST - 1)]) is None
    # A frame that is small enough stays as it is.
    assert seen([board(10, 8) for _ in range(FEWEST)]) == {"height": 80, "width": 80, "patch": 8}


def test_squares_divide_what_is_seen() -> None:
    frames = [np.zeros((210, 160, 3), np.uint8) for _ in range(FEWEST)]
    assert seen(frames) == {"height": 105, "width": 80, "patch": 5}


@pytest.mark.parametrize("what", ["shaded", "rough", "prime"])
def test_other_frames_are_not_of_few_shapes(what: str) -> None:
    frames = []
    for k in range(200):
        frame = np.zeros((67, 61, 3) if what == "prime" else (64, 64, 3), np.uint8)
        if what == "shaded":
            frame[:, :, 0] = np.arange(64) * 4
            assert len(np.unique(frame[:, :, 0])) >= COLOURS
            frame[:, :, 1] = k
        if what == "rough":
            frame[:, :, 2] = RNG.integers(0, 2, (64, 64)) * 200
        frames.append(frame)
    assert seen(frames) is None
