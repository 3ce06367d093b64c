"""What masks of one scan score, in statistics that add up over scans; each different mask is measured once."""

import math
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from casefold.core import Triple
from casefold.metrics import Mask, TruthDistances, UwmgiOptions, dice_of, normal_step, overlap_by_slice
from casefold.postprocess.part import Box, common_box
from casefold.tune.objective import STATS, Floats


def cut(*masks: Mask) -> tuple[Box, list[Mask]]:
    """The smallest box (z, y, x) round all voxels of several masks (class, z, y, x), and the masks inside it.

    Where no mask has a voxel, a box of one voxel.
    """
    held = [box for box in map(common_box, masks) if box[0].stop] or [(slice(0, 1),) * 3]
    z, y, x = (slice(min(one.start for one in side), max(one.stop for one in side)) for side in zip(*held, strict=True))
    return (z, y, x), [np.ascontiguousarray(mask[:, z, y, x]) for mask in masks]


class Measure:
    """Measures masks against one truth: a mask (class, z, y, x) gives float64 (class, STATS), as tune counts them.

    truth: of a scan of `shape` (z, y, x), cut out of it or whole; masks must be cut alike. The distance is the
    UW-Madison score's, 0..1, normalised by `shape`: 1 where one side is empty, NaN where both are.
    """

    def __init__(self, truth: Mask, shape: Sequence[int], spacing_mm: Triple | None = None) -> None:
        step = normal_step(tuple(shape), UwmgiOptions(), spacing_mm)
        self._truth = truth
        self._distances = [TruthDistances(own, tuple(step)) for own in truth]
        self._known: dict[tuple[int, bytes], Floats] = {}

    def __call__(self, mask: Mask) -> Floats:
        return np.stack([self._of_class(c, own) for c, own in enumerate(mask)])

    def _of_class(self, c: int, mask: Mask) -> Floats:
        key = c, blake2b(np.packbits(mask).data, digest_size=8).digest()
        if key not in self._known:
            counts = overlap_by_slice(self._truth[c], mask)
            by_slice, (both, labelled, found) = dice_of(counts), counts.sum(axis=0)
            distance = math.nan if not labelled + found else min(self._distances[c].to(mask), 1.0)
            known = ~np.isnan(by_slice)
            self._known[key] = np.array([by_slice[known].sum(), known.sum(), both, labelled, found, distance])
        return self._known[key]


def dice_of_stats(stats: Floats) -> Floats:
    """3D Dice of statistics (..., STATS); NaN where truth and mask are empty."""
    both, truth, predicted = (stats[..., STATS.index(name)] for name in ("both", "truth", "predicted"))
    total = truth + predicted
    return np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)
