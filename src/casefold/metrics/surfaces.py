"""Surface Dice and the 95th percentile of surface distances, over voxels: each surface voxel weighs the same.

The definitions are MONAI's (`compute_surface_dice` without sub-voxels, `compute_hausdorff_distance` with a percentile)
in float64. DeepMind's surface-distance weighs each piece of surface by its area and gives other numbers.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from casefold.core import DataError, Triple
from casefold.metrics.hausdorff import checked_step, known_spacing, surface
from casefold.metrics.overlap import Mask, Values, check_masks


def surface_dice_voxels(
    truth: Mask, predicted: Mask, tolerance: float, step: Sequence[float] = (1.0, 1.0, 1.0)
) -> float:
    """The share of both surfaces' voxels that lie no farther than `tolerance` from the other surface, 0..1.

    step: how far neighbours lie apart along each axis; `tolerance` is in its unit. Surface voxels have a face neighbour
    outside the mask or the array. Both empty gives NaN, one empty gives 0. Source: Nikolov et al. 2018,
    arXiv:1809.04430, page 9, with voxels counted in place of areas, as MONAI does.
    """
    if not tolerance >= 0:
        raise DataError(f"the tolerance of a surface Dice should be 0 or more, not {tolerance}")
    distances = np.concatenate(surface_distances(truth, predicted, step))
    return float(np.mean(distances <= tolerance)) if len(distances) else math.nan


def surface_dice_mm(truth: Mask, predicted: Mask, tolerance_mm: float, spacing_mm: Triple | None) -> float:
    """`surface_dice_voxels` in mm; raises DataError where the spacing is not known."""
    return surface_dice_voxels(truth, predicted, tolerance_mm, known_spacing(spacing_mm, "surface_dice"))


def hd95_voxels(truth: Mask, predicted: Mask, step: Sequence[float] = (1.0, 1.0, 1.0)) -> float:
    """The 95th percentile of the distances from each surface to the other, the larger of both directions.

    step: as in `hausdorff_voxels`. Percentiles between two distances are interpolated linearly. Both empty gives NaN,
    one empty gives infinity.
    """
    sides = surface_distances(truth, predicted, step)
    if not all(map(len, sides)):
        return math.inf if any(map(len, sides)) else math.nan
    return max(float(np.percentile(side, 95)) for side in sides)


def hd95_mm(truth: Mask, predicted: Mask, spacing_mm: Triple | None) -> float:
    """`hd95_voxels` in mm; raises DataError where the spacing is not known."""
    return hd95_voxels(truth, predicted, known_spacing(spacing_mm, "hd95"))


def surface_distances(truth: Mask, predicted: Mask, step: Sequence[float]) -> tuple[Values, Values]:
    """From each surface voxel of one mask to the nearest of the other: (n,) from the truth, (m,) from the prediction.

    Infinity where the other mask is empty.
    """
    check_masks(truth, predicted)
    lengths = checked_step(step, truth.ndim)
    one, other = (np.argwhere(surface(mask)) * lengths for mask in (truth, predicted))
    return _nearest(one, other), _nearest(other, one)


def _nearest(origin: Values, target: Values) -> Values:
    if not len(target):
        return np.full(len(origin), math.inf)
    return np.asarray(cKDTree(target).query(origin)[0], np.float64)
