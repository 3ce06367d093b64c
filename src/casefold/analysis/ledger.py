"""Where the score is lost: what it gains when one kind of error after another is repaired, in a fixed order."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.analysis.measure import Measure, cut
from casefold.config.ensembles import Objective
from casefold.core import DataError, Triple
from casefold.metrics import Mask
from casefold.metrics.overlap import check_masks
from casefold.postprocess import label
from casefold.postprocess.part import smallest_box
from casefold.tune.objective import Floats, columns, value

Repair = Callable[[Mask, Mask, Mask | None], Mask]


@dataclass(frozen=True)
class Entry:
    """A repair's gain in score. part: done after those before it. alone: done by itself. Exact numbers, so that the
    parts of a ledger sum to what is missing; negative where the repair costs score."""

    repair: str
    part: Fraction
    alone: Fraction


def ledger(
    truth: Mask, found: Mask, ungated: Mask | None, worth: Callable[[Mask, Mask], float], best: float = 1.0
) -> list[Entry]:
    """The gain of each of REPAIRS in one scan; parts sum to best - worth(truth, found) exactly.

    Masks (class, z, y, x). ungated: what is found without the gate; None where there is no gate, and then the gate
    repairs nothing. worth: any score with worth(truth, truth) = best; a state in which nothing is scored (NaN) has lost
    nothing. A repair can cost score, as a Hausdorff distance may grow when one of two errors is taken away.
    """
    return entries(states(truth, found, ungated, lambda mask: np.float64(worth(truth, mask))), best)


def states(truth: Mask, found: Mask, ungated: Mask | None, measure: Callable[[Mask], Any]) -> Floats:
    """What `measure` gives of the masks, (2, 1 + repairs, ...): first as they are, then repaired.

    The first row: after each repair, done on what those before it left; the second: after that repair alone.
    """
    for mask in (found, ungated):
        if mask is not None:
            check_masks(truth, mask)
    start = measure(found)
    now, after, alone = found, [start], [start]
    for name, repair in REPAIRS.items():
        now = truth if name == LAST else repair(truth, now, ungated)
        after.append(measure(now))
        alone.append(measure(repair(truth, found, ungated)))
    return np.array([after, alone], np.float64)


def scan_states(
    truth: Mask, found: Mask, ungated: Mask | None, shape: Sequence[int], spacing_mm: Triple | None = None
) -> Floats:
    """`states` of one scan of `shape` (z, y, x) in statistics that add up: (2, 1 + repairs, class, STATS)."""
    given = [truth, found] if ungated is None else [truth, found, ungated]
    _, (inner, own, *rest) = cut(*given)
    return states(inner, own, rest[0] if rest else None, Measure(inner, shape, spacing_mm))


def pooled_ledger(objective: Objective, scans: Floats, case_of: NDArray[np.int64], best: float = 1.0) -> list[Entry]:
    """The ledger of several scans' objective. scans: of `scan_states`, (scan, 2, 1 + repairs, class, STATS).

    case_of: the case's number of each scan. A part of the classes, or one scan alone, gives that part's own ledger.
    """
    rows = columns(objective, list(np.moveaxis(scans, -2, 0)), case_of)
    return entries(value(objective, rows.sum(axis=0)), best)


def entries(worths: Floats, best: float = 1.0) -> list[Entry]:
    """The ledger of scores (2, 1 + repairs) in the order of `states`; NaN counts as `best`.

    Raises DataError where the truth itself does not score `best`.
    """
    after, alone = ([Fraction(best if math.isnan(x) else x) for x in row] for row in np.asarray(worths).tolist())
    if after[-1] != Fraction(best):
        raise DataError(f"the truth scores {float(after[-1])}, not {best}; give the ledger the best score there is")
    return [Entry(name, after[n] - after[n - 1], alone[n] - alone[0]) for n, name in enumerate(REPAIRS, start=1)]


def ledger_frame(found: Sequence[Entry]) -> pd.DataFrame:
    """A row a repair: repair, part, alone, as floats."""
    rows = [(entry.repair, float(entry.part), float(entry.alone)) for entry in found]
    return pd.DataFrame(rows, columns=["repair", "part", "alone"])


def gate_misses(truth: Mask, now: Mask, ungated: Mask | None) -> Mask:
    """A class that the gate closed on a slice where the truth has it comes back as it was found."""
    if ungated is None:
        return now
    closed = _on(truth) & _on(ungated) & ~_on(now)
    mended = now.copy()
    mended[closed] = ungated[closed]
    return mended


def gate_false_alarms(truth: Mask, now: Mask, ungated: Mask | None) -> Mask:
    """A class found on a slice where the truth has none of it is emptied there, as a perfect gate would."""
    if ungated is None:
        return now
    mended = now.copy()
    mended[~_on(truth)] = False
    return mended


def extent(truth: Mask, now: Mask, ungated: Mask | None) -> Mask:
    """Slices beyond the truth's first and last are emptied; those at its ends where nothing was found are filled.

    A slice that is mostly another class's is left to the swaps. A class that the truth lacks has no ends.
    """
    mended, anything = now.copy(), np.asarray(truth.any(axis=0))
    labelled, found = _on(truth), _on(now)
    for c in range(len(truth)):
        there = np.flatnonzero(labelled[c])
        if not there.size:
            continue
        for z in np.flatnonzero(found[c]):
            if not there[0] <= z <= there[-1] and _half(now[c, z], anything[z]):
                mended[c, z] = False
        for run in (there, there[::-1]):
            for z in run[: int(found[c, run].argmax()) if found[c, run].any() else len(run)]:
                if _half(truth[c, z], np.any(now[:, z] & ~truth[:, z], axis=0)):
                    mended[c, z] = truth[c, z]
    return mended


def swaps(truth: Mask, now: Mask, ungated: Mask | None) -> Mask:
    """Voxels found as one class where the truth is only another are moved to that."""
    wrong = now & ~truth & truth.any(axis=0)
    return np.asarray((now & ~wrong) | (truth & wrong.any(axis=0)))


def strays(truth: Mask, now: Mask, ungated: Mask | None) -> Mask:
    """3D components (26 neighbours) that meet no voxel of the truth are dropped."""
    return now & ~_stray(truth, now)


def boundary(truth: Mask, now: Mask, ungated: Mask | None) -> Mask:
    """On slices that both have, a class becomes the truth, but for stray components and voxels that are swapped.

    As the last repair it takes all that is left, slices within a run on which nothing was found too.
    """
    wrong = now & ~truth & truth.any(axis=0)
    left = wrong | (truth & wrong.any(axis=0)) | _stray(truth, now)
    left[~(_on(truth) & _on(now))] = True
    return np.where(left, now, truth)


REPAIRS: dict[str, Repair] = {
    "gate misses": gate_misses,
    "gate false alarms": gate_false_alarms,
    "extent along z": extent,
    "class swaps": swaps,
    "stray components": strays,
    "boundary": boundary,
}
LAST = "boundary"  # in its turn it repairs whatever is left


def _on(masks: Mask) -> NDArray[np.bool_]:
    """Which classes are on which slices, (class, z)."""
    return np.asarray(masks.reshape(*masks.shape[:2], -1).any(axis=2))


def _half(part: Mask, other: Mask) -> bool:
    """Whether no more than half of a slice's voxels are also of the other mask."""
    return bool(2 * np.count_nonzero(part & other) <= np.count_nonzero(part))


def _stray(truth: Mask, now: Mask) -> Mask:
    found = np.zeros_like(now)
    for c, mask in enumerate(now):
        if (box := smallest_box(mask)) is not None:
            numbers = label(mask[box])
            meets = np.zeros(int(numbers.max()) + 1, np.bool_)
            meets[numbers[truth[c][box]]] = True
            meets[0] = True
            found[c][box] = ~meets[numbers]
    return found
