"""The score that will hold: every case scored by what was tuned on the other cases, and differences with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.tune.objective import Floats, interval, value
from casefold.tune.search import INGREDIENTS, Points, Search


@dataclass(frozen=True)
class Fitted:
    """One way of tuning, on all cases and cross-fitted. rows: the objective's, (case, 4), cross-fitted.

    by_case: the points that scored each case, tuned without it.
    """

    points: Points
    tuned: float
    rows: Floats
    cross_fitted: float
    by_case: dict[str, Points]


def partition(cases: Sequence[str], parts: int, seed: int) -> NDArray[np.int64]:
    """Each case's part in cross-fitting: a partition of its own, whatever the members' folds; raises for one case."""
    if len(cases) < 2:
        raise DataError(f"cross-fitting wants at least two cases with OOF, there is {len(cases)}")
    order = np.random.default_rng(seed).permutation(len(cases))
    part = np.empty(len(cases), np.int64)
    part[order] = np.arange(len(cases)) % min(parts, len(cases))
    return part


def fit(
    search: Search, members: Sequence[str] | None = None, use: Iterable[str] = INGREDIENTS, start: Fitted | None = None
) -> Fitted:
    """Tune on all cases, and for each part of the partition on the cases of the others.

    start: go on from what was tuned so, of each part from what was tuned without it.
    """
    use = tuple(use)
    config, names = search.task.config, search.task.case_names
    part = partition(names, config.partition_folds, config.partition_seed)
    points = search.choose(search.everyone, members, use, None if start is None else start.points)
    rows = np.zeros_like(search.rows(points))
    by_case: dict[str, Points] = {}
    for number in np.unique(part):
        held = part == number
        before = None if start is None else start.by_case[names[int(np.flatnonzero(held)[0])]]
        chosen = search.choose(~held, members, use, before)
        rows[held] = search.rows(chosen)[held]
        by_case |= {name: chosen for name, inside in zip(names, held, strict=True) if inside}
    honest = float(value(config.objective, rows.sum(axis=0)))
    return Fitted(points, search.worth(points, search.everyone), rows, honest, by_case)


def difference(search: Search, one: Fitted, other: Fitted) -> tuple[float, float, float]:
    """The cross-fitted objective of one minus the other's, with its paired 95 % bootstrap interval over cases."""
    low, high = interval(search.task.config.objective, one.rows, other.rows)
    return one.cross_fitted - other.cross_fitted, low, high


def forward(search: Search, seconds: Mapping[str, float], budget: float | None) -> list[str]:
    """Members in the order in which greedy forward selection takes them: each the one that gains most beside those
    before it, as long as it gains and the seconds a scan stay within the budget.

    The gain is of tables alone (no distances), with equal weights and one level. Raises DataError where no member fits
    the budget.
    """
    chosen: list[str] = []
    best = -1.0
    while len(chosen) < len(search.task.members):
        spent = sum(seconds[name] for name in chosen)
        left = [name for name in search.task.members if name not in chosen]
        if budget is not None:
            left = [name for name in left if spent + seconds[name] <= budget]
        worths = {name: search.cheap_equal_worth((*chosen, name), search.everyone) for name in left}
        if not worths or max(worths.values()) <= best:
            break
        best = max(worths.values())
        chosen.append(next(name for name in left if worths[name] == best))
    if not chosen:
        cheapest = min(seconds[name] for name in search.task.members)
        raise DataError(f"tune.seconds_a_scan: {budget} is less than the fastest member takes, {cheapest:.3g} s a scan")
    return chosen
