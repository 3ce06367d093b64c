"""Dice, Hausdorff distance, the UW-Madison score and bootstrap intervals; NaN means "nothing to score", never zero.

Masks are bool. Where a scan has voxels to ignore, set both masks False there before scoring.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from casefold.core import DataError, Triple

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]
DICE_WEIGHT = 0.4


@dataclass(frozen=True)
class UwmgiOptions:
    """What the competition's page leaves open; the defaults are the reading most re-implementations share.

    empty: truth and prediction both empty, of a Dice image or a distance: left out (`skip`), or worth nothing (`zero`:
    Dice 0, distance 1) or everything (`one`: Dice 1, distance 0). without_truth: a class of a scan that only the
    prediction has counts as distance 1 (`penalise`) or is left out of the distances (`skip`). distance_of: each class,
    or the classes together (`union`). coordinates: voxel index over the array's size on each axis, distance over
    sqrt(3) (`size`); distance in voxels over the voxel diagonal (`diagonal`); in mm over the diagonal in mm (`mm`).
    Diagonals join the first voxel's centre to the last one's. dice_by: the images Dice is taken of, slices or whole
    scans, class by class.
    """

    empty: Literal["skip", "zero", "one"] = "skip"
    without_truth: Literal["penalise", "skip"] = "penalise"
    distance_of: Literal["class", "union"] = "class"
    coordinates: Literal["size", "diagonal", "mm"] = "size"
    dice_by: Literal["slice", "scan"] = "slice"


@dataclass(frozen=True)
class UwmgiScore:
    """The UW-Madison score, 0..1, of one scan or of several: `score` = 0.4 `dice` + 0.6 (1 - `hausdorff`).

    dice: mean over all that was counted of `dice_values`. hausdorff: normalised distance 0..1, mean of `distances`.
    dice_values: flat, one for each class and slice (or scan). distances: flat, one for each class (or union) and scan.
    NaN values are not counted; a mean of nothing is NaN.
    """

    dice_values: Values
    distances: Values

    @property
    def dice(self) -> float:
        """Mean Dice, 0..1, or NaN."""
        return float(nan_mean(self.dice_values))

    @property
    def hausdorff(self) -> float:
        """Mean normalised Hausdorff distance, 0 (equal) to 1, or NaN."""
        return float(nan_mean(self.distances))

    @property
    def score(self) -> float:
        """0.4 Dice + 0.6 (1 - distance); NaN where either is."""
        return DICE_WEIGHT * self.dice + (1 - DICE_WEIGHT) * (1 - self.hausdorff)


def overlap(truth: Mask, predicted: Mask) -> NDArray[np.int64]:
    """Voxels in both, in the truth and in the prediction: int64 (class, 3) of (class, z, y, x); adds up over scans."""
    _check(truth, predicted)
    axes = tuple(range(1, truth.ndim))
    return np.stack([mask.sum(axes, dtype=np.int64) for mask in (truth & predicted, truth, predicted)], axis=-1)


def dice_of(counts: NDArray[np.int64], empty: float = math.nan) -> Values:
    """Dice 2 |A and B| / (|A| + |B|) of counts (..., 3) as `overlap` gives; both empty gives `empty`, one empty 0."""
    both, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * both / np.maximum(total, 1), empty)


def dice(truth: Mask, predicted: Mask, empty: float = math.nan) -> float:
    """Dice of two masks of any shape, all voxels together; both empty gives `empty`, one empty gives 0."""
    _check(truth, predicted)
    return float(dice_of(overlap(truth[None], predicted[None]), empty)[0])


def dice_by_slice(truth: Mask, predicted: Mask, empty: float = math.nan) -> Values:
    """Dice of each slice: (z, y, x) gives (z,), (class, z, y, x) gives (class, z); empty in both gives `empty`."""
    _check(truth, predicted)
    counts = [mask.sum((-2, -1), dtype=np.int64) for mask in (truth & predicted, truth, predicted)]
    return dice_of(np.stack(counts, axis=-1), empty)


def dice_by_scan(truth: Mask, predicted: Mask) -> Values:
    """3D Dice of each class of a scan, (class, z, y, x) gives (class,); a class empty in both gives NaN."""
    return dice_of(overlap(truth, predicted))


def dice_by_case(cases: Sequence[str], counts: Sequence[NDArray[np.int64]]) -> dict[str, Values]:
    """3D Dice of each case and class, {case: (class,)}, the voxels of all its scans pooled.

    cases: the case of each scan. counts: what `overlap` gives for each scan, in the same order. A class that is empty
    in truth and prediction in all scans of a case gives NaN.
    """
    pooled: dict[str, NDArray[np.int64]] = {}
    for case, count in zip(cases, counts, strict=True):
        pooled[case] = pooled[case] + count if case in pooled else count
    return {case: dice_of(count) for case, count in pooled.items()}


def nan_mean(values: NDArray[Any], axis: int | None = None) -> Any:
    """The mean over what is not NaN; NaN, without a warning, where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis)
    mean = np.where(there, values, 0.0).sum(axis) / np.maximum(count, 1)
    return np.where(count > 0, mean, math.nan)


def hausdorff_voxels(truth: Mask, predicted: Mask, step: Sequence[float] = (1.0, 1.0, 1.0)) -> float:
    """The symmetric Hausdorff distance between the voxel centres of two masks, the larger of both directions.

    step: how far neighbours lie apart along each axis; the unit of the result is its unit, voxels when it is all 1.
    Both empty gives 0, one empty gives infinity. Equals scipy's `directed_hausdorff` over all voxels, both ways.
    """
    _check(truth, predicted)
    if truth.any() != predicted.any():
        return math.inf
    return max(_directed(truth, predicted, step), _directed(predicted, truth, step))


def hausdorff_mm(truth: Mask, predicted: Mask, spacing_mm: Triple | None) -> float:
    """`hausdorff_voxels` in mm; raises DataError where the spacing is not known."""
    if spacing_mm is None:
        raise DataError("hausdorff_mm needs spacing_mm, which this scan lacks; use hausdorff_voxels")
    return hausdorff_voxels(truth, predicted, spacing_mm)


def uwmgi_score(
    truth: Mask, predicted: Mask, options: UwmgiOptions | None = None, spacing_mm: Triple | None = None
) -> UwmgiScore:
    """The UW-Madison score of one scan, masks (class, z, y, x); one side empty gives Dice 0 and distance 1.

    Raises DataError on coordinates in mm without a spacing. Source: the competition's page.
    """
    options = options or UwmgiOptions()
    _check(truth, predicted)
    if truth.ndim != 4:
        raise DataError(
            f"the UW-Madison score wants masks (class, z, y, x), not {truth.ndim} axes of shape {truth.shape}"
        )
    worth = {"skip": math.nan, "zero": 0.0, "one": 1.0}[options.empty]
    by_slice = options.dice_by == "slice"
    values = dice_by_slice(truth, predicted, worth) if by_slice else dice_of(overlap(truth, predicted), worth)
    step = _normal_step(truth.shape[1:], options, spacing_mm)
    if options.distance_of == "union":
        truth, predicted = np.any(truth, 0, keepdims=True), np.any(predicted, 0, keepdims=True)
    distances = [_distance(one, other, step, 1 - worth, options) for one, other in zip(truth, predicted, strict=True)]
    return UwmgiScore(values.ravel(), np.array(distances))


def mean_uwmgi(scores: Sequence[UwmgiScore]) -> UwmgiScore:
    """The score over several scans: Dice over all their counted images at once, distance over all scans and classes.

    So a scan with more annotated slices weighs more in Dice, as in a mean over the rows of a submission.
    """
    if not scores:
        return UwmgiScore(np.empty(0), np.empty(0))
    dice_values = np.concatenate([score.dice_values for score in scores])
    return UwmgiScore(dice_values, np.concatenate([score.distances for score in scores]))


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


def _check(truth: Mask, predicted: Mask) -> None:
    if truth.shape != predicted.shape:
        raise DataError(
            f"truth of shape {truth.shape} and prediction of shape {predicted.shape} should lie on one grid"
        )
    for what, mask in (("truth", truth), ("prediction", predicted)):
        if mask.dtype != np.bool_:
            raise DataError(f"the {what} should be a bool mask, but is {mask.dtype}; probabilities need a level first")


def _directed(origin: Mask, target: Mask, step: Sequence[float]) -> float:
    """The largest distance from a voxel of `origin` to the nearest of `target`.

    A voxel in both is at distance 0. A voxel outside is nearest to one of the target's border (a face neighbour outside
    or at the array's edge), so border voxels are enough for the target, but not for the origin: an inner voxel may be
    the farthest one.
    """
    outside = np.argwhere(origin & ~target)
    if not len(outside):
        return 0.0
    box = ndimage.find_objects(target.astype(np.uint8))[0]
    inner = target[box]
    border = np.argwhere(inner & ~ndimage.binary_erosion(inner)) + [side.start for side in box]
    distances, _ = cKDTree(border * np.asarray(step)).query(outside * np.asarray(step))
    return float(np.max(distances))


def _normal_step(shape: tuple[int, ...], options: UwmgiOptions, spacing_mm: Triple | None) -> Values:
    """Step lengths for which no distance on the grid is above 1."""
    size = np.asarray(shape, np.float64)
    if options.coordinates == "size":
        return 1 / size / math.sqrt(len(size))
    if options.coordinates == "mm" and spacing_mm is None:
        raise DataError("coordinates 'mm' need spacing_mm, which this scan lacks; use 'diagonal', its twin in voxels")
    step = np.asarray(spacing_mm, np.float64) if options.coordinates == "mm" else np.ones_like(size)
    diagonal = float(np.linalg.norm((size - 1) * step))
    return step / diagonal if diagonal else step


def _distance(truth: Mask, predicted: Mask, step: Values, empty: float, options: UwmgiOptions) -> float:
    labelled, found = bool(truth.any()), bool(predicted.any())
    if not labelled and not found:
        return empty
    if not labelled and options.without_truth == "skip":
        return math.nan
    return min(hausdorff_voxels(truth, predicted, tuple(step)), 1.0)
