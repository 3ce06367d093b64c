"""The search on OOF against masks thresholded one by one; cross-fitting never looks at the case it scores."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.config.ensembles import Tune
from casefold.core import DataError, Grid, Prediction, Scan, pack_masks
from casefold.ensemble import Recipe, combine
from casefold.tune import (
    NO_GATE,
    Choice,
    Table,
    build_table,
    case_scores,
    choose,
    cross_fit,
    partition,
    to_recipe,
    weight_candidates,
)

Pair = tuple[Scan, dict[str, Prediction]]
CLASSES = ("a", "b")
SHAPE = (4, 3, 5)
CASES = (("case1", "day0"), ("case2", "day0"), ("case2", "day9"), ("case3", "day0"), ("case4", "day0"), ("case5", "d"))


def scan_of(case: str, day: str, truth: NDArray[np.bool_], ignore: NDArray[np.bool_] | None = None) -> Scan:
    shape = (truth.shape[1], truth.shape[2], truth.shape[3])
    image, names = np.zeros((1, *shape), np.uint8), tuple(f"{day}_{z}" for z in range(shape[0]))
    return Scan(case, f"{case}_{day}", image, Grid(shape), CLASSES, names, pack_masks(truth), ignore)


def says(scan: Scan, member: str, maps: Any = None, presence: Any = None) -> Prediction:
    given = [None if array is None else np.asarray(array, np.uint8) for array in (maps, presence)]
    return Prediction(scan.case, scan.name, CLASSES, scan.grid.shape, member, "0", *given)


def random_pairs(seed: int = 0, ignoring: bool = False, members: Sequence[str] = ("m", "n")) -> list[Pair]:
    """Scans with empty slices and a case without class `b`; maps of few values, so that levels meet them."""
    random = np.random.default_rng(seed)
    pairs = []
    for case, day in CASES:
        truth = random.random((2, *SHAPE)) < 0.4
        truth[:, random.integers(SHAPE[0])] = False
        truth[0, 0] = False
        if case == "case3":
            truth[1] = False
        ignore = random.random(SHAPE) < 0.3 if ignoring else None
        scan = scan_of(case, day, truth, ignore)
        found = {
            name: says(scan, name, np.where(truth, 40, 0) + 10 * random.integers(0, 20, truth.shape))
            for name in members
        }
        found["gate"] = says(scan, "gate", presence=random.choice([0, 50, 100, 255], (2, SHAPE[0])))
        pairs.append((scan, found))
    return pairs


def dice(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    total = int(truth.sum()) + int(predicted.sum())
    return 2 * int((truth & predicted).sum()) / total if total else float("nan")


def mean(values: Sequence[float]) -> float:
    there = [value for value in values if value == value]
    return sum(there) / len(there) if there else float("nan")


def one_by_one(
    pairs: list[Pair], case: str, c: int, weights: dict[str, float], gate: int, level: int, objective: str
) -> float:
    """The objective of one case, class and candidate, from masks made and scored one at a time."""
    truths, masks = [], []
    for scan, found in pairs:
        if scan.case == case:
            maps = combine({name: found[name].maps for name in weights}, weights)[c]  # type: ignore[misc]
            mask = maps >= level
            for z in range(len(mask)):
                presence = found["gate"].presence
                assert presence is not None
                if presence[c, z] < gate:
                    mask[z] = False
            truth = scan.class_masks()[c]
            keep = np.ones_like(truth) if scan.ignore is None else ~scan.ignore
            truths.append(truth & keep)
            masks.append(mask & keep)
    if objective == "dice_case":
        return dice(np.concatenate(truths), np.concatenate(masks))
    if objective == "dice_scan":
        return mean([dice(truth, mask) for truth, mask in zip(truths, masks, strict=True)])
    return mean(
        [dice(t, m) for truth, mask in zip(truths, masks, strict=True) for t, m in zip(truth, mask, strict=True)]
    )


@pytest.mark.parametrize("ignoring", [False, True], ids=["all voxels", "some ignored"])
@pytest.mark.parametrize("objective", ["dice_case", "dice_scan", "dice_slice"])
def test_the_table_is_what_masks_scored_one_by_one_give(objective: Any, ignoring: bool) -> None:
    pairs = random_pairs(ignoring=ignoring)
    config = Tune(objective=objective, weight_steps=2, levels=(1, 10, 55, 130, 128, 200, 255))
    table = build_table(config, pairs, ["m", "n"], "gate", (0, 50, 101))
    assert table.cases == ("case1", "case2", "case3", "case4", "case5")
    assert table.gates == (0, 50, 101) and table.levels == (128, 130, 200, 55, 10, 1, 255)
    assert table.scores.shape == (3, 5, 2, 3, 7)
    by_hand = np.array(
        [[[[[one_by_one(pairs, case, c, weights, gate, level, objective) for level in table.levels]
            for gate in table.gates] for c in (0, 1)] for case in table.cases] for weights in table.weights]
    )  # fmt: skip
    np.testing.assert_allclose(table.scores, by_hand, rtol=1e-12)
    assert np.isnan(by_hand).any() and (by_hand == 0).any() and len(np.unique(by_hand)) > 100


def test_a_case_of_two_scans_by_hand() -> None:
    """Scan one: 2 voxels, 1 found. Scan two: 1 voxel, found, and 2 too many on a slice that is empty."""
    truth = [np.array([1, 1, 0, 0, 0, 0], bool), np.array([0, 0, 1, 0, 0, 0], bool)]
    found = [np.array([1, 0, 0, 0, 0, 0]), np.array([0, 0, 1, 1, 1, 0])]
    pairs = []
    for day, (t, p) in enumerate(zip(truth, found, strict=True)):
        masks = np.stack([t, t]).reshape(2, 2, 1, 3)
        scan = scan_of("case1", f"day{day}", masks)
        pairs.append((scan, {"m": says(scan, "m", 200 * np.stack([p, p]).reshape(masks.shape))}))
    for objective, answer in (
        ("dice_case", 2 * 2 / (3 + 4)),
        ("dice_scan", (2 * 1 / 3 + 2 * 1 / (1 + 3)) / 2),
        ("dice_slice", (2 * 1 / 3 + 1 + 0) / 3),  # the second slice of scan one is empty on both sides: not scored
    ):
        table = build_table(Tune(objective=objective, levels=(128,)), pairs, ["m"], None, ())
        assert table.scores.ravel().tolist() == pytest.approx([answer, answer])


def test_weight_candidates_by_hand() -> None:
    half, third = {"m": 0.5, "n": 0.5}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    alone = ({"m": 1.0, "n": 0.0}, {"m": 0.0, "n": 1.0})
    assert weight_candidates(["n", "m"], 1) == (half, *alone)
    assert weight_candidates(["m", "n"], 2) == (half, *alone)
    assert weight_candidates(["m", "n"], 4) == (half, *alone, {"m": 0.25, "n": 0.75}, {"m": 0.75, "n": 0.25})
    assert weight_candidates(["m"], 5) == ({"m": 1.0},)
    three = weight_candidates(["a", "b", "c"], 3)
    assert three[0] == third and len(three) == 1 + 3 + 6
    assert all(sum(weights.values()) == pytest.approx(1) for weights in three)


def random_table(seed: int, cases: int = 9) -> Table:
    scores = np.random.default_rng(seed).random((3, cases, 2, 2, 4))
    names = tuple(f"case{n}" for n in range(cases))
    return Table(names, weight_candidates(["m", "n"], 1), (NO_GATE, 128), (128, 64, 200, 9), scores)


def test_choose_takes_the_best_mean_and_of_equals_the_first() -> None:
    table = random_table(0, cases=2)
    scores = np.zeros_like(table.scores)
    scores[0, :, :, 0, 0] = 0.4  # equal weights, no gate, the first level
    scores[2, :, 0, 0, 3] = 0.8, 0.6  # 0.7 for the first class, 0.2 for the second: 0.45 in all
    scores[2, :, 1, 0, 2] = 0.4, 0.0
    scores[1, :, 0, 0, 3] = 0.6, 0.6  # 0.6 and 0.3: 0.45 too, and it stands first
    scores[1, :, 1, 0, 1] = 0.3, 0.3
    scores[1, :, 1, 0, 3] = 0.3, 0.3
    table = replace(table, scores=scores)
    assert choose(table) == Choice(weights=1, gates=(0, 0), levels=(3, 1))
    assert case_scores(table, choose(table)).tolist() == pytest.approx([(0.6 + 0.3) / 2, (0.6 + 0.3) / 2])
    assert choose(table, np.array([True, False])) == Choice(weights=2, gates=(0, 0), levels=(3, 2))
    assert case_scores(table, choose(table, np.array([True, False]))).tolist() == pytest.approx([0.6, 0.3])


@pytest.mark.parametrize(
    ("gains", "gate"),
    [
        ((0.1, 0.1, 0.1), 1),  # every case gains the same: no error at all
        ((0.3, 0.0, 0.0), 0),  # a mean of 0.1 with a standard error of 0.1
        ((0.3, 0.1, 0.0), 1),  # 0.133 and 0.088
        ((-0.1, -0.1, -0.1), 0),
    ],
)
def test_a_gate_is_taken_where_its_gain_is_above_its_standard_error(gains: tuple[float, ...], gate: int) -> None:
    table = random_table(0, cases=3)
    scores = np.full_like(table.scores, 0.1)
    scores[0, :, :, 0, 0] = 0.5
    scores[0, :, :, 1, 0] = 0.5 + np.array(gains)[:, None]
    assert choose(replace(table, scores=scores)) == Choice(weights=0, gates=(gate, gate), levels=(0, 0))


def test_what_cannot_be_scored_is_left_out() -> None:
    table = random_table(0, cases=2)
    scores = np.full_like(table.scores, 0.5)
    scores[:, 0, 1] = np.nan  # the first case lacks the second class
    table = replace(table, scores=scores)
    assert case_scores(table, choose(table)).tolist() == [0.5, 0.5]
    nowhere = replace(table, scores=np.full_like(scores, np.nan))
    assert choose(nowhere) == Choice(0, (0, 0), (0, 0))
    assert np.isnan(case_scores(nowhere, choose(nowhere))).all()


def test_parts_of_a_table() -> None:
    table = random_table(1)
    assert table.equal().weights == ({"m": 0.5, "n": 0.5},)
    np.testing.assert_array_equal(table.equal().scores, table.scores[:1])
    alone = table.alone("n")
    assert (alone.weights, alone.gates) == (({"m": 0.0, "n": 1.0},), (NO_GATE,))
    np.testing.assert_array_equal(alone.scores, table.scores[2:, :, :, :1])
    np.testing.assert_array_equal(table.ungated().scores, table.scores[:, :, :, :1])


def test_a_partition_has_every_case_once() -> None:
    names = [f"case{n}" for n in range(11)]
    part = partition(names, 5, seed=77)
    assert sorted(np.bincount(part).tolist()) == [2, 2, 2, 2, 3]
    np.testing.assert_array_equal(part, partition(names, 5, seed=77))
    assert part.tolist() != partition(names, 5, seed=78).tolist()
    assert sorted(partition(names[:3], 5, seed=77).tolist()) == [0, 1, 2]
    with pytest.raises(DataError, match="cross-fitting wants at least two cases with OOF, there is 1"):
        partition(names[:1], 5, seed=77)


def test_cross_fit_chooses_on_the_other_parts() -> None:
    table, config = random_table(2), Tune(partition_folds=3)
    part = partition(table.cases, 3, config.partition_seed)
    scores, choices = cross_fit(table, config)
    for index, case in enumerate(table.cases):
        assert choices[case] == choose(table, part != part[index])
        assert scores[index] == case_scores(table, choices[case])[index]


def test_a_held_cases_truth_does_not_change_its_choice() -> None:
    config = Tune(weight_steps=3, partition_folds=5)
    pairs = random_pairs(4)

    def choices(pairs: list[Pair]) -> dict[str, Choice]:
        return cross_fit(build_table(config, pairs, ["m", "n"], "gate", (0, 50, 101)), config)[1]

    before = choices(pairs)
    assert len({*before.values()}) > 1
    for held in before:
        turned = [
            (replace(scan, masks=pack_masks(~scan.class_masks())), found) if scan.case == held else (scan, found)
            for scan, found in pairs
        ]
        after = choices(turned)
        assert after[held] == before[held]
        assert after != before


@pytest.mark.parametrize("seed", range(5))
def test_on_noise_the_cross_fitted_score_is_never_above_the_tuned_one(seed: int) -> None:
    table, config = random_table(seed), Tune()
    tuned, honest = case_scores(table, choose(table)).mean(), cross_fit(table, config)[0].mean()
    assert honest <= tuned


BASE = Recipe("mix", "toy", CLASSES, {"m": 1.0}, dict.fromkeys(CLASSES, 128), min_voxels=7, models="full", folds=(0, 1))


def test_a_perfect_member_gets_all_the_weight() -> None:
    pairs = []
    for scan, found in random_pairs(5):
        perfect = np.where(scan.class_masks(), 255, 0)
        both = {"m": says(scan, "m", 255 - perfect), "n": says(scan, "n", perfect)}
        pairs.append((scan, found | both))
    config = Tune()
    table = build_table(config, pairs, ["m", "n"], "gate", (0, 50))
    recipe = to_recipe(table, choose(table), replace(BASE, gate="gate", gate_levels=dict.fromkeys(CLASSES, 9)))
    assert recipe.weights == {"m": 0.0, "n": 1.0} and recipe.members == ["gate", "n"]
    assert recipe.levels == {"a": 133, "b": 133}  # all are as good; 133 is the one nearest to 128
    assert recipe.gate_levels == {"a": 0, "b": 0}
    assert (recipe.min_voxels, recipe.models, recipe.folds, recipe.name) == (7, "full", (0, 1), "mix")
    np.testing.assert_array_equal(cross_fit(table, config)[0], np.ones(5))


def test_a_gate_that_knows_the_empty_slices_is_taken() -> None:
    pairs = []
    for scan, found in random_pairs(6):
        truth = scan.class_masks()
        everywhere = np.where(truth | ~truth.any(axis=(2, 3), keepdims=True), 255, 0)  # right but on empty slices
        knows = np.where(truth.any(axis=(2, 3)), 200, 90)
        pairs.append((scan, found | {"m": says(scan, "m", everywhere), "gate": says(scan, "gate", presence=knows)}))
    table = build_table(Tune(), pairs, ["m"], "gate", (0, 90, 91, 201))
    recipe = to_recipe(table, choose(table), replace(BASE, gate="gate", gate_levels=dict.fromkeys(CLASSES, 0)))
    assert recipe.gate_levels == {"a": 91, "b": 91}
    assert case_scores(table, choose(table)).tolist() == [1.0] * 5
    assert to_recipe(table.ungated(), choose(table.ungated()), BASE).gate_levels is None
    assert case_scores(table.ungated(), choose(table.ungated())).max() < 1


def test_ignored_voxels_do_not_count() -> None:
    pairs = random_pairs(7, ignoring=True)
    changed = []
    for scan, found in pairs:
        assert scan.ignore is not None
        truth = scan.class_masks() ^ scan.ignore
        maps = np.where(scan.ignore, 255 - found["m"].maps, found["m"].maps)  # type: ignore[operator]
        changed.append((replace(scan, masks=pack_masks(truth)), found | {"m": says(scan, "m", maps)}))
    for objective in ("dice_case", "dice_scan", "dice_slice"):
        one, other = (build_table(Tune(objective=objective), p, ["m"], "gate", (50,)) for p in (pairs, changed))
        np.testing.assert_array_equal(one.scores, other.scores)


def test_what_cannot_be_tuned_is_named() -> None:
    pairs = random_pairs()
    with pytest.raises(DataError, match="there is no OOF prediction to tune on; train the folds first"):
        build_table(Tune(), [], ["m"], None, ())
    with pytest.raises(DataError, match="gate predicts no maps, so it can't be weighed; name it as the gate"):
        build_table(Tune(), pairs, ["gate", "m"], None, ())
    with pytest.raises(DataError, match="the gate m predicts no presence; take a `cls` member or one with a presence"):
        build_table(Tune(), pairs, ["n"], "m", (0,))
