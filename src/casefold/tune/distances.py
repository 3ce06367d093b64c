"""Distances of many masks of one class of one scan to its truth, each different mask measured once."""

import math
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casefold.metrics import TruthDistances, UwmgiOptions, normal_step
from casefold.tune.voxels import Voxels

RECORD = np.dtype([("mask", "<u8"), ("distance", "<f8")])


class Distances:
    """Distances as the UW-Madison score has them, of masks bool (z, y, x) of the voxels' box to the truth in it.

    Most points differ from their neighbours in a few scans alone: what was measured is kept in `path`, by a digest of
    the mask.
    """

    def __init__(self, voxels: Voxels, truth: NDArray[np.bool_], path: Path) -> None:
        self._voxels, self._truth, self._path = voxels, truth, path
        kept = np.fromfile(path, RECORD) if path.is_file() else np.empty(0, RECORD)
        self._known = dict(zip(kept["mask"].tolist(), kept["distance"].tolist(), strict=True))
        self._kept = len(kept)
        self._to_truth: TruthDistances | None = None

    def to(self, mask: NDArray[np.bool_]) -> float:
        """A mask's normalised distance, 0..1; 1 where one side is empty, NaN where both are."""
        digest = int.from_bytes(blake2b(np.packbits(mask).data, digest_size=8).digest(), "little")
        if digest not in self._known:
            self._known[digest] = self._measured(mask)
        return float(self._known[digest])

    def keep(self) -> None:
        """Write down what was measured since the last time."""
        new = list(self._known.items())[self._kept :]
        if new:
            with self._path.open("ab") as stream:
                stream.truncate(self._kept * RECORD.itemsize)  # a killed run may have left half a record
                stream.write(np.array(new, RECORD).tobytes())
            self._kept += len(new)

    def _measured(self, mask: NDArray[np.bool_]) -> float:
        if not self._truth.any():
            return 1.0 if mask.any() else math.nan
        if self._to_truth is None:
            step = normal_step(self._voxels.shape, UwmgiOptions(), self._voxels.spacing_mm)
            self._to_truth = TruthDistances(self._truth, tuple(step))
        return min(self._to_truth.to(mask), 1.0)
