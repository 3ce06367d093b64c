"""Statistics of one class of one scan at points of the search; each is exact, none depends on what else is searched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casefold.config.postprocess import StepConfig
from casefold.ensemble import combine_class
from casefold.metrics import dice_by_slice, uwmgi_score
from casefold.postprocess import apply, hysteresis
from casefold.tune.objective import STATS, Floats
from casefold.tune.voxels import Bytes, Voxels, load_voxels

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


def level_counts(q: Bytes, truth: NDArray[np.bool_], row: NDArray[np.int32], rows: int) -> NDArray[np.int64]:
    """How many voxels of each row (slice) have q >= level, outside the truth and inside: int64 (row, 2, 256).

    One histogram gives every level: Dice at level l is 2 inside[l] / (inside[l] + outside[l] + inside[0]).
    """
    code = q + np.int32(LEVELS) * truth + np.int32(2 * LEVELS) * row.astype(np.int32)
    histogram = np.bincount(code, minlength=2 * LEVELS * rows).reshape(rows, 2, LEVELS)
    return histogram[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]


def plain_table(path: Path, c: int, mix: Mix, gates: Sequence[int], levels: Sequence[int]) -> Floats:
    """Statistics of one class of one scan at every gate level and mask level, without peaks and post-processing:
    (gate, level, STATS), no distance."""
    voxels = load_voxels(path, c)
    counted = voxels.counted
    above = level_counts(combined(voxels, mix)[counted], voxels.truth[counted], voxels.row[counted], voxels.shape[0])
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
    voxels = load_voxels(path, c)
    mask = build_mask(voxels, point)
    truth = voxels.mask(voxels.truth & voxels.counted)
    if not voxels.counted.all():
        mask &= ~voxels.mask(~voxels.counted)
    by_slice, distance = dice_by_slice(truth, mask), math.nan
    if with_distance:
        distance = float(uwmgi_score(truth[None], mask[None], spacing_mm=voxels.spacing_mm).distances[0])
    known = ~np.isnan(by_slice)
    both, labelled, found = (int(np.count_nonzero(part)) for part in (truth & mask, truth, mask))
    return np.array([by_slice[known].sum(), known.sum(), both, labelled, found, distance])


def build_mask(voxels: Voxels, point: Point) -> NDArray[np.bool_]:
    """The mask of one class of one scan, bool (z, y, x): gate, level and peak, post-processing."""
    q = combined(voxels, point.mix)
    q[(voxels.signal < point.gate)[voxels.row]] = 0
    if point.peak:
        maps = np.zeros((1, *voxels.shape), np.uint8)
        maps.reshape(-1)[voxels.index] = q
        masks = hysteresis(maps, [point.level], [min(point.level + point.peak, LEVELS - 1)])
    else:
        masks = voxels.mask(q >= point.level)[None]
    whole = apply(masks, point.post, ("",), spacing_mm=voxels.spacing_mm) if point.post else masks
    return np.asarray(whole[0], np.bool_)
