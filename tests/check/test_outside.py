"""Objects outside the body."""

import numpy as np
from bodies import body, disc, scan

from casefold.check.outside import objects_outside
from casefold.check.overview import overview


def places(image: np.ndarray) -> list[tuple[str, str]]:
    return [(found.where, found.what) for found in objects_outside(scan(image), overview(scan(image)))]


def test_nothing_is_outside_a_sound_body() -> None:
    assert places(body()) == []


def test_a_tube_and_a_marker_are_one_finding() -> None:
    image = body()
    image[2:5, disc(4, 4, 2)] = 90
    image[7, disc(43, 40, 2)] = 110
    where = "case1_day0_slice_0003 to case1_day0_slice_0005, case1_day0_slice_0008"
    assert places(image) == [(where, "2 bright pieces apart from the body")]


def test_what_is_dim_small_or_joined_to_the_body_is_not_told() -> None:
    image = body()
    image[2:5, disc(4, 4, 2)] = 35  # brighter than air, dimmer than half of the tissue
    image[6, 44, 44:47] = 110
    image[8, 22:26, 38:46] = 100
    assert places(image) == []


def test_a_blank_slice_does_not_part_the_body() -> None:
    image = body()
    image[4] = 0
    assert places(image) == []


def test_without_air_round_a_body_nothing_is_outside() -> None:
    image = body()[:, 10:38, 10:38]
    image[3, :, 12:15] = 0  # a dark band parts the slice
    assert places(image) == []
