"""What is wrong from slice to slice: brightness that jumps, and slices that do not fit between their neighbours."""

import numpy as np
from numpy.typing import NDArray

from casefold.check.findings import Finding, on_slices
from casefold.check.overview import Bools, Overview
from casefold.check.table import DARKEST, FULL_SLICE, PIXELS, SIGNAL
from casefold.core import Scan


def jumps(scan: Scan, seen: Overview, sound: Bools) -> list[Finding]:
    """Slices brighter or darker than both neighbours, and steps to another brightness. sound: (z,), what to look at."""
    limits, depth = PIXELS["intensity jump"].limits, len(seen.image)
    full, pairs = _full(seen, sound), seen.follows & sound[1:] & sound[:-1]
    signal = seen.image > seen.air + SIGNAL * (seen.bright - seen.air)
    step = np.array([_log_ratio(seen, z, z + 1, signal[z] & signal[z + 1]) for z in range(depth - 1)])
    spread = _spread(step[pairs & np.isfinite(step)])
    alone: dict[int, float] = {}
    steps: dict[int, float] = {}
    for z in range(1, depth - 1):
        if pairs[z - 1 : z + 1].all() and full[z - 1] and full[z + 1] and _alike(seen, z - 1, z + 1):
            both = seen.tissue[z - 1] & seen.tissue[z + 1]
            before, after = _log_ratio(seen, z - 1, z, both), _log_ratio(seen, z + 1, z, both)
            least = max(limits["log_alone"], limits["spreads"] * spread, 2 * abs(before - after))
            if min(before, after) > least or max(before, after) < -least:
                alone[z] = float(np.exp((before + after) / 2))
    for z in range(1, depth - 2):
        if pairs[z - 1 : z + 2].all() and (full[z - 1 : z + 1].all() or full[z + 1 : z + 3].all()):
            usual = limits["step_times"] * max(abs(step[z - 1]), abs(step[z + 1]))
            least = max(limits["log_step"], limits["spreads"] * spread, usual)
            if abs(step[z]) > least and _alike(seen, z, z + 1):
                steps[z + 1] = float(np.exp(step[z]))
    return on_slices(
        "intensity jump", scan, alone, "{:.2f} times as bright as the slices before and after"
    ) + on_slices("intensity jump", scan, steps, "from here on {:.2f} times as bright as the slice before")


def motion(scan: Scan, seen: Overview, sound: Bools) -> list[Finding]:
    """Slices whose neighbours are more like each other than like them."""
    limits, full = PIXELS["motion"].limits, _full(seen, sound)
    less: dict[int, float] = {}
    for z in range(1, len(seen.image) - 1):
        if full[z - 1 : z + 2].all() and seen.follows[z - 1 : z + 1].all() and _alike(seen, z - 1, z + 1):
            before, here, after = seen.image[z - 1 : z + 2]
            apart = correlation(before, after) - max(correlation(before, here), correlation(here, after))
            if apart > limits["correlation"]:
                less[z] = apart
    return on_slices("motion", scan, less, "correlates less with its neighbours than they with each other, by {:.2f}")


def correlation(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Pearson's, of two slices; 0 where one is constant."""
    a, b = one - one.mean(), two - two.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _alike(seen: Overview, one: int, two: int) -> bool:
    return correlation(seen.image[one], seen.image[two]) >= PIXELS["motion"].limits["neighbours"]


def _full(seen: Overview, sound: Bools) -> Bools:
    area = seen.tissue.sum(axis=(1, 2))
    return sound & (area >= FULL_SLICE * np.median(area[sound])) if sound.any() else sound


def _log_ratio(seen: Overview, one: int, two: int, where: Bools) -> float:
    """The logarithm of how much brighter slice `two` is than `one`, the median of the pixels; NaN where none is.

    A median, because another gain changes all of the pixels, and another place (the lungs begin) only some.
    """
    least = DARKEST * (seen.bright - seen.air)
    if not where.any() or least <= 0:
        return float("nan")
    levels = [np.maximum(seen.image[z][where] - seen.air, least) for z in (one, two)]
    return float(np.median(np.log(levels[1] / levels[0])))


def _spread(values: NDArray[np.float64]) -> float:
    """The median absolute deviation, scaled to a normal distribution's standard deviation; 0 of nothing."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else 0.0
