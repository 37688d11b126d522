"""The uncertainty of a figure: 95 % intervals over rollouts.

The interval of a mean is the percentile bootstrap (Efron, 1979, doi:10.1214/aos/1176344552). If
every rollout's share is 0 or 1, the bootstrap would call a figure certain when no rollout happens
to differ. Such a figure gets Wilson's score interval (1927, doi:10.1080/01621459.1927.10502953).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Figure = dict[str, float]  # "mean", "low", "high"; "mean" is the measured value
DRAWS = 1000
EDGES = (0.025, 0.975)
Z = 1.959964  # the normal distribution's 97.5 % point


def mean(values: Array, percent: bool = False) -> Figure | None:
    """Return the mean of one value for each rollout, with its interval; NaN is left out.

    `percent` gives shares as 0..100. None without a value.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    if percent and np.isin(values, (0.0, 1.0)).all():
        low, high = wilson(float(values.sum()), len(values))
    else:
        picks = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
        low, high = np.quantile(values[picks].mean(1), EDGES)
    return _figure(float(values.mean()), low, high, 100.0 if percent else 1.0)


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Return the score interval of a share, from `hits` of `n`."""
    share = hits / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    reach = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    # At the ends, rounding would keep the arithmetic from 0 and 1.
    return max(0.0, min(middle - reach, share)), min(1.0, max(middle + reach, share))


def ratio(above: Array, below: Array) -> Figure | None:
    """Return 100 * sum(above) / sum(below), one of each for a rollout; None if `below` is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if not below.sum():
        return None
    picks = np.random.default_rng(0).integers(0, len(above), (DRAWS, len(above)))
    sums = below[picks].sum(1)
    drawn = above[picks].sum(1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(drawn, EDGES)
    return _figure(float(above.sum() / below.sum()), low, high, 100.0)


def median(values: Array) -> Figure:
    """Return the median of one value for each rollout, with its interval."""
    picks = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(np.median(np.asarray(values)[picks], 1), EDGES)
    return _figure(float(np.median(values)), low, high, 1.0)


def distance(counts: Array, other: Array) -> Figure | None:
    """Return 100 * the total variation distance of two histograms, [N, K] counts for each rollout.

    Only the first's rollouts are resampled. None if either is empty.
    """
    if not counts.sum() or not other.sum():
        return None
    wanted = other.sum(0) / other.sum()

    def apart(sums: Array) -> Array:
        shares = sums / np.maximum(sums.sum(-1, keepdims=True), 1)
        return np.asarray(np.abs(shares - wanted).sum(-1) / 2)

    picks = np.random.default_rng(0).integers(0, len(counts), (DRAWS // 5, len(counts)))
    low, high = np.quantile(apart(counts[picks].sum(1)), EDGES)
    return _figure(float(apart(counts.sum(0))), low, high, 100.0)


def _figure(value: float, low: float, high: float, scale: float) -> Figure:
    return {
        "mean": value * scale,
        "low": float(min(low, value)) * scale,
        "high": float(max(high, value)) * scale,
    }
