"""Dice, IoU, precision, recall and accuracy against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_iou
from monai.metrics.confusion_matrix import compute_confusion_matrix_metric, get_confusion_matrix
from pairs import random_masks, voxels

from casefold import metrics
from casefold.core import DataError


def test_dice_of_three_and_two_voxels_of_which_two_are_shared() -> None:
    a, b = voxels((1, 2, 3), (0, 0, 0), (0, 0, 1), (0, 1, 2)), voxels((1, 2, 3), (0, 0, 0), (0, 1, 2))
    assert metrics.dice(a, b) == 2 * 2 / (3 + 2)
    assert metrics.dice(b, a) == metrics.dice(a, b)


def test_dice_of_empty_masks() -> None:
    empty, full = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    assert math.isnan(metrics.dice(empty, empty))
    assert metrics.dice(empty, empty, empty=1.0) == 1.0
    assert metrics.dice(empty, full) == 0.0
    assert metrics.dice(full, empty) == 0.0
    assert metrics.dice(full, full) == 1.0


def test_dice_by_slice_leaves_empty_slices_as_nan() -> None:
    truth, predicted = np.zeros((2, 4, 2, 2), bool)
    truth[1], predicted[1, 0] = True, True  # 4 and 2 voxels, 2 shared
    predicted[2, 0, 0] = True
    truth[3], predicted[3] = True, True
    np.testing.assert_array_equal(metrics.dice_by_slice(truth, predicted), [np.nan, 2 * 2 / 6, 0.0, 1.0])
    both = metrics.dice_by_slice(np.stack([truth, truth]), np.stack([predicted, truth]))
    np.testing.assert_array_equal(both, [[np.nan, 2 * 2 / 6, 0.0, 1.0], [np.nan, 1.0, np.nan, 1.0]])


def test_dice_by_scan_and_case_pools_the_voxels_of_a_case() -> None:
    full, empty = np.ones((2, 1, 1, 2), bool), np.zeros((2, 1, 1, 2), bool)
    half = full.copy()
    half[:, ..., 1] = False
    half[1] = False
    np.testing.assert_array_equal(metrics.dice_by_scan(full, half), [2 * 1 / 3, 0.0])
    np.testing.assert_array_equal(metrics.dice_by_scan(empty, empty), [np.nan, np.nan])
    counts = [metrics.overlap(full, half), metrics.overlap(empty, empty), metrics.overlap(full, full)]
    np.testing.assert_array_equal(counts[0], [[1, 2, 1], [0, 2, 0]])
    by_case = metrics.dice_by_case(["a", "b", "a"], counts)
    np.testing.assert_array_equal(by_case["a"], [2 * (1 + 2) / (3 + 4), 2 * (0 + 2) / (2 + 4)])
    np.testing.assert_array_equal(by_case["b"], [np.nan, np.nan])


def test_iou_by_slice_scan_and_case() -> None:
    truth, predicted = np.zeros((2, 1, 4, 2, 2), bool)
    truth[0, 1], predicted[0, 1, 0] = True, True  # 4 and 2 voxels, 2 shared
    predicted[0, 2, 0, 0] = True
    truth[0, 3], predicted[0, 3] = True, True
    by_slice = metrics.overlap_by_slice(truth, predicted)
    np.testing.assert_array_equal(by_slice, [[[0, 0, 0], [2, 4, 2], [0, 0, 1], [4, 4, 4]]])
    np.testing.assert_array_equal(metrics.iou_of(by_slice), [[np.nan, 2 / 4, 0.0, 1.0]])
    np.testing.assert_array_equal(metrics.iou_of(by_slice, empty=1.0), [[1.0, 2 / 4, 0.0, 1.0]])
    scan = metrics.overlap(truth, predicted)
    np.testing.assert_array_equal(metrics.iou_of(scan), [6 / (8 + 7 - 6)])
    by_case = metrics.overlap_by_case(["a", "a"], [scan, metrics.overlap(truth, truth)])
    np.testing.assert_array_equal(metrics.iou_of(by_case["a"]), [(6 + 8) / (16 + 15 - 14)])


def test_precision_recall_and_accuracy_of_counts() -> None:
    # of 10 voxels 4 are the truth's and 3 predicted, 2 of them right: 2 + (10 - 4 - 3 + 2) = 7 are as they should be
    counts = np.array([[2, 4, 3], [0, 0, 0], [0, 0, 5], [0, 5, 0]])
    np.testing.assert_array_equal(metrics.precision_of(counts), [2 / 3, np.nan, 0.0, np.nan])
    np.testing.assert_array_equal(metrics.precision_of(counts, empty=1.0), [2 / 3, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(metrics.recall_of(counts), [2 / 4, np.nan, np.nan, 0.0])
    np.testing.assert_array_equal(metrics.recall_of(counts, empty=0.0), [2 / 4, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(metrics.accuracy_of(counts, 10), [7 / 10, 1.0, 5 / 10, 5 / 10])
    np.testing.assert_array_equal(metrics.accuracy_of(counts[:2], np.array([5, 0])), [2 / 5, np.nan])


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_measures_agree_with_monai(seed: int) -> None:
    truth, predicted = (mask[None, None] for mask in random_masks(seed, (4, 5, 6)))
    counts, sides = metrics.overlap(truth[0], predicted[0]), [torch.from_numpy(m).float() for m in (predicted, truth)]
    assert metrics.dice_of(counts)[0] == pytest.approx(float(compute_dice(*sides)), abs=1e-5)
    assert metrics.iou_of(counts)[0] == pytest.approx(float(compute_iou(*sides)), abs=1e-5)
    matrix = get_confusion_matrix(*sides)
    for name, ours in (("precision", metrics.precision_of(counts)), ("sensitivity", metrics.recall_of(counts)),
                       ("accuracy", metrics.accuracy_of(counts, truth.size))):  # fmt: skip
        assert ours[0] == pytest.approx(float(compute_confusion_matrix_metric(name, matrix)), abs=1e-5)


def test_shapes_and_types_are_checked() -> None:
    a = np.ones((2, 3), bool)
    with pytest.raises(
        DataError, match=r"truth of shape \(2, 3\) and prediction of shape \(3, 2\) should lie on one grid"
    ):
        metrics.dice(a, a.T)
    with pytest.raises(
        DataError, match="the prediction should be a bool mask, but is uint8; probabilities need a level"
    ):
        metrics.dice_by_slice(a, a.astype(np.uint8))
