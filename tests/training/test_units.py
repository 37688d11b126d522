from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sims.breakout import PALETTE, Breakout
from training.data.palette import colour_codes, index_by_code
from training.evaluation.starts import rgba
from training.families.object_laws.units import Units, find_units

BACKGROUND, BRICK = 0, 1


def pairs(frames: int) -> NDArray[np.uint8]:
    """Frames [T, 1, 4, 8]: a block of 2 x 2 and one of 1 x 2 come and go, two pixels alone."""
    rng = np.random.default_rng(3)
    out = np.zeros((frames, 1, 4, 8), np.uint8)
    on = rng.random((frames, 4)) < 0.5
    out[:, 0, 0:2, 1:3] = on[:, 0, None, None]
    out[:, 0, 3, 4:6] = 2 * on[:, 1, None]
    out[:, 0, 0, 7], out[:, 0, 3, 7] = on[:, 2], on[:, 3]
    return out


def test_pixels_that_go_together_are_found_and_no_others() -> None:
    found = find_units(pairs(500), 3)
    shown = {frozenset(unit[1:]) for unit in found}
    assert shown == {frozenset({1, 2, 9, 10}), frozenset({28, 29})}
    # What is seen too seldom to know is left alone.
    assert find_units(pairs(20), 3) == () and find_units(pairs(0), 3) == ()


def test_bricks_and_lives_are_units() -> None:
    sim = Breakout(64)
    sim.reset(np.arange(64), "half")
    lookup, seen = index_by_code(PALETTE), []
    for step in range(240):
        sim.step(sim.act("good" if step % 2 else "random"))
        if step % 4 == 0:
            seen.append(lookup[colour_codes(rgba(sim))])
    units = find_units(np.concatenate(seen), len(PALETTE))
    bricks = [unit for unit in units if len(unit) == 9]
    assert len(bricks) == 72
    for unit in bricks:
        rows, columns = np.divmod(np.array(unit[1:]), 64)
        assert np.ptp(rows) == 1 and np.ptp(columns) == 3


@pytest.fixture
def units() -> Units:
    return Units(((BRICK, 1, 2, 9, 10), (2, 28, 29)), 3, (1, 4, 8), 2)


def packed(planes: torch.Tensor) -> torch.Tensor:
    """Planes [B, 3, 4, 8] -> cells of 2 x 2 pixels, [B, 12, 2, 4]."""
    b = len(planes)
    return planes.reshape(b, 3, 2, 2, 4, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 12, 2, 4)


def unpacked(cells: torch.Tensor) -> torch.Tensor:
    b = len(cells)
    return cells.reshape(b, 3, 2, 2, 2, 4).permute(0, 1, 4, 2, 5, 3).reshape(b, 3, 4, 8)


def test_a_unit_is_whole_or_gone(units: Units) -> None:
    logits = torch.randn(200, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    torn = (logits.argmax(1) == BRICK)[:, 0:2, 1:3].flatten(1).sum(1)
    assert ((torn > 0) & (torn < 4)).any()
    out = unpacked(units(packed(logits)))
    shown = (out.argmax(1) == BRICK)[:, 0:2, 1:3].flatten(1).sum(1)
    assert set(shown.tolist()) == {0, 4}
    # The mean of how far ahead it is decides, and what lies behind it stays as it was.
    lead = logits[:, BRICK] - torch.maximum(logits[:, BACKGROUND], logits[:, 2])
    assert torch.equal(shown == 4, lead[:, 0:2, 1:3].mean((1, 2)) > 0)
    assert torch.equal(out[:, [BACKGROUND, 2], 0:2, 1:3], logits[:, [BACKGROUND, 2], 0:2, 1:3])
    # Pixels in no unit keep their own mind.
    torch.testing.assert_close(out[:, :, 2], logits[:, :, 2])


def test_without_units_nothing_changes() -> None:
    logits = torch.randn(2, 12, 2, 4)
    assert Units((), 3, (1, 4, 8), 2)(logits) is logits
