"""Slices by distance and contrast, and the voxel behind a Hausdorff distance."""

import math

import numpy as np
import pytest
from scipy import ndimage

from casefold.analysis.edges import by_distance, slice_rows
from casefold.analysis.measure import Measure, cut, dice_of_stats
from casefold.analysis.outliers import Outlier, outlier
from casefold.metrics import hausdorff_voxels, uwmgi_score


def test_slices_by_their_distance_from_the_ends() -> None:
    truth, found = np.zeros((2, 1, 8, 9, 9), bool)
    truth[0, 2:6, 3:6, 3:6] = True
    found[0, 3:7, 3:6, 3:6] = True
    found[0, 4, 3, 3] = False
    image = np.zeros((2, *truth.shape[1:]), np.uint16)
    image[0], image[1] = np.where(truth[0], 10, 4), np.where(truth[0], 5, 4)
    rows = slice_rows("s", ["a"], truth, found, image, [3.0, 1.0])
    assert rows["z"].tolist() == [2, 3, 4, 5, 6]
    assert rows["distance"].tolist() == [0, 1, 1, 0, -1]
    assert rows["dice"].tolist() == [0, 1, 16 / 17, 1, 0]
    assert rows["truth_voxels"].tolist() == [9, 9, 9, 9, 0]
    assert rows["found_voxels"].tolist() == [0, 9, 8, 9, 9]
    assert rows["contrast"].tolist()[:4] == [2.0] * 4  # 6 of 3 in the first modality, 1 of 1 in the second
    assert math.isnan(rows["contrast"][4])
    table = by_distance(rows)
    assert table["distance"].tolist() == [-1, 0, 1]
    assert table["dice"].tolist() == [0, 0.5, (1 + 16 / 17) / 2]
    assert table["slices"].tolist() == [1, 2, 2]
    assert by_distance(rows, deepest=0)["slices"].tolist() == [5]


def test_a_class_without_truth_has_no_distance() -> None:
    truth, found = np.zeros((2, 1, 2, 4, 4), bool)
    found[0, 1, 0, 0] = True
    rows = slice_rows("s", ["a"], truth, found, np.zeros((1, 2, 4, 4)), [1.0])
    assert (rows["z"].tolist(), rows["dice"].tolist()) == ([1], [0])
    assert rows["distance"].isna().all()
    assert len(by_distance(rows)) == 0


def test_a_stray_voxel_is_the_cause() -> None:
    truth, found = np.zeros((2, 4, 10, 10), bool)
    truth[1, 2:5, 2:5], found[1, 2:5, 2:5] = True, True
    found[1, 7, 8] = True
    cause = outlier(truth, found, (4, 10, 10))
    assert cause is not None
    assert (cause.side, cause.place, cause.nearest, cause.voxels) == ("found", (1, 7, 8), (1, 4, 4), 5.0)
    assert cause.normalised == pytest.approx(5 / 10 / math.sqrt(3), abs=1e-12)
    back = outlier(found, truth, (4, 10, 10))
    assert back is not None
    assert (back.side, back.place) == ("truth", (1, 7, 8))


def test_empty_and_equal_masks() -> None:
    empty, full = np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool)
    assert outlier(empty, empty, (2, 3, 3)) is None
    assert outlier(full, full, (2, 3, 3)) is None
    assert outlier(empty, full, (2, 3, 3)) == Outlier("found", None, None, math.inf, 1.0)
    assert outlier(full, empty, (2, 3, 3)) == Outlier("truth", None, None, math.inf, 1.0)


@pytest.mark.parametrize("seed", range(6))
def test_of_thousands_of_voxels_the_farthest_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (20, 24, 28)
    noise = [ndimage.gaussian_filter(random.standard_normal(shape), 2) for _ in range(2)]
    truth, found = (one > np.quantile(one, 0.7) for one in noise)
    cause = outlier(truth, found, shape)
    step = tuple(1 / n / math.sqrt(3) for n in shape)
    assert cause is not None
    assert cause.normalised == pytest.approx(hausdorff_voxels(truth, found, step), abs=1e-12)
    own, other = (truth, found) if cause.side == "truth" else (found, truth)
    assert own[cause.place]
    assert ndimage.distance_transform_edt(~other, step)[cause.place] == pytest.approx(cause.normalised, abs=1e-12)
    assert cause.voxels == pytest.approx(math.dist(cause.place, cause.nearest))


def test_a_mask_measured_in_a_box_scores_as_the_whole() -> None:
    random = np.random.default_rng(0)
    truth, found = np.zeros((2, 3, 9, 20, 20), bool)
    truth[:2, 2:6, 4:9, 4:9], found[1:, 3:8, 5:12, 5:9] = True, random.random((2, 5, 7, 4)) > 0.3
    box, (inner, own) = cut(truth, found)
    assert box == (slice(2, 8), slice(4, 12), slice(4, 9))
    stats = Measure(inner, truth.shape[1:])(own)
    score = uwmgi_score(truth, found)
    assert stats[:, 0].sum() / stats[:, 1].sum() == pytest.approx(score.dice, abs=1e-12)
    np.testing.assert_allclose(stats[:, 5], score.distances, atol=1e-12)
    assert dice_of_stats(stats)[[0, 2]].tolist() == [0, 0]


def test_without_any_voxel_a_box_of_one_is_left() -> None:
    box, (mask,) = cut(np.zeros((1, 3, 4, 5), bool))
    assert box == (slice(0, 1),) * 3
    assert math.isnan(Measure(mask, (3, 4, 5))(mask)[0, 5])
