"""Curves over levels: Dice, precision and recall of a presence signal, calibration; and which classes a slice has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from casefold.analysis.voxels import FLOOR, ClassVoxels
from casefold.core import DataError
from casefold.metrics import dice_of, nan_mean
from casefold.tune.counts import LEVELS, level_counts
from casefold.tune.objective import STATS, Floats

Counts = NDArray[np.int64]


def above_levels(voxels: Sequence[ClassVoxels], member: int) -> Counts:
    """How many voxels have q >= level outside the truth and inside: int64 (class, z, 2, 256), for one of the maps.

    Outside the truth a q below FLOOR counts as 0.
    """
    counts = []
    for own in voxels:
        depth = len(own.counted)
        row = np.repeat(np.arange(depth), np.diff(own.edges))
        above = level_counts(own.q[member], own.truth, row, depth)
        above[:, 0, 1 : FLOOR + 1] = above[:, 0, FLOOR, None]
        above[:, 0, 0] = own.counted - above[:, 1, 0]
        counts.append(above)
    return np.stack(counts)


def sweep_stats(above: Counts, passed: NDArray[np.bool_] | None = None) -> Floats:
    """Statistics of one scan at every level, as tune counts them, float64 (class, 256, STATS), without a distance.

    above: of `above_levels`. passed: bool (class, z), the slices that the gate leaves open. Below FLOOR: NaN.
    """
    labelled = np.broadcast_to(above[:, :, 1, :1], above[:, :, 1].shape)
    both, false = above[:, :, 1], above[:, :, 0]
    if passed is not None:
        both, false = both * passed[..., None], false * passed[..., None]
    dice = dice_of(np.stack([both, labelled, both + false], axis=-1))  # (class, z, 256)
    known = ~np.isnan(dice)
    stats = np.full((len(above), LEVELS, len(STATS)), np.nan)
    parts = np.where(known, dice, 0.0), known, both, labelled, both + false
    for number, part in enumerate(parts):
        stats[:, FLOOR:, number] = part.sum(axis=1)[:, FLOOR:]
    return stats


def sweep(scans: Sequence[Floats], classes: Sequence[str]) -> pd.DataFrame:
    """A row a class and level: dice_scan, the mean of the scans' 3D Dice, and dice_slice, of all slices at once.

    scans: of `sweep_stats`. Levels from FLOOR to 255.
    """
    whole = np.stack(scans)[:, :, FLOOR:]
    slice_dice, slices, both, truth, predicted = np.moveaxis(whole[..., :5], -1, 0)
    total = truth + predicted
    by_scan = np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)
    count = slices.sum(axis=0)
    by_slice = np.where(count > 0, slice_dice.sum(axis=0) / np.maximum(count, 1), np.nan)
    levels = np.arange(FLOOR, LEVELS)
    names = np.repeat(list(classes), len(levels))
    return pd.DataFrame(
        {
            "class": names,
            "level": np.tile(levels, len(classes)),
            "dice_scan": np.asarray(nan_mean(by_scan, axis=0)).ravel(),
            "dice_slice": by_slice.ravel(),
        }
    )


def q_histogram(above: Counts) -> Counts:
    """How many voxels of a scan have each q, outside the truth and inside: int64 (class, 2, 256); adds over scans."""
    whole = above.sum(axis=1)
    whole[..., :-1] -= whole[..., 1:].copy()
    return np.asarray(whole)


def calibration(histogram: Counts, bins: int = 10) -> pd.DataFrame:
    """What a probability is worth, a row a bin of equal width: low, high, said (mean q / 255), true (share in the
    truth), voxels. NaN in an empty bin.

    histogram: (2, 256), of `q_histogram`, one class or several summed. The lowest bin holds all of the background.
    """
    q = np.arange(LEVELS)
    which = np.minimum(q * bins // (LEVELS - 1), bins - 1)
    voxels = np.bincount(which, histogram.sum(axis=0), bins)
    said = np.bincount(which, histogram.sum(axis=0) * (q / (LEVELS - 1)), bins)
    true = np.bincount(which, histogram[1], bins)
    shares = [np.where(voxels > 0, part / np.maximum(voxels, 1), np.nan) for part in (said, true)]
    edges = np.arange(bins + 1) / bins
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "said": shares[0], "true": shares[1], "voxels": voxels.astype(np.int64)}
    )


def calibration_error(table: pd.DataFrame) -> float:
    """The mean gap between what is said and what is true, over the voxels of all bins but the lowest; NaN of none."""
    inner = table[1:].loc[lambda rows: rows["voxels"] > 0]
    total = inner["voxels"].sum()
    return float(((inner["said"] - inner["true"]).abs() * inner["voxels"]).sum() / total) if total else float("nan")


def gate_curve(signal: NDArray[np.integer], there: NDArray[np.bool_]) -> pd.DataFrame:
    """Precision and recall of `signal >= level` against the truth, a row a level that changes something, descending.

    Columns: level, recall, precision, false_alarms (the share of the slices without truth that pass). signal, there: of
    any shape, one a slice. The first row passes nothing: precision 1, recall 0. NaN where there is no truth, or no
    slice without.
    """
    if signal.shape != there.shape:
        raise DataError(f"a signal of shape {signal.shape} for slices of shape {there.shape}; wanted one a slice")
    order = np.argsort(-signal.ravel().astype(np.int64), kind="stable")
    values, hits = signal.ravel()[order].astype(np.int64), there.ravel()[order]
    last = np.flatnonzero(np.diff(values, append=values[-1:] - 1))
    right, passed = np.cumsum(hits)[last], last + 1
    recall = _share(right, int(hits.sum()))
    alarms = _share(passed - right, int((~hits).sum()))
    rows = {
        "level": np.concatenate([values[:1] + 1, values[last]]),
        "recall": np.concatenate([recall[:1] * 0, recall]),
        "precision": np.concatenate([[1.0], right / passed]),
        "false_alarms": np.concatenate([alarms[:1] * 0, alarms]),
    }
    return pd.DataFrame(rows)


def areas(curve: pd.DataFrame) -> dict[str, float]:
    """`roc`, the area under recall by false alarms, and `average_precision`, precision summed over steps of recall."""
    recall, precision = curve["recall"].to_numpy(), curve["precision"].to_numpy()
    roc = float(trapezoid(recall, curve["false_alarms"].to_numpy()))
    return {"roc": roc, "average_precision": float((np.diff(recall) * precision[1:]).sum())}


def set_confusion(there: NDArray[np.bool_], found: NDArray[np.bool_], classes: Sequence[str]) -> pd.DataFrame:
    """How many slices have which classes together: a row a set in the truth, a column a set found.

    there, found: bool (class, slice). Sets are named `a + b`, the empty one `none`; those that never occur are left
    out. Fewer classes first.
    """
    sets = [[tuple(np.flatnonzero(slice_).tolist()) for slice_ in side.T] for side in (there, found)]
    known = sorted({own for side in sets for own in side}, key=lambda own: (len(own), own))
    names = [" + ".join(classes[c] for c in own) or "none" for own in known]
    counts = np.zeros((len(known), len(known)), np.int64)
    for one, other in zip(*sets, strict=True):
        counts[known.index(one), known.index(other)] += 1
    return pd.DataFrame(counts, index=list(names), columns=list(names))


def _share(part: NDArray[Any], whole: int) -> Floats:
    return part / whole if whole else np.full(len(part), np.nan)
