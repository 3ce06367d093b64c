"""Components and holes of masks, in 3D or slice by slice; what is done with them goes by their sizes."""

import math
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from casefold.config.postprocess import FillHoles, LargestComponents, Sized, SmallComponents
from casefold.core import DataError
from casefold.postprocess.part import Mask, Part

SLACK = 1e-9  # sizes in mm are quotients of floats; a thing of just the size must not fall to rounding


def label(mask: Mask, by: Literal["scan", "slice"] = "scan", connectivity: int = 26) -> NDArray[np.unsignedinteger]:
    """The components of a mask (z, y, x), numbered 1, 2, ... in the order of their first voxels; 0 is background.

    connectivity: 6, 18 or 26 neighbours; by slice, those of them that lie in the slice.
    """
    values = mask.astype(np.uint8, order="C")  # cc3d 4.1 fails on some bool arrays that are one voxel wide
    if by == "slice":
        values[1::2] *= 2  # cc3d joins equal values alone, and neighbouring slices now differ
    labels: NDArray[np.unsignedinteger] = cc3d.connected_components(values, connectivity=connectivity)
    return labels


def small_components(part: Part, step: SmallComponents) -> None:
    """Drop the components below the step's size."""
    least = _size(part, step) * (1 - SLACK)
    for mask in part.each(step):
        numbers = label(mask, step.by, step.connectivity)[mask]
        mask[mask] = (np.bincount(numbers) >= least)[numbers]


def largest_components(part: Part, step: LargestComponents) -> None:
    """Drop all but the k largest components of a mask, or of each of its slices."""
    for mask in part.each(step):
        numbers = label(mask, step.by, step.connectivity)[mask]
        sizes = np.bincount(numbers)
        group = np.zeros_like(sizes)  # the slice of each component, where k of each slice are wanted
        if step.by == "slice":
            group[numbers] = np.repeat(np.arange(len(mask)), mask.sum((1, 2)))
        order = 1 + np.lexsort((-sizes[1:], group[1:]))  # stable: equal ones stay in the order of their numbers
        starts = np.searchsorted(group[order], group[order])
        kept = np.zeros(sizes.shape, np.bool_)
        kept[order] = np.arange(len(order)) - starts < step.k
        mask[mask] = kept[numbers]


def fill_holes(part: Part, step: FillHoles) -> None:
    """Fill the holes up to the step's size; in the mask's own box, as nothing outside it can be enclosed."""
    most = _size(part, step) * (1 + SLACK)
    for mask in part.each(step):
        labels = label(np.pad(~mask, 1, constant_values=True), step.by, connectivity=6)
        holes = (labels > 0) & (labels != labels[:, :1, :1])  # a corner of the rim is outside, in 3D and in its slice
        numbers = labels[holes]
        holes[holes] = (np.bincount(numbers) <= most)[numbers]
        mask |= holes[1:-1, 1:-1, 1:-1]


def _size(part: Part, step: Sized) -> float:
    """The step's size in voxels (by slice: pixels); none is infinite. Raises DataError for mm without a spacing."""
    if step.size is None:
        return math.inf
    field, value = step.size
    count, measure = step.SIZES[step.by]
    if field == count:
        return value
    if part.spacing_mm is None:
        raise DataError(f"{step.name}: {measure} needs spacing_mm, which this scan lacks; use {count}")
    return value / math.prod(part.spacing_mm if step.by == "scan" else part.spacing_mm[1:])
