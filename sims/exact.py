"""Numbers that are the same bytes in every Python: random draws and sines.

Random numbers are hashes of integer counters, so that a draw depends on its keys alone. Sines come
from a table that is computed with integers, because the last bit of a sine can differ between the
maths libraries of two machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S40 = (np.uint64(bits) for bits in (27, 30, 31, 40))


def _mixed(z: Array) -> Array:
    """Scramble uint64 values (the finalizer of splitmix64); wraps around without a warning."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return np.asarray(z ^ (z >> _S31))


def uniform(seed: Array, tick: Array, stream: int, n: int) -> Array:
    """Draw float32 [N, n], uniform in [0, 1), from (seed, tick, stream) alone.

    seed, tick: int64 [N]. stream: one of a world's independent random sources (0 is its chance).
    Every value is a multiple of 2**-24, so float32 holds it exactly.
    """
    seeds = np.asarray(seed, dtype=np.int64).astype(np.uint64)
    ticks = np.asarray(tick, dtype=np.int64).astype(np.uint64)
    # Seed and tick are mixed one after the other, so that neighbouring values share no pattern.
    keys = _mixed(_mixed(seeds + _GOLDEN) ^ (ticks * _GOLDEN))
    columns = (np.arange(n, dtype=np.uint64) + np.uint64((stream << 32) + 1)) * _GOLDEN
    bits = _mixed(keys[:, None] + columns) >> _S40
    return bits.astype(np.float32) * np.float32(2.0**-24)


TABLE = 4096  # Entries of the sine table in one full turn.


def _sine_table() -> Array:
    """Make sin(2 pi i / TABLE), float64 [TABLE + 1], each entry correctly rounded."""
    one = 1 << 160
    pi = 314159265358979323846264338327950288419716939937510582097494459 * one // 10**62
    quarter = TABLE // 4
    wave = []
    for i in range(quarter + 1):
        angle = 2 * pi * i // TABLE
        term = total = angle
        k = 1
        while abs(term) > 1:  # The Taylor series in fixed point, until its terms vanish.
            term = -(term * angle // one * angle // one) // ((k + 1) * (k + 2))
            total += term
            k += 2
        wave.append(total / one)  # Python rounds a quotient of integers correctly.
    wave[quarter] = 1.0
    half = wave + wave[-2:0:-1]
    return np.array(half + [-v for v in half] + [0.0], dtype=np.float64)


SINES = _sine_table()


def sine(turns: Array) -> Array:
    """Return sin(2 pi turns), float64 of the shape of `turns`, with an error below 3e-7.

    The value is linear between two entries of the table.
    """
    place = np.asarray(turns, dtype=np.float64)
    place = (place - np.floor(place)) * TABLE
    index = place.astype(np.int64)
    np.minimum(index, TABLE - 1, out=index)
    low = SINES[index]
    return np.asarray(low + (SINES[index + 1] - low) * (place - index))


def cosine(turns: Array) -> Array:
    """Return cos(2 pi turns), float64 of the shape of `turns`, with an error below 3e-7."""
    return sine(np.asarray(turns, dtype=np.float64) + 0.25)
