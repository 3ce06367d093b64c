"""The score that will hold: every case scored by what was tuned on the other cases, and differences with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.tune.objective import Floats, interval, value
from casefold.tune.search import INGREDIENTS, Points, Search
from casefold.tune.together import SharedMemory


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


@dataclass(frozen=True)
class Way:
    """A way of tuning: with which members (None: all), with which ingredients, and what it goes on from."""

    members: Sequence[str] | None = None
    use: tuple[str, ...] = INGREDIENTS
    start: Fitted | None = None


def fit(search: Search, ways: Mapping[str, Way]) -> dict[str, Fitted]:
    """Tune each way on all cases, and for each part of the partition on the cases of the others, all side by side."""
    names, config = search.task.case_names, search.task.config
    part = partition(names, config.partition_folds, config.partition_seed)
    held = [np.zeros(len(names), np.bool_), *(part == number for number in np.unique(part))]
    shared = SharedMemory(search.memory)
    searching = replace(search, memory=shared)
    chosen = shared.side_by_side(
        [
            partial(searching.choose, ~out, way.members, way.use, _start(way, names, out))
            for way in ways.values()
            for out in held
        ]
    )
    return {
        name: _fitted(search, chosen[at * len(held)], held[1:], chosen[at * len(held) + 1 : (at + 1) * len(held)])
        for at, name in enumerate(ways)
    }


def _start(way: Way, names: Sequence[str], out: NDArray[np.bool_]) -> Points | None:
    """Where a way begins that leaves some cases out: with what was tuned without them."""
    if way.start is None:
        return None
    return way.start.by_case[names[int(np.flatnonzero(out)[0])]] if out.any() else way.start.points


def _fitted(search: Search, points: Points, held: Sequence[NDArray[np.bool_]], chosen: Sequence[Points]) -> Fitted:
    """held: of each part the cases, bool (case,). chosen: of each part what was tuned without it."""
    names = search.task.case_names
    rows = np.zeros_like(search.rows(points))
    by_case: dict[str, Points] = {}
    for out, own in zip(held, chosen, strict=True):
        rows[out] = search.rows(own)[out]
        by_case |= {name: own for name, inside in zip(names, out, strict=True) if inside}
    honest = float(value(search.task.config.objective, rows.sum(axis=0)))
    return Fitted(points, search.worth(points, search.everyone), rows, honest, by_case)


def difference(search: Search, one: Fitted, other: Fitted, level: float = 0.95) -> tuple[float, float, float]:
    """The cross-fitted objective of one minus the other's, with its paired bootstrap interval over cases."""
    low, high = interval(search.task.config.objective, one.rows, other.rows, level)
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
