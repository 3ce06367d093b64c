"""Means over what was scored, and bootstrap intervals of them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def nan_mean(values: NDArray[Any], axis: int | None = None) -> Any:
    """The mean over what is not NaN; NaN, without a warning, where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis)
    mean = np.where(there, values, 0.0).sum(axis) / np.maximum(count, 1)
    return np.where(count > 0, mean, math.nan)


def bootstrap_interval(
    values: NDArray[Any] | Sequence[float], seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap interval (low, high) of a mean, the same for the same seed.

    values: one a case; for a paired comparison, the cases' differences. NaN is left out; no values give (NaN, NaN).
    """
    there = np.asarray(values, np.float64)
    there = there[~np.isnan(there)]
    if not there.size:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    means = [there[random.integers(there.size, size=there.size)].mean() for _ in range(draws)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
