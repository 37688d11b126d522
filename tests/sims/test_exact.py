from __future__ import annotations

import hashlib
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims import exact

INT64 = st.integers(-(2**63), 2**63 - 1)


def test_draws_are_pinned_for_ever() -> None:
    # A recording or a replay link made today must play the same in later versions.
    u = exact.uniform(np.array([0, 1, -1]), np.array([0, 0, 2**62]), 0, 2)
    assert u.dtype == np.float32
    digest = hashlib.sha256(u.tobytes() + exact.SINES.tobytes()).hexdigest()
    assert digest == "1252fd7385de8b5bc299a5f6a87e2d1eb2dc470fe98a9ddd1716e8c6a45aa069"


@given(st.lists(st.tuples(INT64, INT64), min_size=1, max_size=5), st.integers(0, 2**31 - 1))
def test_draws_depend_on_their_keys_alone(keys: list[tuple[int, int]], stream: int) -> None:
    seeds, ticks = (np.array(column, dtype=np.int64) for column in zip(*keys, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = exact.uniform(seeds, ticks, stream, 3)
    assert ((batch >= 0) & (batch < 1)).all()
    for i in range(len(keys)):
        alone = exact.uniform(seeds[i : i + 1], ticks[i : i + 1], stream, 5)
        assert (alone[0, :3] == batch[i]).all()


@pytest.mark.parametrize("axis", ["seed", "tick", "stream", "column"])
def test_draws_are_uniform_and_unrelated_along_every_key(axis: str) -> None:
    n = 4000
    zero, count = np.zeros(n, dtype=np.int64), np.arange(n, dtype=np.int64)
    u = {
        "seed": lambda: exact.uniform(count, zero, 0, 1)[:, 0],
        "tick": lambda: exact.uniform(zero, count, 0, 1)[:, 0],
        "stream": lambda: np.concatenate(
            [exact.uniform(zero[:1], zero[:1], i, 1)[:, 0] for i in range(n)]
        ),
        "column": lambda: exact.uniform(zero[:1], zero[:1], 0, n)[0],
    }[axis]()
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 50  # Chi-squared, 19 degrees: p = 1e-4.
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.06


def test_sines_are_right() -> None:
    worst = max(abs(exact.SINES[i] - math.sin(2 * math.pi * i / 4096)) for i in range(4097))
    assert worst < 1e-15
    turns = np.linspace(-3, 3, 10_007)
    assert np.abs(exact.sine(turns) - np.sin(2 * np.pi * turns)).max() < 3e-7
    assert np.abs(exact.cosine(turns) - np.cos(2 * np.pi * turns)).max() < 3e-7
