"""What a scan looks like small."""

import numpy as np
import pytest
from bodies import SIDE, body, disc, scan

from casefold.check.overview import overview


def test_tissue_is_told_from_air() -> None:
    seen = overview(scan(body()))
    assert seen.surrounded and seen.image.shape == (10, SIDE, SIDE)
    assert seen.air == 2 and seen.bright == pytest.approx(100, abs=2)
    np.testing.assert_array_equal(seen.tissue, np.broadcast_to(disc(24, 24, 16), (10, SIDE, SIDE)))


def test_a_large_slice_is_shrunk_to_at_most_128_pixels() -> None:
    image = np.zeros((1, 300, 210), np.uint8)
    image[:, :, 100:] = 90  # 3 pixels make one; the column from 99 to 101 holds one dark pixel and two bright ones
    seen = overview(scan(image))
    assert seen.image.shape == (1, 100, 70)
    assert seen.image[0, 50, 32:35].tolist() == [0, pytest.approx(60, abs=1), 90]


def test_a_picture_without_air_round_it_is_not_surrounded() -> None:
    assert not overview(scan(body()[:, 12:36, 12:36])).surrounded
    assert not overview(scan(np.full((3, 8, 8), 7, np.uint8))).surrounded


def test_blank_is_the_borders_commonest_value() -> None:
    image = body(3)
    image[1, 30:] = 9
    seen = overview(scan(image))
    np.testing.assert_array_equal(seen.blank[1], np.arange(SIDE)[:, None] >= np.full(SIDE, 30))
    assert seen.constant.tolist() == [False, False, False]


def test_values_that_are_no_number_count_as_zero() -> None:
    image = body(3).astype(np.float32)
    image[0, 0, :2] = np.nan, np.inf
    assert overview(scan(image)).image[0, 0, :2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("s_1", "s_2", "s_4", "s_5"), [True, False, True]),
        (("s_10.png", "s_20.png", "s_30.png", "s_50.png"), [True, True, False]),
        (("a", "b", "c", "d"), [True, True, True]),
    ],
)
def test_slices_follow_one_another_by_the_numbers_in_their_names(names: tuple[str, ...], wanted: list[bool]) -> None:
    assert overview(scan(body(4), slice_names=names)).follows.tolist() == wanted
