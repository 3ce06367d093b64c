"""What is done to a class by the slices it is on: gaps, runs, ends, truncation."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from casefold.config.postprocess import DropEnds, DropRuns, FillGaps, Truncate
from casefold.core import DataError
from casefold.postprocess.part import Mask, Part, slices_with


def fill_gaps(part: Part, step: FillGaps) -> None:
    """Fill a class's short gaps along z with shapes between the slices at both ends."""
    for mask in part.each(step):
        for (_, start), (stop, _) in pairwise(runs_of(slices_with(mask))):
            if stop - start <= step.max_slices:
                mask[start:stop] = _between(mask[start - 1], mask[stop], stop - start)


def drop_runs(part: Part, step: DropRuns) -> None:
    """Empty a class's runs of slices that are too short."""
    for mask in part.each(step):
        for start, stop in runs_of(slices_with(mask)):
            if stop - start < step.min_slices:
                mask[start:stop] = False


def drop_ends(part: Part, step: DropEnds) -> None:
    """Empty the scan's first and last slices, and the first and last rows of every slice."""
    slices = _inner(part.shape[0], step.first_slices, step.last_slices)[part.box[0]]
    rows = _inner(part.shape[1], step.edge_px, step.edge_px)[part.box[1]]
    for index in part.chosen(step):
        part.masks[index, ~slices] = False
        part.masks[index, :, ~rows] = False


def truncate(part: Part, step: Truncate) -> None:
    """Empty the slices outside the range that the member gives; raises DataError for presence missing or misshapen."""
    if step.member not in part.presence:
        raise DataError(f"truncate wants the presence of {step.member}; there is that of {sorted(part.presence)}")
    given, wanted = part.presence[step.member], (len(part.classes), part.shape[0])
    if given.shape not in (wanted, (1, part.shape[0])):
        raise DataError(f"presence of {step.member} should be (class or 1, z), {wanted} here, but is {given.shape}")
    presence = np.broadcast_to(given, wanted)
    for index in part.chosen(step):
        inside = _from_first_to_last(presence[index], step) if step.foot is None else _above(presence[index], step)
        part.masks[index, ~inside[part.box[0]]] = False


def runs_of(on: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs of True in a row, each as its first index and the one after its last."""
    steps = np.flatnonzero(np.diff(on, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in steps.reshape(-1, 2)]


def _from_first_to_last(presence: NDArray[np.uint8], step: Truncate) -> NDArray[np.bool_]:
    on = np.flatnonzero(presence >= step.level)
    inside = np.zeros(len(presence), np.bool_)
    if on.size:
        inside[on[0] : on[-1] + 1] = True
    return inside


def _above(presence: NDArray[np.uint8], step: Truncate) -> NDArray[np.bool_]:
    """All but the slices from the foot on over which presence above the level sums to the most; of equal sums the
    fewest."""
    from_foot = presence if step.foot == "first" else presence[::-1]
    votes = 2 * (from_foot.astype(np.int64) - step.level) + 1  # above 0 from the level on
    inside = np.arange(len(votes)) >= np.argmax(np.concatenate([[0], votes.cumsum()]))
    return inside if step.foot == "first" else inside[::-1]


def _inner(length: int, first: int, last: int) -> NDArray[np.bool_]:
    inner = np.ones(length, np.bool_)
    inner[:first] = False
    inner[max(length - last, 0) :] = False
    return inner


def _between(before: Mask, after: Mask, count: int) -> Mask:
    """So many slices (z, y, x) between two, or empty ones where one of them would have nothing."""
    first, last = _depth(before), _depth(after)
    weights = np.arange(1, count + 1)[:, None, None]  # whole numbers, so that both directions along z round alike
    filled: Mask = first * (count + 1 - weights) + last * weights > 0
    return filled if slices_with(filled).all() else np.zeros_like(filled)


def _depth(mask: Mask) -> NDArray[np.float64]:
    """Distance to the outline in pixels, positive inside and negative outside; beyond the array all is outside."""
    padded = np.pad(mask, 1)
    depth = distance_transform_edt(padded) - distance_transform_edt(~padded)
    return np.asarray(depth[1:-1, 1:-1], np.float64)
