"""The voxel of one mask that is farthest from another mask, exactly, without the distance of every voxel.

Bounds throw out the voxels that can't be the farthest; a KD-tree on the other mask's border gives the distance of the
few that are left. Any number of axes. Boxes are tuples of slices; spots are indices into the array, int64 (axis, n).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from casefold.metrics.overlap import Mask, Values

Box = tuple[slice, ...]
Indices = NDArray[np.int64]
Spots = Indices
# Of the numbers below only the speed depends, never the result.
REACH = 8  # shells: up to so many times the shortest step
CHUNK, LOOKUPS = 32, 4_000_000  # shells: neighbours at once, at first, and lookups in all
NEAR, LOOKS = 0.8, 64  # shells: the share of a sample that they should settle; directions looked in before the others
HANDFUL = 32  # so many spots are sooner compared with the whole border than a tree is built
FEW = 1024  # so many are sooner looked up in the tree than sorted out
MANY = 8 * FEW  # for more, a sample first tells whether `_farthest_first` gets anywhere
ROUNDS, SHRINK = 4, 0.8  # it goes on while so many rounds leave no more than this share
SAMPLE = 128  # of the spots, measured for a first guess


def box_of(mask: Mask) -> Box | None:
    """The smallest box that holds all voxels, or None; scipy's find_objects takes many times as long."""
    first = np.flatnonzero(mask.reshape(len(mask), -1).any(1))
    if not len(first):
        return None
    box = [slice(int(first[0]), int(first[-1]) + 1)]
    shadow: Mask = np.any(mask[box[0]], axis=0)
    for axis in range(shadow.ndim):
        others = tuple(other for other in range(shadow.ndim) if other != axis)
        there = np.flatnonzero(np.any(shadow, axis=others))
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(box)


def joint_box(one: Box, other: Box) -> Box:
    """The smallest box round both."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def border(mask: Mask) -> Mask:
    """The voxels with a face neighbour outside the mask or outside the array.

    What `mask & ~scipy.ndimage.binary_erosion(mask)` gives, more than 20 times as fast.
    """
    rimmed = _rimmed(mask, [1] * mask.ndim)
    flat, edge = rimmed.ravel(), rimmed.strides[0]
    found = np.zeros_like(flat)
    inner = flat[edge:-edge].copy()
    for stride in rimmed.strides:
        for shift in (edge + stride, edge - stride):
            inner &= flat[shift : shift + len(inner)]
    np.greater(flat[edge:-edge], inner, out=found[edge:-edge])
    return found.reshape(rimmed.shape)[(slice(1, -1),) * mask.ndim]


@dataclass(frozen=True)
class Body:
    """A mask with at least one voxel, the box round it, and how far neighbours lie apart along each axis."""

    mask: Mask
    box: Box
    step: Values

    def places(self, spots: Spots) -> Values:
        """Where the spots' centres are, in units of the step: (axis, n)."""
        return spots * self.step[:, None]

    @cached_property
    def shell(self) -> Values:
        """The border's places: from outside a mask, the nearest of its voxels is one of its border."""
        return self.places(_spots(border(self.mask[self.box]), self.box))

    @cached_property
    def tree(self) -> cKDTree:
        """Of the shell."""
        return cKDTree(self.shell.T, 16, False, False)

    def distances(self, spots: Spots) -> Values:
        """From each spot outside the mask to its nearest voxel: (n,)."""
        return np.asarray(self.tree.query(self.places(spots).T)[0], np.float64)


def farthest(origin: Body, target: Body, best: float) -> float:
    """The larger of `best` and the largest distance from a voxel of `origin` to the nearest one of `target`."""
    box = joint_box(origin.box, target.box)
    inside = target.mask[box]
    outside = origin.mask[box] & ~inside
    _keep_outermost(outside, box, target.box)
    spots = _spots(outside, box)
    if not spots.shape[1]:
        return best
    spots, best = _by_shells(spots, inside, box, target.step, best)
    spots, best = _farthest_first(spots, target, best)
    if spots.shape[1] > FEW:
        sample = spots[:, :: spots.shape[1] // SAMPLE]
        best = max(best, float(target.distances(sample).max()))
        spots, best = _by_blocks(spots, target, best)
    if spots.shape[1]:
        best = max(best, float(target.distances(spots).max()))
    return best


def _rimmed(mask: Mask, widths: Sequence[int]) -> Mask:
    """The mask within a rim of False of these widths, in C order whatever the mask's own; the strides count voxels."""
    rimmed = np.zeros([size + 2 * width for size, width in zip(mask.shape, widths, strict=True)], np.bool_)
    rimmed[tuple(slice(width, width + size) for size, width in zip(mask.shape, widths, strict=True))] = mask
    return rimmed


def _spots(mask: Mask, box: Box) -> Spots:
    found: Spots = np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape))
    found += np.array([[side.start] for side in box])
    return found


def _keep_outermost(outside: Mask, box: Box, target: Box) -> None:
    """Drop, in place, a voxel at the end of the target's box or beyond whose neighbour farther out is there too."""
    for axis, (whole, inner) in enumerate(zip(box, target, strict=True)):
        along = np.moveaxis(outside, axis, 0)
        above, below = along[inner.stop - 1 - whole.start :], along[: inner.start + 1 - whole.start]
        np.greater(above[:-1], above[1:], out=above[:-1])
        np.greater(below[1:], below[:-1], out=below[1:])


def _by_shells(spots: Spots, inside: Mask, box: Box, step: Values, best: float) -> tuple[Spots, float]:
    """The spots with no voxel of the target near by, and `best` raised to the largest distance of the others.

    It settles close masks alone, and leaves their stray components. The distances of a sample give `best`, and end it
    where few have anything near; most of the others then see a voxel of the target at `best` or nearer in some
    direction, and what is left is measured as the sample was.
    """
    around, distances, rim = _neighbours(tuple(step.tolist()))
    rimmed = _rimmed(inside, rim)
    flat, strides = rimmed.ravel(), np.array(rimmed.strides)
    origin, shifts = np.array([side.start - width for side, width in zip(box, rim, strict=True)]), around @ strides
    sample = strides @ (spots[:, :: spots.shape[1] // SAMPLE + 1] - origin[:, None])
    left, reached = _outwards(sample, flat, shifts)
    if len(left) > (1 - NEAR) * len(sample):
        return spots, best
    places = strides @ (spots - origin[:, None])
    best = max(best, float(distances[reached]))
    kept, known = np.arange(len(places)), shifts[distances <= best]
    for shift in known[:: -(len(known) // LOOKS + 1)]:
        kept = kept[~flat[places[kept] + shift]]
    left, reached = _outwards(places[kept], flat, shifts)
    return spots[:, kept[left]], max(best, float(distances[reached]))


def _outwards(places: Indices, flat: Mask, shifts: Indices) -> tuple[Indices, int]:
    """Which places have none of the mask at any shift, in order, and the last shift at which one first met it."""
    left, start, size, reached, lookups = np.arange(len(places)), 0, CHUNK, 0, 0
    while len(left) and start < len(shifts):
        near = shifts[start : start + size]
        lookups += len(left) * len(near)
        if lookups > LOOKUPS:
            break
        hits = flat[places[left][:, None] + near]
        found = hits.any(1)
        if found.any():
            reached = start + int(hits[found].argmax(1).max())
        left, start, size = left[~found], start + size, 2 * size
    return left, reached


@lru_cache(8)
def _neighbours(step: tuple[float, ...]) -> tuple[Indices, Values, list[int]]:
    """Voxels (n, axis) round the origin up to REACH, nearest first, their distances, and how far they go by axis."""
    reach = REACH * min(step)
    rim = [int(reach / length) for length in step]
    every = np.array(list(itertools.product(*(range(-width, width + 1) for width in rim))))
    distances: Values = np.linalg.norm(every * step, axis=1)
    order = distances.argsort(kind="stable")[1:]
    order = order[distances[order] <= reach]
    return every[order], distances[order], rim


def _farthest_first(spots: Spots, target: Body, best: float) -> tuple[Spots, float]:
    """The spots that may be farther than `best`, and a better `best`, for as long as a few rounds rule out many.

    A round takes the spot that may be the farthest, finds its nearest voxel of the target, and bounds every other
    spot's distance by the one to that voxel. It settles far masks and stray components in a few rounds.
    """
    if spots.shape[1] > MANY:
        sample = spots[:, :: spots.shape[1] // FEW]
        left, best = _farthest_first(sample, target, best)
        if left.shape[1] > SHRINK * sample.shape[1]:
            return spots, best
    places, kept = target.places(spots), np.arange(spots.shape[1])
    bounds, squared = np.full(len(kept), np.inf), best**2
    while len(kept):
        before = len(kept)
        for _ in range(ROUNDS):
            gaps = _squared(target.shell, places[:, bounds.argmax()])
            nearest = gaps.argmin()
            squared = max(squared, float(gaps[nearest]))
            np.minimum(bounds, _squared(places, target.shell[:, nearest]), out=bounds)
            farther = np.flatnonzero(bounds > squared)
            places, bounds, kept = places[:, farther], bounds[farther], kept[farther]
            if not len(kept):
                break
        if len(kept) > max(SHRINK * before, HANDFUL):
            break
    return spots[:, kept], max(best, math.sqrt(squared))


def _squared(places: Values, point: Values) -> Values:
    """Squared distances of places (axis, n) from a point (axis,)."""
    total = np.zeros(places.shape[1])
    for line, start in zip(places, point, strict=True):
        apart = line - start
        apart *= apart
        total += apart
    return total


def _by_blocks(spots: Spots, target: Body, best: float) -> tuple[Spots, float]:
    """The spots that may be farther than `best`, and a better `best`, by blocks that shrink while many are left.

    One spot of each block is looked up in the tree; no other one is farther than that by more than their distance.
    """
    size = best / 4
    while spots.shape[1] > FEW and size >= target.step.min():
        block = _block_of(spots, [max(int(size / length), 1) for length in target.step])
        first = np.full(block.max() + 1, -1)
        first[block] = np.arange(len(block))
        used = np.flatnonzero(first >= 0)
        distances = np.zeros(len(first))
        distances[used] = target.distances(spots[:, first[used]])
        best = max(best, float(distances.max()))
        looked_up = first[block]
        apart = sum(((line - line[looked_up]) * length) ** 2 for line, length in zip(spots, target.step, strict=True))
        spots = spots[:, distances[block] + np.sqrt(apart) > best]
        size /= 3
    return spots, best


def _block_of(spots: Spots, sides: Sequence[int]) -> NDArray[np.int64]:
    """The number of each spot's block."""
    number = np.zeros(spots.shape[1], np.int64)
    for line, side in zip(spots, sides, strict=True):
        block = (line - line.min()) // side
        number = number * (int(block.max()) + 1) + block
    return number
