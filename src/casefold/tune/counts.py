"""Statistics of one class of one scan at points of the search; each is exact, none depends on what else is searched."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casefold.config.postprocess import StepConfig
from casefold.ensemble import combine_class
from casefold.metrics import dice_of
from casefold.postprocess import STEPS, hysteresis
from casefold.postprocess.part import Part
from casefold.tune.distances import Distances
from casefold.tune.objective import STATS, Floats
from casefold.tune.voxels import Bytes, Voxels, distances_path, load_voxels

LEVELS = 256


@dataclass(frozen=True)
class Mix:
    """How members are combined: whole weights in the order of the members, and of what the mean is."""

    weights: tuple[int, ...]
    average: str = "probabilities"

    def reduced(self) -> "Mix":
        """The same mix in the smallest numbers; of a single member the kind of mean makes no difference."""
        divisor = math.gcd(*self.weights) or 1
        alone = sum(weight > 0 for weight in self.weights) == 1
        return Mix(tuple(weight // divisor for weight in self.weights), "probabilities" if alone else self.average)


@dataclass(frozen=True)
class Point:
    """One class's place in the search: a mix, the gate's level, the mask's level, how far above it a component's peak
    must reach (0: anywhere), and the post-processing."""

    mix: Mix
    gate: int
    level: int
    peak: int = 0
    post: tuple[StepConfig, ...] = ()


def combined(voxels: Voxels, mix: Mix) -> Bytes:
    """The mix's q at each voxel, as the ensemble rounds it."""
    used = [index for index, weight in enumerate(mix.weights) if weight > 0]
    return combine_class([voxels.q[index] for index in used], [mix.weights[index] for index in used], mix.average)


def level_counts(q: Bytes, truth: NDArray[np.bool_], row: NDArray[np.integer], rows: int) -> NDArray[np.int64]:
    """How many voxels of each row (slice) have q >= level, outside the truth and inside: int64 (row, 2, 256).

    row: of each voxel, ascending. One histogram of a row gives every level: Dice at level l is
    2 inside[l] / (inside[l] + outside[l] + inside[0]).
    """
    code = np.left_shift(truth, 8, dtype=np.uint16)
    code |= q
    edges = np.searchsorted(row, np.arange(rows + 1, dtype=row.dtype)).tolist()
    histogram = np.empty((rows, 2 * LEVELS), np.int64)
    for counted, (start, stop) in zip(histogram, pairwise(edges), strict=True):
        counted[:] = np.bincount(code[start:stop], minlength=2 * LEVELS)
    return histogram.reshape(rows, 2, LEVELS)[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]


def plain_tables(path: Path, wanted: Sequence[tuple[int, Mix, tuple[int, ...]]], levels: Sequence[int]) -> list[Floats]:
    """Statistics of a scan at every gate level and mask level, without peaks and post-processing, for each class's
    number, mix and gate levels: (gate, level, STATS), no distance."""
    voxels = {c: load_voxels(path, c) for c in dict.fromkeys(c for c, _, _ in wanted)}
    return [_plain_table(voxels[c], mix, gates, levels) for c, mix, gates in wanted]


def _plain_table(voxels: Voxels, mix: Mix, gates: Sequence[int], levels: Sequence[int]) -> Floats:
    q, truth, row = combined(voxels, mix), voxels.truth, voxels.row
    if not voxels.counted.all():
        q, truth, row = q[voxels.counted], truth[voxels.counted], row[voxels.counted]
    above = level_counts(q, truth, row, voxels.shape[0])
    false, both, labelled = above[:, 0, levels], above[:, 1, levels], above[:, 1, :1]
    total = both + false + labelled
    passed = (voxels.signal >= np.asarray(gates)[:, None]).astype(np.float64)  # (gate, z)
    dice = np.where(total > 0, 2 * both / np.maximum(total, 1), 0.0)
    table = np.full((len(gates), len(levels), len(STATS)), np.nan)
    table[..., 0] = passed @ dice
    table[..., 1] = (labelled > 0).sum() + passed @ ((labelled == 0) & (total > 0))
    table[..., 2] = passed @ both
    table[..., 3] = labelled.sum()
    table[..., 4] = passed @ (both + false)
    return table


def mask_stats(path: Path, c: int, point: Point, with_distance: bool) -> Floats:
    """Statistics of one class of one scan at one point, from the mask itself: (STATS,); distance NaN where not asked
    for or not scored."""
    return np.asarray(masks_stats(path, [(c, point)], with_distance)[0])


def masks_stats(path: Path, wanted: Sequence[tuple[int, Point]], with_distance: bool) -> Floats:
    """`mask_stats` of several points of a scan, each with its class's number: (point, STATS)."""
    found = np.empty((len(wanted), len(STATS)))
    for c in dict.fromkeys(c for c, _ in wanted):
        at = [number for number, (other, _) in enumerate(wanted) if other == c]
        found[at] = _class_stats(path, c, [wanted[number][1] for number in at], with_distance)
    return found


def _class_stats(path: Path, c: int, points: Iterable[Point], with_distance: bool) -> Floats:
    voxels = load_voxels(path, c)
    truth = voxels.truth & voxels.counted
    ignored = None if voxels.counted.all() else voxels.place[~voxels.counted]
    labelled = voxels.by_slice(truth)
    distances = Distances(voxels, truth, distances_path(path, c))
    mixed: dict[Mix, Bytes] = {}
    rows = []
    for point in points:
        if point.mix not in mixed:
            mixed[point.mix] = combined(voxels, point.mix)
        mask = build_mask(voxels, mixed[point.mix], point)
        if ignored is not None:
            mask.reshape(-1)[ignored] = False
        found = np.zeros_like(labelled)
        found[voxels.box[0]] = [np.count_nonzero(plane) for plane in mask]
        both = voxels.by_slice(mask.reshape(-1)[voxels.place] & truth)
        by_slice = dice_of(np.stack([both, labelled, found], axis=-1))
        known = ~np.isnan(by_slice)
        distance = distances.to(mask) if with_distance else math.nan
        rows.append([by_slice[known].sum(), known.sum(), both.sum(), labelled.sum(), found.sum(), distance])
    distances.keep()
    return np.array(rows)


def build_mask(voxels: Voxels, q: Bytes, point: Point) -> NDArray[np.bool_]:
    """The mask of one class of one scan, bool (z, y, x) of the voxels' box: gate, level and peak, post-processing.

    q: the point's mix of the members.
    """
    if point.peak:
        passed = (voxels.signal >= point.gate)[None, voxels.box[0]]
        peak = min(point.level + point.peak, LEVELS - 1)
        masks = hysteresis(voxels.boxed(q)[None], [point.level], [peak], passed)
    else:
        chosen = q >= point.level
        if point.gate:
            chosen &= voxels.passed(point.gate)
        masks = voxels.boxed(chosen)[None]
    part = Part(masks, ("",), voxels.box, voxels.shape, voxels.spacing_mm)
    for step in point.post:
        STEPS[step.name](part, step)
    return np.asarray(masks[0], np.bool_)
