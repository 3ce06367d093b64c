"""What is maximised, as a ratio of sums over cases: so that any set of cases, or a bootstrap draw of them, is a sum.

Statistics of one class of a scan, along the last axis: STATS. `columns` turns those of all classes and scans into
one row a case; `value` turns a sum of rows into the objective.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.ensembles import Objective
from casefold.metrics import DICE_WEIGHT, nan_mean

Floats = NDArray[np.float64]
# sum of the slices' Dice, slices scored, voxels in both, in the truth, in the prediction, distance (NaN: not scored)
STATS = ("slice_dice", "slices", "both", "truth", "predicted", "distance")
S, N, BOTH, TRUTH, PREDICTED, DISTANCE = range(6)
COLUMNS = 4


def columns(objective: Objective, stats: Sequence[Floats], case_of: NDArray[np.int64]) -> Floats:
    """One row a case: (case, ..., 4), the two sums and their counts that `value` reads.

    stats: by class, (scan, ..., STATS), broadcast against each other. case_of: the case's number of each scan.
    A case in which nothing can be scored has rows of 0.
    """
    whole = np.stack(np.broadcast_arrays(*stats))
    if objective == "uw_score":
        distance = whole[..., DISTANCE]
        known = ~np.isnan(distance)
        parts = [whole[..., S], whole[..., N], np.where(known, distance, 0.0), known.astype(np.float64)]
        return _by_case(np.stack(parts, axis=-1).sum(axis=0), case_of)
    if objective == "dice_scan":
        by_scan = _ratio(2 * whole[..., BOTH], whole[..., TRUTH] + whole[..., PREDICTED])
        known = ~np.isnan(by_scan)
        sums = _by_case(np.stack([np.where(known, by_scan, 0.0), known], axis=-1).swapaxes(0, 1), case_of)
        by_class = _ratio(sums[..., 0], sums[..., 1])
    else:
        sums = _by_case(whole.swapaxes(0, 1), case_of)
        if objective == "dice_slice":
            by_class = _ratio(sums[..., S], sums[..., N])
        else:
            by_class = _ratio(2 * sums[..., BOTH], sums[..., TRUTH] + sums[..., PREDICTED])
    worth = nan_mean(by_class, axis=1)
    known = ~np.isnan(worth)
    nothing = np.zeros_like(worth)
    return np.stack([np.where(known, worth, 0.0), known.astype(np.float64), nothing, nothing], axis=-1)


def value(objective: Objective, sums: Floats) -> Floats:
    """The objective of sums of rows (..., 4); NaN where nothing was scored.

    For `uw_score` where no distance was taken: its Dice part alone, 0.4 Dice.
    """
    first = _ratio(sums[..., 0], sums[..., 1])
    if objective != "uw_score":
        return first
    distance = _ratio(sums[..., 2], sums[..., 3])
    return DICE_WEIGHT * first + np.where(np.isnan(distance), 0.0, (1 - DICE_WEIGHT) * (1 - distance))


def resampled(objective: Objective, rows: Floats, draws: int, seed: int) -> Floats:
    """The objective of `draws` bootstrap samples of the cases, rows (case, 4); the same draws for the same seed."""
    cases = len(rows)
    if not cases:
        return np.full(draws, math.nan)
    counts = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), size=draws)
    return value(objective, counts.astype(np.float64) @ rows)


def interval(
    objective: Objective, rows: Floats, other: Floats, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The paired bootstrap interval over cases of the objective of `rows` minus that of `other`."""
    gain = resampled(objective, rows, draws, seed) - resampled(objective, other, draws, seed)
    gain = gain[~np.isnan(gain)]
    if not gain.size:
        return math.nan, math.nan
    low, high = np.quantile(gain, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def gains(objective: Objective, rows: Floats, other: Floats, draws: int = 400, seed: int = 0) -> bool:
    """Whether `rows` are better than `other` by more than the gain's standard error over the cases."""
    gain = float(value(objective, rows.sum(axis=0)) - value(objective, other.sum(axis=0)))
    if math.isnan(gain) or len(rows) < 2:
        return False
    drawn = resampled(objective, rows, draws, seed) - resampled(objective, other, draws, seed)
    return gain > float(np.nanstd(drawn)) * math.sqrt(len(rows) / (len(rows) - 1))  # drawn from the cases themselves


def _by_case(values: NDArray[Any], case_of: NDArray[np.int64]) -> Floats:
    """Sums over the scans of each case, along the first axis."""
    total = np.zeros((int(case_of.max()) + 1, *values.shape[1:]))
    np.add.at(total, case_of, values)
    return total


def _ratio(sums: Floats, counts: Floats) -> Floats:
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
