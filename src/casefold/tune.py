"""Search on OOF: one table of Dice over every candidate, from which tuned and cross-fitted choices are read alike."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casefold.config.ensembles import Tune
from casefold.core import DataError, Prediction, Scan
from casefold.ensemble import Recipe, combine, gate_slices
from casefold.metrics import nan_mean

Floats = NDArray[np.float64]
NO_GATE = 0


@dataclass(frozen=True)
class Choice:
    """One point of the search: the index of the weights, and by class the indices of gate level and level."""

    weights: int
    gates: tuple[int, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """The objective of every case and candidate: scores (weights, case, class, gate, level), NaN where not scored.

    gates: the first is NO_GATE.
    """

    cases: tuple[str, ...]
    weights: tuple[dict[str, float], ...]
    gates: tuple[int, ...]
    levels: tuple[int, ...]
    scores: Floats

    def alone(self, member: str) -> "Table":
        """Only the candidates that read this one segmenter, without a gate."""
        return self.only(lambda weights: weights[member] == sum(weights.values())).ungated()

    def equal(self) -> "Table":
        """Only equal weights."""
        return self.only(lambda weights: len(set(weights.values())) == 1)

    def ungated(self) -> "Table":
        """Only the candidates without a gate."""
        at = self.gates.index(NO_GATE)
        return Table(self.cases, self.weights, (NO_GATE,), self.levels, self.scores[:, :, :, at : at + 1])

    def only(self, wanted: Callable[[dict[str, float]], bool]) -> "Table":
        """Only the candidates whose weights are wanted."""
        kept = [index for index, weights in enumerate(self.weights) if wanted(weights)]
        return Table(self.cases, tuple(self.weights[i] for i in kept), self.gates, self.levels, self.scores[kept])


def weight_candidates(members: Sequence[str], steps: int) -> tuple[dict[str, float], ...]:
    """Equal weights, then each member alone, then every mix in multiples of 1 / steps (steps 1: only the first two)."""
    names = sorted(members)
    equal = {name: 1 / len(names) for name in names}
    alone = [{name: float(name == one) for name in names} for one in names]
    mixes = [
        {name: part / steps for name, part in zip(names, parts, strict=True)}
        for parts in itertools.product(range(steps + 1), repeat=len(names))
        if sum(parts) == steps
    ]
    unique: dict[tuple[float, ...], dict[str, float]] = {}
    for weights in [equal, *alone, *mixes]:
        unique.setdefault(tuple(round(value, 9) for value in weights.values()), weights)
    return tuple(unique.values())


def build_table(
    config: Tune,
    scans: Iterable[tuple[Scan, Mapping[str, Prediction]]],
    segmenters: Sequence[str],
    gate: str | None,
    gate_levels: Sequence[int],
) -> Table:
    """Count once over all scans, one in memory at a time; scans: each labelled scan with its members' OOF."""
    weights = weight_candidates(segmenters, config.weight_steps)
    gates = tuple(dict.fromkeys([NO_GATE, *gate_levels])) if gate is not None else (NO_GATE,)
    levels = tuple(sorted(config.levels, key=lambda level: abs(level - 128)))
    pooled: dict[str, Floats] = {}
    for scan, predictions in scans:
        truth = scan.class_masks()
        ignore = None if scan.ignore is None else np.asarray(scan.ignore)
        passed = _passed(predictions, gate, gates, truth.shape[:2])
        maps = {name: _maps(predictions[name]) for name in segmenters}
        unit = scan.name if config.objective == "dice_scan" else scan.case
        for index, candidate in enumerate(weights):
            counts = _count(combine(maps, candidate), truth, ignore, passed, np.array(levels), config.objective)
            shape = (len(weights), *counts.shape)
            pooled.setdefault(f"{scan.case}\n{unit}", np.zeros(shape))[index] += counts
    if not pooled:
        raise DataError("there is no OOF prediction to tune on; train the folds first")
    scores = np.stack([_score(counts, config.objective) for counts in pooled.values()], axis=1)
    return _by_case(Table(tuple(pooled), weights, gates, levels, scores))


def choose(table: Table, cases: NDArray[np.bool_] | None = None) -> Choice:
    """The best candidate over the given cases, by the mean over cases, then over classes; of equals the first.

    A gate has to earn its place: it is taken only where its gain over the best candidate without one is larger than
    that gain's standard error over the cases.
    """
    part = table if cases is None else replace(table, scores=table.scores[:, cases])
    plain, gated = _best(part.scores[:, :, :, :1]), _best(part.scores)
    gain = case_scores(part, gated) - case_scores(part, plain)
    gain = gain[~np.isnan(gain)]
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    return gated if len(gain) and gain.mean() > error else plain


def case_scores(table: Table, choice: Choice) -> Floats:
    """The objective of each case under a choice, the mean over its classes; NaN where no class could be scored."""
    by_class = [
        table.scores[choice.weights, :, c, g, q]
        for c, (g, q) in enumerate(zip(choice.gates, choice.levels, strict=True))
    ]
    return np.asarray(nan_mean(np.stack(by_class), axis=0), np.float64)


def partition(cases: Sequence[str], parts: int, seed: int) -> NDArray[np.int64]:
    """Each case's part in cross-fitting: a partition of its own, whatever the members' folds; raises for one case."""
    if len(cases) < 2:
        raise DataError(f"cross-fitting wants at least two cases with OOF, there is {len(cases)}")
    order = np.random.default_rng(seed).permutation(len(cases))
    part = np.empty(len(cases), np.int64)
    part[order] = np.arange(len(cases)) % min(parts, len(cases))
    return part


def cross_fit(table: Table, config: Tune) -> tuple[Floats, dict[str, Choice]]:
    """Each case scored by what was chosen on the other parts' cases: its objective, and the choice that scored it."""
    part = partition(table.cases, config.partition_folds, config.partition_seed)
    scores = np.full(len(table.cases), np.nan)
    choices: dict[str, Choice] = {}
    for number in np.unique(part):
        held = part == number
        choice = choose(table, ~held)
        scores[held] = case_scores(table, choice)[held]
        choices.update((case, choice) for case, inside in zip(table.cases, held, strict=True) if inside)
    return scores, choices


def to_recipe(table: Table, choice: Choice, base: Recipe) -> Recipe:
    """The recipe of a choice; what is not searched is taken from `base`."""
    gate_levels = {name: table.gates[g] for name, g in zip(base.classes, choice.gates, strict=True)}
    return Recipe(
        name=base.name,
        dataset=base.dataset,
        classes=base.classes,
        weights=table.weights[choice.weights],
        levels={name: table.levels[q] for name, q in zip(base.classes, choice.levels, strict=True)},
        gate=base.gate,
        gate_levels=None if base.gate is None else gate_levels,
        min_voxels=base.min_voxels,
        models=base.models,
        folds=base.folds,
    )


def _best(scores: Floats) -> Choice:
    mean = nan_mean(scores, axis=1)
    flat = np.nan_to_num(mean.reshape(*mean.shape[:2], -1), nan=-1.0)
    best = int(flat.max(axis=2).mean(axis=1).argmax())
    points = [np.unravel_index(int(index), mean.shape[2:]) for index in flat[best].argmax(axis=1)]
    return Choice(best, tuple(int(point[0]) for point in points), tuple(int(point[1]) for point in points))


def _maps(prediction: Prediction) -> NDArray[np.uint8]:
    if prediction.maps is None:
        raise DataError(f"{prediction.member} predicts no maps, so it can't be weighed; name it as the gate")
    return prediction.maps


def _passed(
    predictions: Mapping[str, Prediction], gate: str | None, gates: Sequence[int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which slices pass under each gate level: (class, gate, z)."""
    if gate is None:
        return np.ones((shape[0], 1, shape[1]), np.bool_)
    presence = predictions[gate].presence
    if presence is None:
        raise DataError(f"the gate {gate} predicts no presence; take a `cls` member or one with a presence head")
    return np.stack([gate_slices(presence, np.full(shape[0], level)) for level in gates], axis=1)


def _count(
    maps: NDArray[np.uint8], truth: NDArray[np.bool_], ignore: NDArray[np.bool_] | None,
    passed: NDArray[np.bool_], levels: NDArray[np.int64], objective: str,
) -> Floats:  # fmt: skip
    """What the objective adds up over a case: (class, gate, level, 3) of [both, truth, predicted] voxels, or, for
    dice_slice, (class, gate, level, 2) of [sum of Dice, slices scored]. One histogram a slice and class gives all."""
    counts = []
    for q, t, keep in zip(maps, truth, passed, strict=True):
        above = _above(q, t, ignore)
        both, false, labelled = above[:, 1, levels], above[:, 0, levels], above[:, 1, 0]
        if objective == "dice_slice":
            passing = keep[:, :, None]
            predicted = (both + false)[None] * passing
            total = predicted + labelled[None, :, None]
            value = np.where(total > 0, 2 * both[None] * passing / np.maximum(total, 1), 0)
            counts.append(np.stack([value.sum(axis=1), (total > 0).sum(axis=1)], axis=-1))
        else:
            inside, outside = keep @ both, keep @ false
            known = np.broadcast_to(labelled.sum(), inside.shape)
            counts.append(np.stack([inside, known, inside + outside], axis=-1))
    return np.stack(counts).astype(np.float64)


def _above(q: NDArray[np.uint8], truth: NDArray[np.bool_], ignore: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """How many voxels of each slice have q >= level, outside and inside the truth: (z, 2, 256)."""
    depth = len(q)
    code = q.astype(np.int32) + 256 * truth + 512 * np.arange(depth, dtype=np.int32)[:, None, None]
    flat = code.ravel() if ignore is None else code[~ignore]
    histogram = np.bincount(flat, minlength=512 * depth).reshape(depth, 2, 256)
    return histogram[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]


def _score(counts: Floats, objective: str) -> Floats:
    if objective == "dice_slice":
        return np.where(counts[..., 1] > 0, counts[..., 0] / np.maximum(counts[..., 1], 1), np.nan)
    total = counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), np.nan)


def _by_case(table: Table) -> Table:
    """Units (scans, for dice_scan) averaged within their case."""
    cases = [key.split("\n")[0] for key in table.cases]
    names = tuple(dict.fromkeys(cases))
    rows = [[index for index, case in enumerate(cases) if case == name] for name in names]
    scores = np.stack([nan_mean(table.scores[:, row], axis=1) for row in rows], axis=1)
    return Table(names, table.weights, table.gates, table.levels, scores)
