"""Drives to test: some towns, and an ego that does nothing."""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from sims.driving import Driving

N = 24
SEEDS = np.arange(N, dtype=np.int64) * 101 + 5


def drives(scenario: str, n: int = N) -> Driving:
    sim = Driving(n)
    sim.reset(SEEDS[:n], scenario)
    return sim


def still(n: int) -> Array:
    return np.zeros((n, 3), dtype=np.float32)
