"""Dice of every slice and class at all 255 levels: from one histogram, and by a mask for each level.

python benchmarks/threshold_speed.py; one scan of 3 classes on 144 x 266 x 266, made up as in tune_scale.py. CPU-seconds
of one thread, the quickest of several rounds for both; what they find has to be equal bit for bit.
"""

from collections.abc import Callable
from time import process_time

import numpy as np
from numpy.typing import NDArray

from casefold.tune.counts import LEVELS, level_counts
from tune_scale import CLASSES, planned, simulate

SHAPE = (144, 266, 266)
Dice = NDArray[np.float64]


def dice(both: NDArray[np.int64], total: NDArray[np.int64]) -> Dice:
    """Dice of counts; NaN where truth and prediction are empty."""
    return np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)


def naive(maps: NDArray[np.uint8], truth: NDArray[np.bool_]) -> Dice:
    """A mask and its sums for every level: (level, class, z)."""
    labelled = truth.sum(axis=(2, 3))
    found = []
    for level in range(1, LEVELS):
        mask = maps >= level
        found.append(dice((mask & truth).sum(axis=(2, 3)), mask.sum(axis=(2, 3)) + labelled))
    return np.stack(found)


def one_pass(maps: NDArray[np.uint8], truth: NDArray[np.bool_]) -> Dice:
    """The same from a histogram of each slice."""
    rows = maps.shape[0] * maps.shape[1]
    row = np.repeat(np.arange(rows, dtype=np.uint16), maps[0, 0].size)
    above = level_counts(maps.reshape(-1), truth.reshape(-1), row, rows)
    false, both, labelled = above[:, 0, 1:], above[:, 1, 1:], above[:, 1, :1]
    return dice(both, both + false + labelled).T.reshape(LEVELS - 1, *maps.shape[:2])


def quickest(work: Callable[[], Dice], rounds: int) -> tuple[float, Dice]:
    """CPU-seconds of the quickest round, and what it found."""
    times = []
    for _ in range(rounds):
        start = process_time()
        found = work()
        times.append(process_time() - start)
    return min(times), found


def main() -> None:
    """Print both times and their ratio."""
    truth, maps, _ = simulate(next(scan for scan in planned() if scan.shape == SHAPE))
    for member, q in maps.items():
        slow, wanted = quickest(lambda q=q: naive(q, truth), 2)  # type: ignore[misc]
        fast, found = quickest(lambda q=q: one_pass(q, truth), 7)  # type: ignore[misc]
        if found.tobytes() != wanted.tobytes():
            raise SystemExit(f"{member}: what comes out differs")
        print(
            f"{member}: {LEVELS - 1} levels of {len(CLASSES)} x {' x '.join(map(str, SHAPE))}: a mask a level "
            f"{slow:.2f} CPU-s, one pass {fast:.3f} CPU-s, {slow / fast:.0f} times as fast; bit for bit equal",
            flush=True,
        )


if __name__ == "__main__":
    main()
