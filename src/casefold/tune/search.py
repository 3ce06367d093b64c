"""The search: one ingredient after the other, coordinate by coordinate; what was counted once is never counted again.

Dice at every level comes from histograms; masks are built, and distances taken, only for the few points that these
leave over. Of any set of cases the search reads sums over their rows, so tuning on all cases and on the parts of a
cross-fitting shares one memory.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.ensembles import Tune
from casefold.config.postprocess import StepConfig
from casefold.core import HALF
from casefold.tune.counts import Mix, Point, masks_stats, plain_tables
from casefold.tune.memory import Key, Remembers
from casefold.tune.objective import Floats, columns, gains, value

Points = tuple[Point, ...]
Run = Callable[[Callable[[Path], Iterable[Floats]], Sequence[Path]], Iterable[Iterable[Floats]]]
INGREDIENTS = ("weights", "average", "levels", "gate", "peaks", "post")
FINALISTS = 2  # mixes that the distance decides between
ROUNDS = 4


@dataclass(frozen=True)
class Task:
    """What is searched: the scans' files (from `gather`), the case of each, and what may be chosen.

    members: the segmenters, sorted, in the order of `q`. gates: the gate's ladder, 0 first; only 0 without a gate.
    fixed: by class, post-processing that is always taken, after what is searched.
    """

    files: tuple[Path, ...]
    cases: tuple[str, ...]
    classes: tuple[str, ...]
    members: tuple[str, ...]
    gates: tuple[int, ...]
    config: Tune
    fixed: tuple[tuple[StepConfig, ...], ...]

    @property
    def case_names(self) -> tuple[str, ...]:
        """Each case once, in the order of the scans."""
        return tuple(dict.fromkeys(self.cases))


@dataclass
class Search:
    """Chooses points, and remembers what it counted.

    run: maps a function over the scans' files, in order. finalists: how many mixes the distance decides between, each
    with a level of its own; 0: tables alone choose the mix, and the levels stay.
    """

    task: Task
    memory: Remembers
    run: Run = map
    finalists: int = FINALISTS
    _rows: dict[Points, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {name: number for number, name in enumerate(self.task.case_names)}
        self.case_of: NDArray[np.int64] = np.array([names[case] for case in self.task.cases], np.int64)
        self.everyone = np.ones(len(names), np.bool_)
        self.levels = tuple(sorted(set(self.task.config.levels)))
        self.with_distance = self.task.config.objective == "uw_score"

    def choose(
        self, cases: NDArray[np.bool_], members: Sequence[str] | None = None, use: Iterable[str] = INGREDIENTS,
        start: Points | None = None,
    ) -> Points:  # fmt: skip
        """The best points, a class each, over the given cases (bool, a case each) with the given members.

        It begins with equal weights and one level for all classes, or with `start` under equal weights. Each ingredient
        has to earn its place: it is taken only where its gain is larger than that gain's standard error over the
        cases. Never below a single member with the same kind of levels.
        """
        members = self.task.members if members is None else members
        use = set(use)
        mix = Mix(tuple(int(name in members) for name in self.task.members)).reduced()
        if start is None:
            points = self.one_level((Point(mix, 0, HALF),) * len(self.task.classes), cases)
        else:
            points = tuple(replace(point, mix=Mix(mix.weights, point.mix.average).reduced()) for point in start)
        for name in INGREDIENTS:
            if name not in use:
                continue
            better = STEPS[name](self, points, cases, members, use)
            if better != points and gains(
                self.task.config.objective, self.rows(better)[cases], self.rows(points)[cases]
            ):
                points = better
        if len(members) > 1 and "weights" in use:
            alone = [self.choose(cases, (name,), use & {"levels"}) for name in sorted(members)]
            best = max(alone, key=lambda one: self.worth(one, cases))
            points = best if self.worth(best, cases) > self.worth(points, cases) else points
        return points

    def rows(self, points: Points) -> Floats:
        """The objective's rows, (case, 4), of a point a class."""
        if points not in self._rows:
            stats = [self.stats(c, point) for c, point in enumerate(points)]
            self._rows[points] = columns(self.task.config.objective, stats, self.case_of)
        return self._rows[points]

    def worth(self, points: Points, cases: NDArray[np.bool_]) -> float:
        """The objective over the given cases; 0 where nothing was scored."""
        return float(np.nan_to_num(value(self.task.config.objective, self.rows(points)[cases].sum(axis=0))))

    def stats(self, c: int, point: Point) -> Floats:
        """Statistics of one class of every scan at a point: (scan, STATS)."""
        return self.full_stats(c, point) if self._needs_mask(c, point) else self._cheap(c, point)

    def full_stats(self, c: int, point: Point) -> Floats:
        """The same from the masks themselves, with distances where the objective has them."""
        return self.memory.get(self._mask_key(c, point), self._count_masks)

    def ahead(self, many: Iterable[Points]) -> None:
        """Count together what the worth of all these will ask for: a scan is then read once for all of them."""
        wanted = dict.fromkeys(pair for points in many for pair in enumerate(points) if self._needs_mask(*pair))
        self.memory.fill([self._mask_key(c, point) for c, point in wanted], self._count_masks)

    def tables_ahead(self, many: Iterable[Points]) -> None:
        """Count together the tables of all these."""
        wanted = [self._table_key(c, point.mix, point.gate) for points in many for c, point in enumerate(points)]
        self.memory.fill(wanted, self._count_tables)

    def table(self, c: int, mix: Mix, gate: int) -> Floats:
        """Statistics of one class of every scan at a gate level and every level: (scan, level, STATS)."""
        key = self._table_key(c, mix, gate)
        return self.memory.get(key, self._count_tables)[:, key[3].index(gate)]

    def is_plain(self, c: int, point: Point) -> bool:
        """Whether a point's Dice can be read off a table."""
        return not (point.peak or point.post or self.task.fixed[c])

    def one_level(self, points: Points, cases: NDArray[np.bool_]) -> Points:
        """The best level that all classes share."""
        by_class = [self._at_gate(c, point) for c, point in enumerate(points)]
        start = self._best(columns(self.task.config.objective, by_class, self.case_of), cases)
        return self.climb(self.levels, start, lambda level: tuple(replace(p, level=level) for p in points), cases)

    def beside(self, points: Points) -> list[Points]:
        """Points of one level for all classes, and those a level lower and higher."""
        at = self.levels.index(points[0].level)
        return [tuple(replace(p, level=level) for p in points) for level in self.levels[max(at - 1, 0) : at + 2]]

    def own_level(self, points: Points, c: int, cases: NDArray[np.bool_]) -> Points:
        """The best level of one class, the others as they are."""
        start = self.levels.index(self.cheap_own_level(points, c, cases)[c].level)
        return self.climb(self.levels, start, lambda level: put(points, c, replace(points[c], level=level)), cases)

    def cheap_own_level(self, points: Points, c: int, cases: NDArray[np.bool_]) -> Points:
        """The best level of one class by tables alone, the others as they are."""
        stats = [self._cheap(k, point)[:, None] for k, point in enumerate(points)]
        stats[c] = self._at_gate(c, points[c])
        at = self._best(columns(self.task.config.objective, stats, self.case_of), cases)
        return put(points, c, replace(points[c], level=self.levels[at]))

    def cheap_worth(self, points: Points, cases: NDArray[np.bool_]) -> float:
        """The objective without distances, peaks and post-processing."""
        stats = [self._cheap(c, point) for c, point in enumerate(points)]
        rows = columns(self.task.config.objective, stats, self.case_of)[cases].sum(axis=0)
        return float(np.nan_to_num(value(self.task.config.objective, rows)))

    def best_of(self, candidates: Iterable[Points], cases: NDArray[np.bool_]) -> Points:
        """The first of the best candidates."""
        candidates = list(candidates)
        self.ahead(candidates)
        return max(candidates, key=lambda points: self.worth(points, cases))

    def cheap_level(self, points: Points, cases: NDArray[np.bool_]) -> Points:
        """The best shared level by tables alone."""
        by_class = [self._at_gate(c, point) for c, point in enumerate(points)]
        at = self._best(columns(self.task.config.objective, by_class, self.case_of), cases)
        return tuple(replace(point, level=self.levels[at]) for point in points)

    def cheap_equal_worth(self, members: Sequence[str], cases: NDArray[np.bool_]) -> float:
        """What members give with equal weights and one level, by tables alone."""
        mix = Mix(tuple(int(name in members) for name in self.task.members)).reduced()
        points = (Point(mix, 0, HALF),) * len(self.task.classes)
        return self.cheap_worth(self.cheap_level(points, cases), cases)

    def _at_gate(self, c: int, point: Point) -> Floats:
        return self.table(c, point.mix, point.gate)

    def _cheap(self, c: int, point: Point) -> Floats:
        return self._at_gate(c, point)[:, self.levels.index(point.level)]

    def _best(self, rows: Floats, cases: NDArray[np.bool_]) -> int:
        """The best level of rows (case, level, 4); of equals the one nearest to one half."""
        worth = np.nan_to_num(value(self.task.config.objective, rows[cases].sum(axis=0)))
        order = sorted(range(len(self.levels)), key=lambda at: abs(self.levels[at] - HALF))
        return max(order, key=lambda at: float(worth[at]))

    def climb(self, ladder: Sequence[int], start: int, at: Callable[[int], Points], cases: NDArray[np.bool_]) -> Points:
        """Up or down a ladder from its place `start`, which is the best by tables, as long as the objective rises."""
        points = at(ladder[start])
        if not self.with_distance and all(self.is_plain(c, point) for c, point in enumerate(points)):
            return points
        best = start
        self.ahead(at(step) for step in ladder[max(start - 1, 0) : start + 2])
        for step in (1, -1):
            while 0 <= best + step < len(ladder) and self._is_better(at(ladder[best + step]), at(ladder[best]), cases):
                best += step
        return at(ladder[best])

    def _is_better(self, points: Points, other: Points, cases: NDArray[np.bool_]) -> bool:
        return self.worth(points, cases) > self.worth(other, cases)

    def _needs_mask(self, c: int, point: Point) -> bool:
        return self.with_distance or not self.is_plain(c, point)

    def _mask_key(self, c: int, point: Point) -> Key:
        whole = replace(point, mix=point.mix.reduced(), post=(*point.post, *self.task.fixed[c]))
        return "mask", c, whole, self.with_distance

    def _table_key(self, c: int, mix: Mix, gate: int) -> Key:
        gates = self.task.gates if gate else (0,)  # most mixes are never gated
        return "table", c, mix.reduced(), gates, self.levels

    def _count_masks(self, keys: Sequence[Key]) -> list[Floats]:
        wanted = [(c, point) for _, c, point, _ in keys]
        return self._counted(partial(masks_stats, wanted=wanted, with_distance=self.with_distance))

    def _count_tables(self, keys: Sequence[Key]) -> list[Floats]:
        wanted = [(c, mix, gates) for _, c, mix, gates, _ in keys]
        return self._counted(partial(plain_tables, wanted=wanted, levels=self.levels))

    def _counted(self, count: Callable[[Path], Iterable[Floats]]) -> list[Floats]:
        """What each scan gives for each of several keys, as an array (scan, ...) a key."""
        return [np.stack(of_key) for of_key in zip(*self.run(count, self.task.files), strict=True)]


def put(points: Points, c: int, point: Point) -> Points:
    """Points with one class's place changed."""
    return (*points[:c], point, *points[c + 1 :])


def _weights(search: Search, points: Points, cases: NDArray[np.bool_], members: Sequence[str], use: set[str]) -> Points:
    """Whole weights by coordinate search on tables; where there are distances, they decide between the best few."""
    if len(members) < 2:
        return points
    groups = [range(len(points))] if search.task.config.weights_by == "all" else [[c] for c in range(len(points))]
    for group in groups:
        tried: dict[Mix, tuple[float, Points]] = {}

        def mixed(mix: Mix, group: Sequence[int] = group, points: Points = points) -> Points:
            return tuple(replace(p, mix=mix) if c in group else p for c, p in enumerate(points))

        def worth(mix: Mix, tried: Any = tried, mixed: Any = mixed) -> float:
            mix = mix.reduced()
            if mix not in tried:
                levelled = search.cheap_level(mixed(mix), cases)
                tried[mix] = search.cheap_worth(levelled, cases), levelled
            return float(tried[mix][0])

        at = [index for index, name in enumerate(search.task.members) if name in members]
        alone = [Mix(tuple(int(index == one) for index in range(len(search.task.members)))) for one in at]
        search.tables_ahead(mixed(mix) for mix in alone)
        best = max([points[group[0]].mix, *alone], key=worth)
        for _ in range(ROUNDS):
            before = best
            for one in at:
                steps = range(search.task.config.weight_steps + 1)
                near = [Mix((*best.weights[:one], weight, *best.weights[one + 1 :])) for weight in steps]
                near = [mix for mix in near if any(mix.weights)]
                search.tables_ahead(mixed(mix) for mix in near)
                best = max([best, *near], key=worth)
            if best == before:
                break
        if not search.finalists:
            points = mixed(best)
            continue
        count = search.finalists if search.with_distance else 1
        finalists = sorted(tried.values(), key=lambda found: -found[0])[:count]
        search.ahead(beside for _, found in finalists for beside in search.beside(found))
        points = search.best_of([points, *(search.one_level(found, cases) for _, found in finalists)], cases)
    return points


def _average(search: Search, points: Points, cases: NDArray[np.bool_], members: Sequence[str], use: set[str]) -> Points:
    candidates = [points]
    for average in search.task.config.averages:
        other = tuple(replace(p, mix=Mix(p.mix.weights, average).reduced()) for p in points)
        if other != points:
            candidates.append(search.one_level(other, cases))
    return search.best_of(candidates, cases)


def _levels(search: Search, points: Points, cases: NDArray[np.bool_], members: Sequence[str], use: set[str]) -> Points:
    if len(points) == 1:
        return points
    for _ in range(ROUNDS):
        before = points
        for c in range(len(points)):
            points = search.best_of([points, search.own_level(points, c, cases)], cases)
        if points == before:
            break
    return points


def _gate(search: Search, points: Points, cases: NDArray[np.bool_], members: Sequence[str], use: set[str]) -> Points:
    ladder = search.task.gates
    for c in range(len(points)):

        def at(gate: int, c: int = c, points: Points = points) -> Points:
            gated = put(points, c, replace(points[c], gate=gate))
            return search.cheap_own_level(gated, c, cases) if "levels" in use else gated

        worths = [search.cheap_worth(at(gate), cases) for gate in ladder]
        gated = search.climb(ladder, worths.index(max(worths)), at, cases)
        if "levels" in use:
            gated = search.own_level(gated, c, cases)
        points = search.best_of([points, gated], cases)
    return points


def _peaks(search: Search, points: Points, cases: NDArray[np.bool_], members: Sequence[str], use: set[str]) -> Points:
    """A peak above the level; then, under it, a lower level, which alone would let too much in."""
    for c in range(len(points)):
        peaks = [put(points, c, replace(points[c], peak=peak)) for peak in search.task.config.peaks]
        points = search.best_of([points, *peaks], cases)
        if points[c].peak and "levels" in use:
            at = search.levels.index(points[c].level)
            lower = [put(points, c, replace(points[c], level=level)) for level in search.levels[max(at - 2, 0) : at]]
            points = search.best_of([points, *lower], cases)
    return points


def _post(search: Search, points: Points, cases: NDArray[np.bool_], members: Sequence[str], use: set[str]) -> Points:
    for c in range(len(points)):
        for group in search.task.config.post:
            tried = [put(points, c, replace(points[c], post=(*points[c].post, step))) for step in group]
            points = search.best_of([points, *tried], cases)
    return points


STEPS: dict[str, Callable[[Search, Points, NDArray[np.bool_], Sequence[str], set[str]], Points]] = {
    "weights": _weights,
    "average": _average,
    "levels": _levels,
    "gate": _gate,
    "peaks": _peaks,
    "post": _post,
}
