"""Means and bootstrap intervals against values worked out by hand."""

import math

import numpy as np
import pytest

from casefold import metrics


def test_nan_mean_of_nothing_is_nan_without_a_warning() -> None:
    values = np.array([[1.0, np.nan], [0.5, np.nan]])
    np.testing.assert_array_equal(metrics.nan_mean(values, axis=0), [0.75, np.nan])
    assert metrics.nan_mean(values) == 0.75
    assert math.isnan(metrics.nan_mean(np.empty(0)))


def test_bootstrap_interval() -> None:
    assert metrics.bootstrap_interval([0.5, 0.5, math.nan]) == (0.5, 0.5)
    assert np.isnan(metrics.bootstrap_interval([math.nan])).all()
    values = np.arange(5.0)
    low, high = metrics.bootstrap_interval(values, seed=3)
    assert metrics.bootstrap_interval(values, seed=3) == (low, high)
    assert metrics.bootstrap_interval(values + 1, seed=3) == pytest.approx((low + 1, high + 1))
    assert metrics.bootstrap_interval([0.0, 1.0], draws=4000, level=0.9) == (0.0, 1.0)  # each end has chance 1/4
