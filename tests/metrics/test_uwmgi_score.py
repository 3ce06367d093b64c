"""The UW-Madison score against values worked out by hand, option by option."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from pairs import kinds, voxels

from casefold import metrics
from casefold.core import DataError
from casefold.metrics import SLICE_WISE_PORT, UwmgiOptions, uwmgi_score


def test_masks_of_the_wrong_number_of_axes_are_refused() -> None:
    a = np.ones((2, 3), bool)
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


def test_uwmgi_one_empty_side_left_out_of_the_distances() -> None:
    # class 0 empty in both, class 1 only in truth, class 2 only predicted, class 3 one voxel (of 2) away
    truth = voxels((4, 1, 2, 2), (1, 0, 0, 0), (3, 0, 0, 0))
    predicted = voxels((4, 1, 2, 2), (2, 0, 0, 1), (3, 0, 0, 1))
    apart = 1 / 2 / math.sqrt(3)
    score = uwmgi_score(truth, predicted, UwmgiOptions(one_empty="skip"))
    np.testing.assert_allclose(score.distances, [math.nan, math.nan, math.nan, apart], atol=1e-12)
    assert score.dice == 0.0  # a mean of three zeros
    counted = uwmgi_score(truth, predicted, UwmgiOptions(one_empty="skip", empty="one"))
    np.testing.assert_allclose(counted.distances, [0.0, math.nan, math.nan, apart], atol=1e-12)


def test_uwmgi_surface_points() -> None:
    truth = np.ones((1, 7, 7, 7), bool)
    pierced = truth.copy()
    pierced[0, 3, 3, 3] = False
    unit = 1 / 7 / math.sqrt(3)
    assert uwmgi_score(truth, pierced).hausdorff == pytest.approx(1 * unit, abs=1e-12)
    assert uwmgi_score(truth, pierced, UwmgiOptions(points="surface")).hausdorff == pytest.approx(2 * unit, abs=1e-12)


# Slices of 3 x 4: alike, 3 px apart across, empty in both, a side missing on either hand
SLICES = voxels((1, 5, 3, 4), (0, 0, 1, 1), (0, 1, 0, 0), (0, 3, 0, 0))
FOUND = voxels((1, 5, 3, 4), (0, 0, 1, 1), (0, 1, 0, 3), (0, 4, 0, 0))


@pytest.mark.parametrize(
    ("options", "distances"),
    [
        (UwmgiOptions(), [0, 3 / 4 / math.sqrt(2), math.nan, 1, 1]),
        (UwmgiOptions(empty="one"), [0, 3 / 4 / math.sqrt(2), 0, 1, 1]),
        (UwmgiOptions(empty="zero"), [0, 3 / 4 / math.sqrt(2), 1, 1, 1]),
        (UwmgiOptions(one_empty="skip"), [0, 3 / 4 / math.sqrt(2), math.nan, math.nan, math.nan]),
        (UwmgiOptions(without_truth="skip"), [0, 3 / 4 / math.sqrt(2), math.nan, 1, 1]),  # the class is in the scan
        (UwmgiOptions(coordinates="diagonal"), [0, 3 / math.sqrt(2**2 + 3**2), math.nan, 1, 1]),
        (UwmgiOptions(coordinates="mm"), [0, 6 / math.sqrt(3**2 + 6**2), math.nan, 1, 1]),
        (UwmgiOptions(coordinates="outer_diagonal"), [0, 3 / 5, math.nan, 1, 1]),  # sqrt(3² + 4²)
        # the scan as a whole: from (1, 0, 3) found to (0, 1, 1)
        (replace(SLICE_WISE_PORT, hausdorff_by="scan"), [math.sqrt(1 + 1 + 4) / math.sqrt(5**2 + 3**2 + 4**2)]),
        (SLICE_WISE_PORT, [0, 3 / 5, 0, 1, 1]),
    ],
)
def test_uwmgi_distances_by_slice(options: UwmgiOptions, distances: list[float]) -> None:
    by_slice = options if options == SLICE_WISE_PORT or len(distances) == 1 else replace(options, hausdorff_by="slice")
    score = uwmgi_score(SLICES, FOUND, by_slice, (7.0, 1.5, 2.0))
    np.testing.assert_allclose(score.distances, distances, atol=1e-12)


def test_uwmgi_slices_of_a_class_without_truth_can_be_left_out() -> None:
    nothing = np.zeros_like(FOUND)
    by_slice = UwmgiOptions(hausdorff_by="slice")
    np.testing.assert_array_equal(uwmgi_score(nothing, FOUND, by_slice).distances, [1, 1, math.nan, math.nan, 1])
    ignored = uwmgi_score(nothing, FOUND, replace(by_slice, without_truth="skip"))
    assert np.isnan(ignored.distances).all()


def test_the_slice_wise_port_is_monais_distance_of_each_slice() -> None:
    pairs = kinds(3)
    for one, other in (pairs[kind] for kind in ("other blobs", "moved", "slices missing", "hollow")):
        ours = uwmgi_score(one[None], other[None], SLICE_WISE_PORT).distances
        for distance, truth, predicted in zip(ours, one, other, strict=True):
            if truth.any() and predicted.any():
                batch = [torch.from_numpy(mask)[None, None] for mask in (predicted, truth)]
                pixels = float(compute_hausdorff_distance(*batch, include_background=True))
                assert distance == pytest.approx(pixels / math.sqrt(22**2 + 24**2), abs=1e-5)
            else:
                assert distance == float(truth.any() != predicted.any())


def test_a_stray_voxel_costs_the_slice_wise_port_next_to_nothing() -> None:
    truth = voxels((1, 100, 4, 4), *((0, z, 0, 0) for z in range(50)))
    predicted = truth.copy()
    predicted[0, 99, 3, 3] = True
    port = uwmgi_score(truth, predicted, SLICE_WISE_PORT)
    assert port.hausdorff == pytest.approx(1 / 100, abs=1e-12)
    whole = math.sqrt((50 / 100) ** 2 + (3 / 4) ** 2 + (3 / 4) ** 2) / math.sqrt(3)  # from slice 49, 0, 0
    assert uwmgi_score(truth, predicted).hausdorff == pytest.approx(whole, abs=1e-12)
