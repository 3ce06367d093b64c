"""Counts of voxels in truth, prediction and both, and what is read from them: Dice, IoU, precision, recall, accuracy.

Counts are int64 (..., 3) of [both, truth, predicted]. They add up, so one function a measure serves slices, scans and
cases: `iou_of(overlap_by_slice(...))`, `iou_of(overlap(...))`, or of what `overlap_by_case` pools.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]
Counts = NDArray[np.int64]


def check_masks(truth: Mask, predicted: Mask) -> None:
    """Raise DataError unless both are bool and of one shape."""
    if truth.shape != predicted.shape:
        raise DataError(
            f"truth of shape {truth.shape} and prediction of shape {predicted.shape} should lie on one grid"
        )
    for what, mask in (("truth", truth), ("prediction", predicted)):
        if mask.dtype != np.bool_:
            raise DataError(f"the {what} should be a bool mask, but is {mask.dtype}; probabilities need a level first")


def overlap(truth: Mask, predicted: Mask) -> Counts:
    """Voxels in both, in the truth and in the prediction: int64 (class, 3) of (class, z, y, x); adds up over scans."""
    return _overlap(truth, predicted, 1)


def overlap_by_slice(truth: Mask, predicted: Mask) -> Counts:
    """`overlap` of each slice: (z, y, x) gives (z, 3), (class, z, y, x) gives (class, z, 3)."""
    return _overlap(truth, predicted, truth.ndim - 2)


def overlap_by_case(cases: Sequence[str], counts: Sequence[Counts]) -> dict[str, Counts]:
    """The counts of each case, the voxels of all its scans pooled: {case: (class, 3)}.

    cases: the case of each scan. counts: what `overlap` gives for each scan, in the same order.
    """
    pooled: dict[str, Counts] = {}
    for case, count in zip(cases, counts, strict=True):
        pooled[case] = pooled[case] + count if case in pooled else count
    return pooled


def dice_of(counts: Counts, empty: float = math.nan) -> Values:
    """Dice 2 |A and B| / (|A| + |B|) of counts (..., 3) as `overlap` gives; both empty gives `empty`, one empty 0."""
    both, truth, predicted = np.moveaxis(counts, -1, 0)
    return _share(2 * both, truth + predicted, empty)


def iou_of(counts: Counts, empty: float = math.nan) -> Values:
    """Intersection over union |A and B| / |A or B| of counts (..., 3); both empty gives `empty`, one empty 0."""
    both, truth, predicted = np.moveaxis(counts, -1, 0)
    return _share(both, truth + predicted - both, empty)


def precision_of(counts: Counts, empty: float = math.nan) -> Values:
    """The share of the predicted voxels that are right, of counts (..., 3); nothing predicted gives `empty`."""
    return _share(counts[..., 0], counts[..., 2], empty)


def recall_of(counts: Counts, empty: float = math.nan) -> Values:
    """The share of the truth's voxels that were found, of counts (..., 3); nothing to find gives `empty`."""
    return _share(counts[..., 0], counts[..., 1], empty)


def accuracy_of(counts: Counts, voxels: int | NDArray[np.int64], empty: float = math.nan) -> Values:
    """Pixel accuracy: the share of all voxels, inside and outside, that are right, of counts (..., 3).

    voxels: of the image that was counted, those to ignore left out; one number, or one for each count (a case's pooled
    ones). Both empty gives 1, for all are right; no voxels give `empty`.
    """
    both, truth, predicted = np.moveaxis(counts, -1, 0)
    return _share(voxels - truth - predicted + 2 * both, np.broadcast_to(voxels, both.shape), empty)


def dice(truth: Mask, predicted: Mask, empty: float = math.nan) -> float:
    """Dice of two masks of any shape, all voxels together; both empty gives `empty`, one empty gives 0."""
    check_masks(truth, predicted)
    return float(dice_of(overlap(truth[None], predicted[None]), empty)[0])


def dice_by_slice(truth: Mask, predicted: Mask, empty: float = math.nan) -> Values:
    """Dice of each slice: (z, y, x) gives (z,), (class, z, y, x) gives (class, z); empty in both gives `empty`."""
    return dice_of(overlap_by_slice(truth, predicted), empty)


def dice_by_scan(truth: Mask, predicted: Mask) -> Values:
    """3D Dice of each class of a scan, (class, z, y, x) gives (class,); a class empty in both gives NaN."""
    return dice_of(overlap(truth, predicted))


def dice_by_case(cases: Sequence[str], counts: Sequence[Counts]) -> dict[str, Values]:
    """3D Dice of each case and class, {case: (class,)}, of `overlap_by_case`.

    A class that is empty in truth and prediction in all scans of a case gives NaN.
    """
    return {case: dice_of(count) for case, count in overlap_by_case(cases, counts).items()}


def _overlap(truth: Mask, predicted: Mask, leading: int) -> Counts:
    check_masks(truth, predicted)
    return np.stack([_count(mask, leading) for mask in (truth & predicted, truth, predicted)], axis=-1)


def _count(mask: Mask, leading: int) -> NDArray[np.int64]:
    """Voxels over all axes but the leading ones: numpy counts one image several times faster than it sums axes."""
    images = mask.reshape(math.prod(mask.shape[:leading]), -1)
    return np.array([np.count_nonzero(image) for image in images], np.int64).reshape(mask.shape[:leading])


def _share(part: Counts, whole: Counts, empty: float) -> Values:
    return np.where(whole > 0, part / np.maximum(whole, 1), empty)
