"""The exact Hausdorff distance between two masks, in float64, of whole scans in milliseconds."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from casefold.core import DataError, Triple
from casefold.metrics.farthest import Body, border, box_of, farthest
from casefold.metrics.overlap import Mask, Values, check_masks

Points = Literal["foreground", "surface"]


class TruthDistances:
    """The Hausdorff distances of many masks to one truth: `to` gives what `hausdorff_voxels` does.

    The truth's box and the KD-tree of its border are made once. step: as in `hausdorff_voxels`. Truth and masks may be
    cut out of their scan alike: a distance doesn't depend on where the array begins.
    """

    def __init__(self, truth: Mask, step: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        self._truth, self._step = truth, checked_step(step, truth.ndim)
        self._body = _body(truth, self._step)

    def to(self, mask: Mask) -> float:
        """Of one mask of the truth's shape; both empty gives 0, one empty gives infinity."""
        check_masks(self._truth, mask)
        truth, other = self._body, _body(mask, self._step)
        if truth is None or other is None:
            return 0.0 if truth is other else math.inf
        return farthest(truth, other, farthest(other, truth, 0.0))  # the truth's tree first: it is kept


def hausdorff_voxels(
    truth: Mask, predicted: Mask, step: Sequence[float] = (1.0, 1.0, 1.0), points: Points = "foreground"
) -> float:
    """The symmetric Hausdorff distance between the voxel centres of two masks, the larger of both directions.

    step: how far neighbours lie apart along each axis; the unit of the result is its unit, voxels when it is all 1.
    points: all voxels (`foreground`), or those of the `surface` alone, which is another distance where one mask holds
    part of the other's surface: all voxels count that part with 0, surfaces with its depth. In a hole that one mask
    lacks, all voxels measure from its middle to its wall, surfaces from its wall to the other mask's surface.
    Both empty gives 0, one empty gives infinity. Equals scipy's `directed_hausdorff` over these points, both ways.
    """
    check_masks(truth, predicted)
    if points == "surface":
        truth, predicted = surface(truth), surface(predicted)
    return TruthDistances(truth, step).to(predicted)


def hausdorff_mm(truth: Mask, predicted: Mask, spacing_mm: Triple | None, points: Points = "foreground") -> float:
    """`hausdorff_voxels` in mm; raises DataError where the spacing is not known."""
    return hausdorff_voxels(truth, predicted, known_spacing(spacing_mm, "hausdorff"), points)


def surface(mask: Mask) -> Mask:
    """The mask's border: its voxels with a face neighbour outside the mask or outside the array."""
    found, box = np.zeros_like(mask), box_of(mask)
    if box is not None:
        found[box] = border(mask[box])
    return found


def known_spacing(spacing_mm: Triple | None, measure: str) -> Triple:
    """The spacing, or a DataError that names the measure's twin in voxels."""
    if spacing_mm is None:
        raise DataError(f"{measure}_mm needs spacing_mm, which this scan lacks; use {measure}_voxels")
    return spacing_mm


def checked_step(step: Sequence[float], axes: int) -> Values:
    """The step as an array; raises DataError unless it is one positive length an axis."""
    lengths = np.asarray(step, np.float64)
    if lengths.shape != (axes,) or not np.all(lengths > 0):
        raise DataError(f"the step should be {axes} positive lengths, one an axis of the masks, not {tuple(step)}")
    return lengths


def _body(mask: Mask, step: Values) -> Body | None:
    box = box_of(mask)
    return None if box is None else Body(mask, box, step)
