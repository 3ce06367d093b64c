"""Is a member what it says? Its predictions are held against the truth as they are, and flipped, shifted or swapped."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from casefold.config.presence import IS_THERE, PresenceTarget
from casefold.core import HALF, Prediction, Scan
from casefold.data.presence import presence_truth
from casefold.metrics import dice_of, overlap

AXES = {"z": 1, "y": 2, "x": 3}
# a slice too far along: the truth's slices, and where their prediction lies then
SHIFTS = {1: (slice(None, -1), slice(1, None)), -1: (slice(1, None), slice(None, -1))}
SCANS = 24  # looked at, spread over all
LEAST_SCANS = 3
# a mean gain, and how likely it may be by luck (one-sided paired t test over scans): a large one needs less proof
PROOFS = ((0.1, 0.01), (0.02, 0.001))


@dataclass
class Suspicions:
    """What was seen so far. gains: by member and fault, how much better each scan gets when the fault is undone.

    targets: what a member's presence says, where that is not that a class is there.
    """

    targets: Mapping[str, PresenceTarget] = field(default_factory=dict)
    gains: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def look(self, scan: Scan, predictions: Mapping[str, Prediction]) -> None:
        """Take in one labelled scan."""
        truth = scan.class_masks()
        for name, prediction in predictions.items():
            if prediction.maps is not None:
                self._note(name, _map_gains(truth, prediction.maps >= HALF, scan.classes))
            elif prediction.presence is not None:
                wanted = presence_truth(scan, self.targets.get(name, IS_THERE))
                self._note(name, _presence_gains(wanted, prediction.presence, scan.classes))

    def found(self) -> dict[str, list[str]]:
        """By member, the faults that undoing would mend on most scans, the largest gain first."""
        by_member: dict[str, list[tuple[float, str]]] = {}
        for (member, fault), values in self.gains.items():
            gain = np.array(values)
            if len(gain) < LEAST_SCANS:
                continue
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            if any(gain.mean() > max(least, stats.t.isf(luck, len(gain) - 1) * error) for least, luck in PROOFS):
                by_member.setdefault(member, []).append((float(gain.mean()), fault))
        return {
            member: [
                f"{fault} (undone, it agrees better by {gain:.3f})" for gain, fault in sorted(faults, reverse=True)
            ]
            for member, faults in sorted(by_member.items())
        }

    def _note(self, member: str, gains: Mapping[str, float]) -> None:
        for fault, gain in gains.items():
            if not np.isnan(gain):
                self.gains.setdefault((member, fault), []).append(gain)


def spread(scans: Sequence[str]) -> list[str]:
    """At most SCANS of the scans, evenly spread."""
    return [scans[at] for at in np.unique(np.linspace(0, len(scans) - 1, min(SCANS, len(scans))).round().astype(int))]


def _map_gains(truth: NDArray[np.bool_], found: NDArray[np.bool_], classes: Sequence[str]) -> dict[str, float]:
    """Gain in Dice (3D, mean over classes) of undoing each fault; NaN where a Dice is not defined."""
    box = _box(truth, found)
    now = _agreement(truth, found)
    gains = {f"axis {name} is flipped": _agreement(truth, np.flip(found, axis)) - now for name, axis in AXES.items()}
    for by, (here, there) in SHIFTS.items():
        gains[f"shifted by {by:+d} slice along z"] = _agreement(truth[:, here], found[:, there]) - _agreement(
            truth[:, here], found[:, here]
        )
    if box is None:
        return gains
    for a, b in itertools.combinations(range(len(classes)), 2):
        pair = truth[[a, b]][(slice(None), *box)]
        straight, swapped = (_agreement(pair, found[order][(slice(None), *box)]) for order in ([a, b], [b, a]))
        gains[f"the classes {classes[a]} and {classes[b]} are swapped"] = swapped - straight
    return gains


def _presence_gains(truth: NDArray[np.bool_], presence: NDArray[np.uint8], classes: Sequence[str]) -> dict[str, float]:
    """The same for presence: gain in the mean agreement 1 - |p - truth| of the slices."""
    p = presence / 255.0

    def agreement(t: NDArray[np.bool_], said: NDArray[np.float64]) -> float:
        return float(1 - np.abs(said - t).mean())

    now = agreement(truth, p)
    gains = {"axis z is flipped": agreement(truth, p[:, ::-1]) - now}
    if truth.shape[1] > 1:
        for by, (here, there) in SHIFTS.items():
            moved, still = (agreement(truth[:, here], p[:, where]) for where in (there, here))
            gains[f"shifted by {by:+d} slice along z"] = moved - still
    for a, b in itertools.combinations(range(len(classes)), 2):
        straight, swapped = agreement(truth[[a, b]], p[[a, b]]), agreement(truth[[a, b]], p[[b, a]])
        gains[f"the classes {classes[a]} and {classes[b]} are swapped"] = swapped - straight
    return gains


def _agreement(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    values = dice_of(overlap(truth, found))
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _box(*masks: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The box in which a mask has voxels, of (z, y, x); None where none has."""
    whole = np.logical_or.reduce([mask.any(axis=0) for mask in masks])
    if not whole.any():
        return None
    sides = [np.flatnonzero(whole.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return tuple(slice(int(side[0]), int(side[-1]) + 1) for side in sides)


def faults(
    scans: Iterable[tuple[Scan, Mapping[str, Prediction]]], targets: Mapping[str, PresenceTarget] | None = None
) -> dict[str, list[str]]:
    """By member, what looks wrong with its predictions on these labelled scans; nothing for members that fit.

    targets: what a member's presence says, where that is not that a class is there.
    """
    seen = Suspicions(targets or {})
    for scan, predictions in scans:
        seen.look(scan, predictions)
    return seen.found()
