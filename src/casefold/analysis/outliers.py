"""The one voxel that makes a Hausdorff distance what it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from casefold.core import Triple
from casefold.metrics import Mask, UwmgiOptions, normal_step
from casefold.metrics.farthest import Body, Spots, box_of, farthest, joint_box

Place = tuple[int, int, int]
FEW = 512  # so many spots are sooner looked up than halved
SLACK = 1e-9  # a distance is computed in more than one way, with other roundings


@dataclass(frozen=True)
class Outlier:
    """What causes a class's Hausdorff distance. side: whose voxel it is, where the other mask is far.

    place: the voxel (z, y, x). nearest: the nearest voxel of the other side. normalised: 0..1, as the UW-Madison score
    has it. Where one side is empty: side is the other one, no place, infinite in voxels and 1 normalised.
    """

    side: Literal["found", "truth"]
    place: Place | None
    nearest: Place | None
    voxels: float
    normalised: float


def outlier(truth: Mask, found: Mask, shape: Sequence[int], spacing_mm: Triple | None = None) -> Outlier | None:
    """The voxel that causes the distance of one class, masks (z, y, x) of a scan of `shape`, cut out of it alike.

    Of several as far, one. None where both masks are empty or equal.
    """
    step = normal_step(tuple(shape), UwmgiOptions(), spacing_mm)
    boxes = box_of(truth), box_of(found)
    if boxes[0] is None or boxes[1] is None:
        if boxes == (None, None):
            return None
        return Outlier("truth" if boxes[1] is None else "found", None, None, math.inf, 1.0)
    there, seen = Body(truth, boxes[0], step), Body(found, boxes[1], step)
    from_truth = farthest(there, seen, 0.0)
    distance = farthest(seen, there, from_truth)
    if distance == 0:
        return None
    origin, target = (there, seen) if distance == from_truth else (seen, there)
    spot = _cause(origin, target, distance)
    number = int(np.ravel(target.tree.query(target.places(spot).T)[1])[0])
    near = np.rint(target.shell[:, number] / step).astype(int)
    here = spot[:, 0]
    return Outlier(
        "truth" if origin is there else "found",
        (int(here[0]), int(here[1]), int(here[2])),
        (int(near[0]), int(near[1]), int(near[2])),
        float(np.linalg.norm(here - near)),
        min(distance, 1.0),
    )


def _cause(origin: Body, target: Body, distance: float) -> Spots:
    """A voxel of `origin` at the largest distance from `target`, (axis, 1): in the half that has it, and so on."""
    box, least = joint_box(origin.box, target.box), distance * (1 - SLACK)
    starts = np.array([[side.start] for side in box])
    spots: Spots = np.stack(np.nonzero(origin.mask[box] & ~target.mask[box])) + starts
    while spots.shape[1] > FEW:
        half, rest = np.array_split(spots, 2, axis=1)
        mask = np.zeros_like(origin.mask)
        mask[tuple(half)] = True
        around = tuple(slice(int(line.min()), int(line.max()) + 1) for line in half)
        spots = half if farthest(Body(mask, around, origin.step), target, least) > least else rest
    at = int(target.distances(spots).argmax())
    return spots[:, at : at + 1]
