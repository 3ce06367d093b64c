"""The UW-Madison score, 0.4 Dice + 0.6 (1 - normalised Hausdorff distance), each open point a named option."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from casefold.core import DataError, Triple
from casefold.metrics.hausdorff import Points, hausdorff_voxels
from casefold.metrics.intervals import nan_mean
from casefold.metrics.overlap import Mask, Values, check_masks, dice_by_slice, dice_of, overlap

DICE_WEIGHT = 0.4


@dataclass(frozen=True)
class UwmgiOptions:
    """What the competition's page leaves open; the defaults are the reading most re-implementations share.

    empty: truth and prediction both empty, of a Dice image or a distance: left out (`skip`), or worth nothing (`zero`:
    Dice 0, distance 1) or everything (`one`: Dice 1, distance 0).
    one_empty: a distance where only one side has voxels is 1 (`worst`) or left out (`skip`); Dice is 0 in any case.
    without_truth: a class of a scan that only the prediction has counts as distance 1 (`penalise`) or is left out of
    the distances (`skip`).
    distance_of: each class, or the classes together (`union`).
    hausdorff_by: the images a distance is taken of, whole scans or slices (in 2D), class by class.
    points: all voxels (`foreground`) or surface voxels alone (`surface`); `hausdorff_voxels` says how they differ.
    coordinates: voxel index over the array's size on each axis, distance over the root of the number of axes (`size`);
    distance in voxels over the voxel diagonal (`diagonal`); in mm over the diagonal in mm (`mm`). These diagonals join
    the first voxel's centre to the last one's. Or in voxels over the root of the summed squares of the array's sizes
    (`outer_diagonal`), which on square slices is `size`.
    dice_by: the images Dice is taken of, slices or whole scans, class by class.
    """

    empty: Literal["skip", "zero", "one"] = "skip"
    without_truth: Literal["penalise", "skip"] = "penalise"
    distance_of: Literal["class", "union"] = "class"
    coordinates: Literal["size", "diagonal", "mm", "outer_diagonal"] = "size"
    dice_by: Literal["slice", "scan"] = "slice"
    one_empty: Literal["worst", "skip"] = "worst"
    hausdorff_by: Literal["scan", "slice"] = "scan"
    points: Points = "foreground"


# What most competitors chose their models by: pixels over sqrt(height² + width²) between the outlines of each slice,
# two empty slices at 0. One stray voxel costs it next to nothing, so it can't tune post-processing.
SLICE_WISE_PORT = UwmgiOptions(empty="one", hausdorff_by="slice", points="surface", coordinates="outer_diagonal")


@dataclass(frozen=True)
class UwmgiScore:
    """The UW-Madison score, 0..1, of one scan or of several: `score` = 0.4 `dice` + 0.6 (1 - `hausdorff`).

    dice: mean over all that was counted of `dice_values`. hausdorff: normalised distance 0..1, mean of `distances`.
    dice_values: flat, one for each class and slice (or scan). distances: flat, one for each class (or union) and scan
    (or slice). NaN values are not counted; a mean of nothing is NaN.
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


def uwmgi_score(
    truth: Mask, predicted: Mask, options: UwmgiOptions | None = None, spacing_mm: Triple | None = None
) -> UwmgiScore:
    """The UW-Madison score of one scan, masks (class, z, y, x); one side empty gives Dice 0 and distance 1.

    Raises DataError on coordinates in mm without a spacing. Source: the competition's page.
    """
    options = options or UwmgiOptions()
    check_masks(truth, predicted)
    if truth.ndim != 4:
        raise DataError(
            f"the UW-Madison score wants masks (class, z, y, x), not {truth.ndim} axes of shape {truth.shape}"
        )
    worth = {"skip": math.nan, "zero": 0.0, "one": 1.0}[options.empty]
    by_slice = options.dice_by == "slice"
    values = dice_by_slice(truth, predicted, worth) if by_slice else dice_of(overlap(truth, predicted), worth)
    return UwmgiScore(values.ravel(), _distances(truth, predicted, 1 - worth, options, spacing_mm))


def mean_uwmgi(scores: Sequence[UwmgiScore]) -> UwmgiScore:
    """The score over several scans: Dice over all their counted images at once, distance over all scans and classes.

    So a scan with more annotated slices weighs more in Dice, as in a mean over the rows of a submission.
    """
    if not scores:
        return UwmgiScore(np.empty(0), np.empty(0))
    dice_values = np.concatenate([score.dice_values for score in scores])
    return UwmgiScore(dice_values, np.concatenate([score.distances for score in scores]))


def normal_step(shape: tuple[int, ...], options: UwmgiOptions, spacing_mm: Triple | None) -> Values:
    """Step lengths of an image of this shape, a scan or a slice, for which no distance on its grid is above 1."""
    size = np.asarray(shape, np.float64)
    if options.coordinates == "size":
        return 1 / size / math.sqrt(len(size))
    if options.coordinates == "outer_diagonal":
        return np.full_like(size, 1 / np.linalg.norm(size))
    if options.coordinates == "mm" and spacing_mm is None:
        raise DataError("coordinates 'mm' need spacing_mm, which this scan lacks; use 'diagonal', its twin in voxels")
    step = (
        np.ones_like(size) if spacing_mm is None or options.coordinates != "mm" else np.array(spacing_mm[-len(size) :])
    )
    diagonal = float(np.linalg.norm((size - 1) * step))
    return step / diagonal if diagonal else step


def _distances(truth: Mask, predicted: Mask, empty: float, options: UwmgiOptions, spacing_mm: Triple | None) -> Values:
    """One for each class (or union), or for each of its slices; NaN where it is not counted."""
    if options.distance_of == "union":
        truth, predicted = np.any(truth, 0, keepdims=True), np.any(predicted, 0, keepdims=True)
    images = truth.shape[2:] if options.hausdorff_by == "slice" else truth.shape[1:]
    step = normal_step(images, options, spacing_mm)
    values = []
    for one, other in zip(truth, predicted, strict=True):
        ignored = options.without_truth == "skip" and other.any() and not one.any()
        for image in zip(one.reshape(-1, *images), other.reshape(-1, *images), strict=True):
            values.append(math.nan if ignored else _distance(*image, step, empty, options))
    return np.array(values)


def _distance(truth: Mask, predicted: Mask, step: Values, empty: float, options: UwmgiOptions) -> float:
    distance = hausdorff_voxels(truth, predicted, tuple(step), options.points)
    if distance == math.inf:
        return 1.0 if options.one_empty == "worst" else math.nan
    if distance == 0 and not truth.any():
        return empty
    return min(distance, 1.0)
