"""Curves on a handful of voxels, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from casefold.analysis.curves import (
    above_levels,
    areas,
    calibration,
    calibration_error,
    gate_curve,
    q_histogram,
    set_confusion,
    sweep,
    sweep_stats,
)
from casefold.analysis.voxels import pick
from casefold.core import DataError

# one class, two slices of four pixels
TRUTH = np.array([[[[1, 1], [0, 0]], [[0, 0], [0, 0]]]], bool)
Q = np.array([[[[200, 4], [90, 7]], [[0, 30], [0, 0]]]], np.uint8)


def test_dice_at_each_level() -> None:
    table = sweep([sweep_stats(above_levels(pick(TRUTH, [Q]), 0))], ["a"]).set_index("level")
    assert table.index.tolist() == list(range(8, 256))
    # one of 2 found; wrongly 90 and 30, then 90, then none; the second slice counts while something is found there
    scan, by_slice = table["dice_scan"], table["dice_slice"]
    assert [scan[8], scan[30], scan[31], scan[90], scan[91], scan[200]] == [2 / 5, 2 / 5, 1 / 2, 1 / 2, 2 / 3, 2 / 3]
    assert [by_slice[30], by_slice[31], by_slice[91]] == [(1 / 2 + 0) / 2, 1 / 2, 2 / 3]
    assert (scan[201], by_slice[255]) == (0, 0)


def test_a_gate_closes_slices_at_every_level() -> None:
    stats = sweep_stats(above_levels(pick(TRUTH, [Q]), 0), np.array([[False, True]]))
    # slice Dice, slices, both, truth, predicted
    assert stats[0, 30, :5].tolist() == [0, 2, 0, 2, 1]
    assert stats[0, 31, :5].tolist() == [0, 1, 0, 2, 0]
    assert np.isnan(stats[0, 7, :5]).all()


def test_scans_weigh_the_same_and_slices_too() -> None:
    perfect = sweep_stats(above_levels(pick(TRUTH, [TRUTH * np.uint8(255)]), 0))
    both = sweep([perfect, sweep_stats(above_levels(pick(TRUTH, [Q]), 0))], ["a"]).set_index("level")
    assert both["dice_scan"][8] == pytest.approx((1 + 2 / 5) / 2)
    assert both["dice_slice"][8] == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_a_histogram_counts_every_voxel() -> None:
    histogram = q_histogram(above_levels(pick(TRUTH, [Q]), 0))
    assert histogram.shape == (1, 2, 256)
    outside, inside = ({q: n for q, n in enumerate(side) if n} for side in histogram[0].tolist())
    assert outside == {0: 4, 30: 1, 90: 1}  # 7 is below the floor, so it counts as 0
    assert inside == {4: 1, 200: 1}


def test_ignored_voxels_are_counted_nowhere() -> None:
    ignore = np.zeros(TRUTH.shape[1:], bool)
    ignore[0, 0, 0], ignore[1, 0, 0] = True, True
    histogram = q_histogram(above_levels(pick(TRUTH, [Q], ignore), 0))
    assert histogram[0, 1].sum() == 1
    assert histogram[0, 0, 0] == 3


def test_calibration_holds_what_is_said_against_what_is_true() -> None:
    histogram = np.zeros((2, 256), np.int64)
    histogram[:, 204] = 1, 3  # 0.8 is said of four voxels, three are true
    histogram[0, 0] = 10
    table = calibration(histogram, bins=5)
    assert table["voxels"].tolist() == [10, 0, 0, 0, 4]
    assert table["said"].tolist()[4] == pytest.approx(0.8)
    assert table["true"].tolist()[4] == 0.75
    assert math.isnan(table["true"][1])
    assert (table["low"][4], table["high"][4]) == (0.8, 1.0)
    assert calibration_error(table) == pytest.approx(0.05)


def test_precision_recall_and_false_alarms_of_a_gate() -> None:
    curve = gate_curve(np.array([[3, 2], [2, 1]], np.uint8), np.array([[True, True], [False, False]]))
    expected = pd.DataFrame(
        {
            "level": [4, 3, 2, 1],
            "recall": [0, 0.5, 1, 1],
            "precision": [1, 1, 2 / 3, 0.5],
            "false_alarms": [0, 0, 0.5, 1],
        }
    )
    pd.testing.assert_frame_equal(curve, expected, check_dtype=False)
    found = areas(curve)
    assert found["roc"] == pytest.approx(0.5 * (0.5 + 1) / 2 + 0.5)
    assert found["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_gate_without_truth_has_no_recall() -> None:
    curve = gate_curve(np.array([3, 1]), np.array([False, False]))
    assert curve["recall"].isna().all()
    assert curve["false_alarms"].tolist() == [0, 0.5, 1]


def test_a_signal_of_other_slices_is_refused() -> None:
    with pytest.raises(DataError, match=r"a signal of shape \(3,\) for slices of shape \(2,\)"):
        gate_curve(np.zeros(3, int), np.zeros(2, bool))


def test_which_classes_are_on_a_slice() -> None:
    there = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 0, 0]], bool)
    found = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    table = set_confusion(there, found, ["a", "b"])
    expected = pd.DataFrame(
        [[1, 1, 0], [0, 2, 0], [0, 1, 0]], index=["none", "a", "a + b"], columns=["none", "a", "a + b"]
    )
    pd.testing.assert_frame_equal(table, expected)
