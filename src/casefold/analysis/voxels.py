"""The few voxels of a scan that an analysis reads: those that the truth has or a member calls at least likely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.metrics import Mask

Bytes = NDArray[np.uint8]
FLOOR = 8  # q below it, 3 %, decides no mask of any level that is looked at


@dataclass(frozen=True)
class ClassVoxels:
    """One class of one scan, its voxels in the order of the flat grid. q: (member, voxel). truth: bool (voxel,).

    index: where each voxel is on the flat grid. edges: where each slice's voxels begin, and where the last ones end,
    (z + 1,). counted: how many voxels each slice has, those to ignore left out, (z,).
    """

    index: NDArray[np.int64]
    edges: NDArray[np.int64]
    q: Bytes
    truth: NDArray[np.bool_]
    counted: NDArray[np.int64]

    def by_slice(self, values: NDArray[np.integer] | NDArray[np.bool_]) -> NDArray[np.int64]:
        """The sum over each slice of a whole number for each voxel, (z,)."""
        sums = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        return np.asarray(np.diff(sums[self.edges]))


def pick(truth: Mask, maps: Sequence[Bytes], ignore: Mask | None = None, floor: int = FLOOR) -> list[ClassVoxels]:
    """By class, the voxels that the truth has or one of the maps gives `floor` or more.

    maps: q of one or more members, each like the truth; the ensemble's may be one of them. ignore: bool (z, y, x), left
    out. Raises DataError for no maps, or maps that do not fit.
    """
    if not maps:
        raise DataError("there are no maps to pick voxels of; wanted those of one member or more")
    for q in maps:
        if q.shape != truth.shape or q.dtype != np.uint8:
            raise DataError(f"maps should be uint8 of the truth's shape {truth.shape}, not {q.dtype} of {q.shape}")
    depth, plane = truth.shape[1], truth[0, 0].size
    counted = np.full(depth, plane, np.int64)
    if ignore is not None:
        counted -= [np.count_nonzero(one) for one in ignore]
    found = []
    for c, own in enumerate(truth):
        highest = maps[0][c]
        for q in maps[1:]:
            highest = np.maximum(highest, q[c])
        chosen = (highest >= floor) | own
        if ignore is not None:
            chosen &= ~ignore
        index = np.flatnonzero(chosen)
        edges = np.searchsorted(index, np.arange(depth + 1) * plane)
        q_at = np.stack([np.take(q[c], index) for q in maps])
        found.append(ClassVoxels(index, edges, q_at, np.take(own, index), counted))
    return found
