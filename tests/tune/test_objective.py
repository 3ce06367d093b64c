"""Objectives by hand."""

import numpy as np
import pytest

from casefold.tune.objective import columns, gains, interval, resampled, value

NAN = float("nan")
# scan one (case 0): slices of Dice 2/3 and none; scan two (case 0): 1 and 0; scan three (case 1): 1/2
STATS = np.array([[2 / 3, 1, 1, 2, 1, 0.1], [1.0, 2, 1, 1, 3, 0.3], [0.5, 1, 1, 2, 2, NAN]])
CASE_OF = np.array([0, 0, 1])


@pytest.mark.parametrize(
    ("objective", "answer"),
    [
        ("dice_case", (2 * 2 / (3 + 4) + 2 * 1 / 4) / 2),  # case 0: both 2, truth 3, found 4
        ("dice_scan", ((2 / 3 + 2 / 4) / 2 + 2 / 4) / 2),
        ("dice_slice", ((2 / 3 + 1) / 3 + 0.5) / 2),
        ("uw_score", 0.4 * (2 / 3 + 1 + 0.5) / 4 + 0.6 * (1 - (0.1 + 0.3) / 2)),  # the third distance is not scored
    ],
)
def test_an_objective_of_three_scans(objective: str, answer: float) -> None:
    rows = columns(objective, [STATS], CASE_OF)  # type: ignore[arg-type]
    assert rows.shape == (2, 4)
    assert float(value(objective, rows.sum(axis=0))) == pytest.approx(answer, abs=1e-15)  # type: ignore[arg-type]


def test_classes_count_alike_within_a_case_and_one_that_is_nowhere_does_not_count() -> None:
    other = np.zeros_like(STATS)
    other[2] = [0.0, 1, 0, 5, 0, 1.0]  # case 1 has the other class, and it is not found: Dice 0
    rows = columns("dice_case", [STATS, other], CASE_OF)
    assert rows[:, 0].tolist() == pytest.approx([4 / 7, (0.5 + 0) / 2]) and rows[:, 1].tolist() == [1, 1]


def test_a_whole_table_is_scored_at_once() -> None:
    table = np.stack([STATS, STATS * 0], axis=1)  # (scan, level, statistics)
    rows = columns("dice_case", [table, STATS[:, None]], CASE_OF)
    assert rows.shape == (2, 2, 4)
    assert rows[:, 1, 0].tolist() == pytest.approx([4 / 7, 0.5])  # a class with nothing on either side is left out


def test_nothing_scored_is_nan_and_never_zero() -> None:
    rows = columns("dice_case", [np.zeros((1, 6))], np.array([0]))
    assert rows.tolist() == [[0, 0, 0, 0]] and np.isnan(value("dice_case", rows.sum(axis=0)))


def test_without_distances_the_uw_score_is_its_dice_part() -> None:
    stats = STATS.copy()
    stats[:, 5] = NAN
    assert float(value("uw_score", columns("uw_score", [stats], CASE_OF).sum(axis=0))) == pytest.approx(
        0.4 * (2 / 3 + 1 + 0.5) / 4
    )


def test_an_interval_of_equal_gains_is_a_point() -> None:
    rows = np.array([[0.5, 1, 0, 0], [0.7, 1, 0, 0], [0.9, 1, 0, 0]])
    better = rows + np.array([0.1, 0, 0, 0])
    assert interval("dice_case", better, rows) == pytest.approx((0.1, 0.1))
    assert np.array_equal(resampled("dice_case", rows, 9, 4), resampled("dice_case", rows, 9, 4))
    assert np.isnan(interval("dice_case", rows[:0], rows[:0])).all()


@pytest.mark.parametrize(
    ("gain", "taken"),
    [
        ((0.1, 0.1, 0.1), True),  # every case gains the same: no error at all
        ((0.4, -0.1, 0.0), False),  # a mean of 0.1 with a standard error of 0.153
        ((0.4, 0.2, 0.3), True),  # 0.3 with 0.058
        ((0.0, 0.0, 0.0), False),
        ((-0.1, -0.1, -0.1), False),
    ],
)
def test_a_gain_has_to_be_larger_than_its_error(gain: tuple[float, ...], taken: bool) -> None:
    rows = np.array([[0.5, 1, 0, 0]] * 3)
    better = rows.copy()
    better[:, 0] += gain
    assert gains("dice_case", better, rows) is taken
    assert not gains("dice_case", better[:1], rows[:1])  # one case says nothing
