"""Dice, Hausdorff and the UW-Madison score against values worked out by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, directed_hausdorff

from casefold import metrics
from casefold.core import DataError
from casefold.metrics import UwmgiOptions, uwmgi_score

Mask = NDArray[np.bool_]


def voxels(shape: tuple[int, ...], *places: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask


def brute_force(a: Mask, b: Mask, step: tuple[float, ...]) -> float:
    distances = cdist(np.argwhere(a) * step, np.argwhere(b) * step)
    return float(max(distances.min(0).max(), distances.min(1).max()))


def random_masks(seed: int, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    random = np.random.default_rng(seed)
    return random.random(shape) < random.random(), random.random(shape) < random.random() / 4


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


def test_nan_mean_of_nothing_is_nan_without_a_warning() -> None:
    values = np.array([[1.0, np.nan], [0.5, np.nan]])
    np.testing.assert_array_equal(metrics.nan_mean(values, axis=0), [0.75, np.nan])
    assert metrics.nan_mean(values) == 0.75
    assert math.isnan(metrics.nan_mean(np.empty(0)))


def test_hausdorff_of_two_voxels() -> None:
    a, b = voxels((4, 5, 6), (0, 0, 0)), voxels((4, 5, 6), (1, 2, 2))
    assert metrics.hausdorff_voxels(a, b) == 3.0  # sqrt(1 + 4 + 4)
    assert metrics.hausdorff_mm(a, b, (6.0, 1.5, 2.0)) == pytest.approx(math.sqrt(6**2 + 3**2 + 4**2), abs=1e-12)
    assert metrics.hausdorff_voxels(a, a) == 0.0


def test_hausdorff_takes_the_larger_direction_and_inner_voxels_into_account() -> None:
    cube, shell = np.ones((7, 7, 7), bool), np.ones((7, 7, 7), bool)
    shell[1:-1, 1:-1, 1:-1] = False
    assert metrics.hausdorff_voxels(cube, shell) == 3.0  # from the cube's centre, which is no surface voxel
    assert metrics.hausdorff_voxels(shell, cube) == 3.0


def test_hausdorff_of_empty_masks() -> None:
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert metrics.hausdorff_voxels(empty, empty) == 0.0
    assert metrics.hausdorff_voxels(empty, full) == math.inf
    assert metrics.hausdorff_voxels(full, empty) == math.inf
    with pytest.raises(DataError, match="needs spacing_mm, which this scan lacks; use hausdorff_voxels"):
        metrics.hausdorff_mm(full, full, None)


@pytest.mark.parametrize("seed", range(20))
def test_hausdorff_equals_brute_force_and_scipy(seed: int) -> None:
    a, b = random_masks(seed, (5, 7, 6))
    a[0, 0, 0], b[4, 6, 5] = True, True
    for step in ((1.0, 1.0, 1.0), (3.0, 1.5, 0.7), (1 / 5, 1 / 7, 1 / 6)):
        ours = metrics.hausdorff_voxels(a, b, step)
        points = np.argwhere(a) * step, np.argwhere(b) * step
        scipys = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        assert ours == pytest.approx(brute_force(a, b, step), abs=1e-9)
        assert ours == pytest.approx(scipys, abs=1e-9)
        assert ours == metrics.hausdorff_voxels(b, a, step)


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
    with pytest.raises(DataError, match=r"wants masks \(class, z, y, x\), not 2 axes of shape \(2, 3\)"):
        uwmgi_score(a, a)


def test_uwmgi_perfect() -> None:
    truth = voxels((2, 3, 4, 4), (0, 1, 1, 1), (1, 0, 2, 2))
    score = uwmgi_score(truth, truth)
    assert (score.dice, score.hausdorff, score.score) == (1.0, 0.0, 1.0)
    literal = uwmgi_score(truth, truth, UwmgiOptions(empty="zero"))
    assert (literal.dice, literal.hausdorff) == (2 / 6, 0.0)


STRAY = math.sqrt((3 / 4) ** 2 + (4 / 5) ** 2 + (9 / 10) ** 2)


@pytest.mark.parametrize(
    ("options", "dice", "distance"),
    [
        # one voxel (0, 0, 0) found, one stray voxel (3, 4, 9) too many, on a slice of its own, on a grid of 4 x 5 x 10
        (UwmgiOptions(), (1 + 0) / 2, STRAY / math.sqrt(3)),
        (UwmgiOptions(dice_by="scan"), 2 * 1 / 3, STRAY / math.sqrt(3)),
        (UwmgiOptions(empty="one"), (1 + 0 + 1 + 1) / 4, STRAY / math.sqrt(3)),
        (UwmgiOptions(empty="zero"), (1 + 0 + 0 + 0) / 4, STRAY / math.sqrt(3)),
        (UwmgiOptions(coordinates="diagonal"), 0.5, 1.0),
        (UwmgiOptions(coordinates="mm"), 0.5, 1.0),
        (UwmgiOptions(without_truth="skip"), 0.5, STRAY / math.sqrt(3)),
    ],
)
def test_uwmgi_one_stray_voxel(options: UwmgiOptions, dice: float, distance: float) -> None:
    truth = voxels((1, 4, 5, 10), (0, 0, 0, 0))
    predicted = voxels((1, 4, 5, 10), (0, 0, 0, 0), (0, 3, 4, 9))
    score = uwmgi_score(truth, predicted, options, spacing_mm=(3.0, 1.5, 1.5))
    assert score.dice == pytest.approx(dice, abs=1e-12)
    assert score.hausdorff == pytest.approx(distance, abs=1e-12)
    assert score.score == pytest.approx(0.4 * dice + 0.6 * (1 - distance), abs=1e-12)


def test_uwmgi_diagonals_in_voxels_and_mm() -> None:
    truth, predicted = voxels((1, 4, 5, 10), (0, 0, 0, 0)), voxels((1, 4, 5, 10), (0, 2, 0, 0))
    by_voxel = uwmgi_score(truth, predicted, UwmgiOptions(coordinates="diagonal"))
    assert by_voxel.hausdorff == pytest.approx(2 / math.sqrt(3**2 + 4**2 + 9**2), abs=1e-12)
    in_mm = uwmgi_score(truth, predicted, UwmgiOptions(coordinates="mm"), (3.0, 1.0, 2.0))
    assert in_mm.hausdorff == pytest.approx(6 / math.sqrt(9**2 + 4**2 + 18**2), abs=1e-12)
    with pytest.raises(DataError, match="need spacing_mm, which this scan lacks; use 'diagonal', its twin in voxels"):
        uwmgi_score(truth, predicted, UwmgiOptions(coordinates="mm"))


@pytest.mark.parametrize(
    ("options", "dice", "distances"),
    [
        # class 0 empty in both, class 1 only in truth, class 2 only predicted; one slice
        (UwmgiOptions(), 0.0, [math.nan, 1.0, 1.0]),
        (UwmgiOptions(empty="one"), 1 / 3, [0.0, 1.0, 1.0]),
        (UwmgiOptions(empty="zero"), 0.0, [1.0, 1.0, 1.0]),
        (UwmgiOptions(without_truth="skip"), 0.0, [math.nan, 1.0, math.nan]),
        (UwmgiOptions(distance_of="union"), 0.0, [1 / 2 / math.sqrt(3)]),
    ],
)
def test_uwmgi_empty_sides(options: UwmgiOptions, dice: float, distances: list[float]) -> None:
    truth, predicted = voxels((3, 1, 2, 2), (1, 0, 0, 0)), voxels((3, 1, 2, 2), (2, 0, 0, 1))
    score = uwmgi_score(truth, predicted, options)
    assert score.dice == pytest.approx(dice, abs=1e-12)
    np.testing.assert_allclose(score.distances, distances, atol=1e-12)


def test_uwmgi_of_nothing_is_nan() -> None:
    nothing = np.zeros((1, 1, 2, 2), bool)
    score = uwmgi_score(nothing, nothing)
    assert math.isnan(score.dice) and math.isnan(score.hausdorff) and math.isnan(score.score)
    assert math.isnan(metrics.mean_uwmgi([]).score)


def test_mean_uwmgi_pools_slices_over_scans() -> None:
    long, short = voxels((1, 3, 2, 2), (0, 0, 0, 0), (0, 1, 0, 0), (0, 2, 0, 0)), voxels((1, 1, 2, 2), (0, 0, 0, 0))
    scores = [uwmgi_score(long, long), uwmgi_score(short, ~short)]
    mean = metrics.mean_uwmgi(scores)
    assert mean.dice == (3 * 1 + 1 * 0) / 4
    assert mean.hausdorff == pytest.approx(scores[1].hausdorff / 2, abs=1e-12)
    assert metrics.mean_uwmgi(scores[::-1]).score == mean.score


def test_bootstrap_interval() -> None:
    assert metrics.bootstrap_interval([0.5, 0.5, math.nan]) == (0.5, 0.5)
    assert np.isnan(metrics.bootstrap_interval([math.nan])).all()
    values = np.arange(5.0)
    low, high = metrics.bootstrap_interval(values, seed=3)
    assert metrics.bootstrap_interval(values, seed=3) == (low, high)
    assert metrics.bootstrap_interval(values + 1, seed=3) == pytest.approx((low + 1, high + 1))
    assert metrics.bootstrap_interval([0.0, 1.0], draws=4000, level=0.9) == (0.0, 1.0)  # each end has chance 1/4
