"""How good boxes are."""

import math

import numpy as np
import pytest

from casefold.core import Grid, Scan, pack_masks
from casefold.detect.scoring import Tally, pairs
from casefold.views import Box

NONE = np.zeros((0, 4))


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def kinds(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("box", "is_hit"),
    [
        ((0, 0, 4, 2), True),  # 8 of 16
        ((0, 0, 4, 1), False),  # 4 of 16
        ((2, 0, 6, 4), False),  # 8 of 24
        ((0, 0, 0, 0), False),
    ],
)
def test_half_of_the_union_makes_a_pair(box: tuple[float, ...], is_hit: bool) -> None:
    hit, met = pairs(boxes((*box, 0.9, 0)), np.array([[0.0, 0, 4, 4]]), kinds(0))
    assert hit.tolist() == met.tolist() == [is_hit]


def test_nothing_found_or_wanted_makes_no_pair() -> None:
    assert [len(part) for part in pairs(boxes(), np.ones((3, 4)), kinds(0, 0, 0))] == [0, 3]
    assert [len(part) for part in pairs(boxes((0, 0, 1, 1, 1, 0)), NONE, kinds())] == [1, 0]
    assert not pairs(boxes((1, 1, 1, 1, 1, 0)), np.ones((1, 4)), kinds(0))[0].any()  # neither has an area


def test_the_closest_are_paired_each_once_and_of_one_kind() -> None:
    found = boxes((0, 0, 4, 4, 0.9, 0), (0, 0, 4, 3, 0.5, 0), (8, 8, 9, 9, 0.4, 0))
    wanted = np.array([[0, 0, 4, 3], [8, 8, 9, 9]], float)
    hit, met = pairs(found, wanted, kinds(0, 1))
    assert hit.tolist() == [False, True, False] and met.tolist() == [True, False]


def test_scores_by_hand() -> None:
    masks = np.zeros((1, 2, 10, 10), np.bool_)
    masks[0, 0, 2:6, 2:6] = True  # 16 voxels
    masks[0, 1, 2:4, 2:6] = True  # 8
    image = np.zeros((1, 2, 10, 10), np.uint8)
    scan = Scan("case1", "case1", image, Grid((2, 10, 10)), ("blob",), ("a", "b"), pack_masks(masks))
    true = [(np.array([[2.0, 2, 6, 6]]), kinds(0)), (np.array([[2.0, 2, 6, 4]]), kinds(0))]
    tally = Tally(confidence=0.5)
    tally.add(scan, [boxes((2, 2, 6, 6, 0.9, 0)), boxes((2, 2, 6, 4, 0.3, 0))], true, Box((0, 2), (3, 8), (0, 5)))
    row = tally.row()
    assert row["valid_map50"] == pytest.approx(0.995)  # both are found and nothing else; so that is how it counts one
    assert row["valid_box_recall"] == 0.5  # the second one only at a confidence of 0.3
    # of slice 0 the row 2 (4 voxels) and of the others the column 5 (3) are outside; of slice 1 row 2 and one voxel
    assert row["valid_cut_off"] == pytest.approx((4 + 3 + 4 + 1) / 24)
    assert row["valid_kept_area"] == pytest.approx(5 * 5 / 100)


def test_scans_without_a_mask_give_nan() -> None:
    image = np.zeros((1, 1, 4, 4), np.uint8)
    scan = Scan("case1", "case1", image, Grid((1, 4, 4)), ("blob",), ("a",), np.zeros((1, 4, 4), np.uint8))
    tally = Tally(0.5)
    tally.add(scan, [boxes((0, 0, 2, 2, 0.9, 0))], [(NONE, kinds())], Box((0, 1), (0, 4), (0, 4)))
    row = tally.row()
    assert all(math.isnan(row[name]) for name in ("valid_map50", "valid_box_recall", "valid_cut_off"))
    assert row["valid_kept_area"] == 1
