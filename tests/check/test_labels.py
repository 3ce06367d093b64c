"""What is wrong with masks, each with masks that are only nearly so."""

import numpy as np
import pytest
from bodies import SIDE, body, disc, scan
from numpy.typing import NDArray

from casefold.check import labels
from casefold.check.overview import overview
from casefold.core import DataError, Scan

SPOT = disc(24, 24, 6)


def found(one: Scan) -> list[tuple[str, str, str]]:
    rows = labels.masks_of(one, overview(one))
    return [(row.kind, row.where.replace("case1_day0_slice_", ""), row.what) for row in rows]


def masks(slices: dict[int, NDArray[np.bool_]], depth: int = 10) -> NDArray[np.bool_]:
    """One class, bool (1, z, y, x)."""
    volume = np.zeros((1, depth, SIDE, SIDE), bool)
    for z, mask in slices.items():
        volume[0, z] = mask
    return volume


def test_nothing_is_wrong_with_a_mask_in_the_body() -> None:
    assert found(scan(body(), masks(dict.fromkeys(range(2, 8), SPOT)))) == []


def test_no_mask_at_all_is_one_note() -> None:
    wanted = ("all empty", "case1_day0", "no mask on any of 10 slices")
    assert found(scan(body(), masks({}))) == [wanted]


def test_a_mask_in_the_air_is_found() -> None:
    one = scan(body(), masks({2: SPOT, 3: disc(4, 4, 3), 4: disc(4, 5, 3)}))
    assert found(one) == [("mask outside the body", "0004 to 0005", "100 % of a lies where nothing is")]


def test_a_mask_over_the_bodys_edge_or_on_gas_within_it_is_not() -> None:
    image = body()
    image[4, disc(24, 24, 7)] = 2
    assert found(scan(image, masks({3: disc(24, 36, 6), 4: SPOT}))) == []


def test_a_few_pixels_in_the_air_are_not_told() -> None:
    assert found(scan(body(), masks({3: disc(4, 4, 1)}))) == []  # 5 pixels


def test_where_no_air_is_seen_a_mask_on_the_flat_minimum_is_found() -> None:
    image = body()
    image[:, :20] = 0
    image = image[:, 12:36, 12:36]
    volume = masks({3: disc(15, 24, 2), 4: disc(28, 24, 4)})[:, :, 12:36, 12:36]
    assert not overview(scan(image)).surrounded
    assert found(scan(image, volume)) == [("mask outside the body", "0004", "100 % of a lies where nothing is")]


@pytest.mark.parametrize("gone", [[5], [4, 5], [4, 5, 6]])
def test_a_mask_that_is_missing_between_alike_ones_is_found(gone: list[int]) -> None:
    one = scan(body(), masks({z: SPOT for z in range(2, 9) if z not in gone}))
    where = "0006" if len(gone) == 1 else f"0005 to 000{gone[-1] + 1}"
    assert found(one) == [("mask missing between slices", where, "no a, though the masks round it overlap by 1.00")]


def test_masks_that_differ_or_lie_far_apart_leave_a_gap_that_is_none() -> None:
    assert found(scan(body(), masks({3: SPOT, 5: disc(24, 33, 5)}))) == []
    assert found(scan(body(), masks({3: SPOT, 8: SPOT}))) == []


def test_a_mask_that_covers_neither_neighbours_is_found() -> None:
    one = scan(body(), masks(dict.fromkeys(range(2, 8), SPOT) | {5: disc(24, 35, 4)}))
    assert found(one) == [("mask out of line", "0006", "a covers neither neighbour's, and these overlap by 1.00")]


def test_a_mask_that_wanders_is_not_out_of_line() -> None:
    assert found(scan(body(), masks({z: disc(24, 14 + 3 * z, 4) for z in range(1, 8)}))) == []


@pytest.mark.parametrize("volume", [{4: SPOT, 6: SPOT}, {4: SPOT, 5: disc(24, 35, 4), 6: SPOT}])
def test_slices_to_be_ignored_are_passed_over(volume: dict[int, NDArray[np.bool_]]) -> None:
    ignore = np.zeros((10, SIDE, SIDE), bool)
    ignore[5] = True
    assert found(scan(body(), masks(volume), ignore=ignore)) == []
    assert len(found(scan(body(), masks(volume)))) == 1


def test_each_class_is_judged_by_itself() -> None:
    both = np.concatenate([masks({2: SPOT, 3: SPOT}), masks({7: SPOT, 8: disc(4, 4, 3)})])
    assert found(scan(body(), both)) == [("mask outside the body", "0009", "100 % of b lies where nothing is")]


def test_overlap_by_hand() -> None:
    one, two = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert labels.overlap(one, two) == 1 / 3 and labels.overlap(one, one) == 1
    assert labels.overlap(one, ~one) == 0 and labels.overlap(one & False, one & False) == 0


def test_a_scan_without_labels_has_no_mask_of_a_class() -> None:
    with pytest.raises(DataError, match="scan case1_day0 has no labels, so it has no mask of a"):
        labels.class_mask(scan(body()), "a")
