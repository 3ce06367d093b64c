"""Agreement between masks, volumes and their changes, picked voxels."""

import numpy as np
import pandas as pd
import pytest

from casefold.analysis.agreement import agreement, shared_voxels
from casefold.analysis.volumes import changes, volume_rows
from casefold.analysis.voxels import pick
from casefold.core import DataError


def test_members_share_voxels_each_with_each() -> None:
    masks = np.array([[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0]], bool)
    shared = shared_voxels(masks)
    assert shared.tolist() == [[3, 2, 0], [2, 3, 0], [0, 0, 0]]
    # a second class: the first two are equal, the third has one of the two voxels
    other = shared_voxels(np.array([[1, 1], [1, 1], [0, 1]], bool))
    table = agreement(np.stack([shared, other]), ["m", "n", "o"])
    assert table.loc["m", "n"] == pytest.approx((4 / 6 + 1) / 2)
    assert table.loc["m", "o"] == pytest.approx((0 + 2 / 3) / 2)
    assert table.loc["o", "o"] == 1  # the class in which it is empty is left out
    np.testing.assert_array_equal(table, table.T)


def test_too_many_masks_are_refused() -> None:
    with pytest.raises(DataError, match=r"17 masks to compare; wanted 1\.\.16"):
        shared_voxels(np.zeros((17, 2), bool))


def test_picked_voxels_are_the_truth_and_what_one_member_finds() -> None:
    truth = np.zeros((1, 2, 2, 3), bool)
    truth[0, 0, 0, 1] = True
    one, other = np.zeros((2, 1, 2, 2, 3), np.uint8)
    one[0, 0, 1, 2], other[0, 1, 0, 0], other[0, 1, 1, 1] = 8, 255, 7
    (voxels,) = pick(truth, [one, other])
    assert voxels.index.tolist() == [1, 5, 6]
    assert voxels.edges.tolist() == [0, 2, 3]
    assert voxels.q.tolist() == [[0, 8, 0], [0, 0, 255]]
    assert voxels.truth.tolist() == [True, False, False]
    assert voxels.by_slice(voxels.q[1]).tolist() == [0, 255]


def test_maps_that_do_not_fit_are_refused() -> None:
    truth = np.zeros((1, 2, 2, 3), bool)
    with pytest.raises(DataError, match="there are no maps"):
        pick(truth, [])
    with pytest.raises(DataError, match=r"uint8 of the truth's shape \(1, 2, 2, 3\), not float64"):
        pick(truth, [np.zeros(truth.shape)])


def test_volumes_and_their_change_from_day_to_day() -> None:
    rows = []
    for day, labelled, found in ((10, 3, 1), (2, 1, 2)):
        truth, predicted = np.zeros((2, 1, 1, 1, 4), bool)
        truth[..., :labelled], predicted[..., :found] = True, True
        rows.append(volume_rows("case1", f"case1_day{day}", ["a"], truth, predicted, (3.0, 1.5, 2.0)))
    table = pd.concat(rows, ignore_index=True)
    assert table.loc[0].tolist() == ["case1", "case1_day10", "a", 3, 1, 27.0, 9.0]
    moved = changes(table)
    assert moved.loc[0].tolist() == ["case1", "a", "case1_day2", "case1_day10", 2, 18.0, -1, -9.0]
    assert len(moved) == 1


def test_without_a_spacing_there_are_voxels_alone() -> None:
    truth = np.ones((1, 1, 1, 2), bool)
    table = volume_rows("case1", "case1_day1", ["a"], truth, truth, None)
    assert table["truth_voxels"].tolist() == [2]
    assert table["truth_mm3"].isna().all()
    assert list(changes(table)) == [
        "case", "class", "scan_before", "scan",
        "truth_change_voxels", "truth_change_mm3", "found_change_voxels", "found_change_mm3",
    ]  # fmt: skip
    assert len(changes(table)) == 0
