"""Statistics of one class of one scan at points of the search; each is exact, none depends on what else is searched."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

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
K = TypeVar("K", bound=Hashable)


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


def _class_stats(path: Path, c: int, points: Sequence[Point], with_distance: bool) -> Floats:
    voxels = load_voxels(path, c)
    truth = voxels.boxed(voxels.truth & voxels.counted)
    ignored = None if voxels.counted.all() else voxels.boxed(~voxels.counted)
    labelled = voxels.by_slice(truth)
    distances = Distances(voxels, truth, distances_path(path, c))
    rows = np.empty((len(points), len(STATS)))
    for mix, of_mix in _alike(range(len(points)), lambda at: points[at].mix).items():
        q = voxels.boxed(combined(voxels, mix))
        for plain, of_plain in _alike(of_mix, lambda at: replace(points[at], post=())).items():
            found = plain_mask(voxels, q, plain)
            for at in of_plain:
                mask = posted(voxels, found, points[at].post)
                if ignored is not None:
                    mask = mask & ~ignored
                predicted, both = voxels.by_slice(mask), voxels.by_slice(mask & truth)
                by_slice = dice_of(np.stack([both, labelled, predicted], axis=-1))
                known = ~np.isnan(by_slice)
                distance = distances.to(mask) if with_distance else math.nan
                sums = both.sum(), labelled.sum(), predicted.sum()
                rows[at] = by_slice[known].sum(), known.sum(), *sums, distance
    distances.keep()
    return rows


def _alike(places: Iterable[int], what: Callable[[int], K]) -> dict[K, list[int]]:
    """The places of which `what` is the same, together."""
    found: dict[K, list[int]] = {}
    for at in places:
        found.setdefault(what(at), []).append(at)
    return found


def plain_mask(voxels: Voxels, q: Bytes, point: Point) -> NDArray[np.bool_]:
    """The mask of one class of one scan before post-processing, bool (z, y, x) of the voxels' box: gate, level, peak.

    q: the point's mix of the members in that box.
    """
    passed = (voxels.signal >= point.gate)[voxels.box[0]]
    if point.peak:
        peak = min(point.level + point.peak, LEVELS - 1)
        return np.asarray(hysteresis(q[None], [point.level], [peak], passed[None])[0], np.bool_)
    mask = np.asarray(q >= point.level, np.bool_)
    mask[~passed] = False
    return mask


def posted(voxels: Voxels, mask: NDArray[np.bool_], steps: Sequence[StepConfig]) -> NDArray[np.bool_]:
    """The mask after these steps; it is left as it was."""
    if not steps:
        return mask
    part = Part(mask[None].copy(), ("",), voxels.box, voxels.shape, voxels.spacing_mm)
    for step in steps:
        STEPS[step.name](part, step)
    return np.asarray(part.masks[0], np.bool_)
