"""Filters against pixels worked out by hand, and equal in the store and at submission."""

from typing import Any, get_args

import cv2
import numpy as np
import pytest

import toy
from casefold.config.base import ClaheFilter, FilterConfig, MedianFilter, N4Filter
from casefold.config.datasets import UwmgiDataset
from casefold.core import DataError, Grid, Scan
from casefold.filters import FILTERS, apply_filters
from casefold.prepare import prepare
from casefold.readers.table import find, load

N4 = N4Filter(name="n4", shrink=2, iterations=(20, 20))
MEDIAN = MedianFilter(name="median")
CLAHE = ClaheFilter(name="clahe", tiles=2)
TYPES = ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"]


def scan(image: np.ndarray) -> Scan:
    _, z, y, x = image.shape
    return Scan("case1", "case1_day0", image, Grid((z, y, x)), ("a",), tuple(map(str, range(z))))


def filtered(image: np.ndarray, *filters: Any) -> np.ndarray:
    return apply_filters(scan(image), filters).image


def test_no_filter_gives_the_scan_itself() -> None:
    given = scan(np.zeros((1, 1, 4, 4), np.uint8))
    assert apply_filters(given, ()) is given


def test_every_name_of_the_config_is_in_the_table() -> None:
    union, _ = get_args(FilterConfig)
    assert [get_args(choice.model_fields["name"].annotation)[0] for choice in get_args(union)] == list(FILTERS)


@pytest.mark.parametrize("kind", TYPES)
def test_the_median_takes_salt_away_and_keeps_the_type(kind: str) -> None:
    image = np.full((2, 2, 5, 6), 40, kind)
    image[0, 0, 2, 3] = 100
    image[1, 1, 0, 0] = 3  # the corner is repeated outwards: 4 of the 9 pixels around it are this one
    done = filtered(image, MEDIAN)
    assert done.dtype == image.dtype and done.shape == image.shape
    assert np.unique(done).tolist() == [40]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("size", [3, 5])
def test_the_median_of_each_slice_is_that_of_its_square(kind: str, size: int) -> None:
    image = np.random.default_rng(0).integers(0, 120, (1, 3, 7, 9)).astype(kind)
    done = filtered(image, MedianFilter(name="median", size_px=size))  # type: ignore[arg-type]
    padded = np.pad(image[0], ((0, 0), (size // 2,) * 2, (size // 2,) * 2), mode="edge")
    for z, y, x in np.ndindex(3, 7, 9):
        assert done[0, z, y, x] == np.median(padded[z, y : y + size, x : x + size])


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_clahe_is_by_slice_and_keeps_the_type(kind: str) -> None:
    image = np.random.default_rng(0).integers(50, 90, (1, 2, 32, 32)).astype(kind)
    done = filtered(image, CLAHE)
    assert done.dtype == image.dtype
    assert np.ptp(done[0, 0].astype(int)) > np.ptp(image[0, 0].astype(int))
    np.testing.assert_array_equal(filtered(image[:, :1], CLAHE)[0, 0], done[0, 0])
    np.testing.assert_array_equal(done[0, 1], cv2.createCLAHE(2.0, (2, 2)).apply(image[0, 1]))


def test_clahe_refuses_other_types() -> None:
    message = (
        r"scan case1_day0: the filter clahe takes images of uint8 or uint16, and this one is int16; take clahe out"
    )
    with pytest.raises(DataError, match=message):
        filtered(np.zeros((1, 1, 8, 8), np.int16), CLAHE)


def shaded(slices: int) -> tuple[np.ndarray, np.ndarray]:
    """A body of 200 under a coil that is 1.65 times stronger at the right, in air of 0; and where the body is."""
    y, x = np.mgrid[:48, :64]
    body = (y - 24) ** 2 + (x - 32) ** 2 < 20**2
    return np.tile(np.where(body, 200 * np.exp(0.5 * x / 64), 0), (1, slices, 1, 1)).astype(np.uint16), body


@pytest.mark.parametrize("slices", [1, 3, 8])
def test_n4_takes_the_shading_away_the_same_twice(slices: int) -> None:
    image, body = shaded(slices)
    done = filtered(image, N4)
    assert done.dtype == np.float32 and done.shape == image.shape
    before, after = (part[0][:, body].std() / part[0][:, body].mean() for part in (image.astype(float), done))
    assert before > 0.07 and after < before / 3
    assert done[0][:, ~body].max() == 0
    assert filtered(image, N4).tobytes() == done.tobytes()


def test_n4_works_by_modality() -> None:
    image, _ = shaded(4)
    both = filtered(np.concatenate([image, image[..., ::-1] * 3]), N4)
    np.testing.assert_array_equal(both[:1], filtered(image, N4))


@pytest.mark.parametrize("value", [0, 7, -1000])
def test_n4_leaves_an_image_without_foreground_as_it_is(value: int) -> None:
    done = filtered(np.full((1, 4, 16, 16), value, np.int16), N4)
    assert done.dtype == np.float32 and np.unique(done).tolist() == [value]


def test_n4_refuses_slices_of_a_few_pixels() -> None:
    with pytest.raises(
        DataError, match=r"scan case1_day0: slices of \(3, 9\) are too small for the filter n4; take it out"
    ):
        filtered(np.zeros((1, 4, 3, 9), np.uint16), N4)


def test_filters_are_applied_in_the_configs_order() -> None:
    image = np.random.default_rng(0).integers(0, 200, (1, 2, 16, 16)).astype(np.uint8)
    there, back = filtered(image, MEDIAN, CLAHE), filtered(image, CLAHE, MEDIAN)
    np.testing.assert_array_equal(there, filtered(filtered(image, MEDIAN), CLAHE))
    assert not np.array_equal(there, back)


def test_the_store_holds_what_submission_reads(tmp_path: Any) -> None:
    """`prepare` and `submit` read scans by the same call; with filters and without they see different images."""
    raw = toy.write_raw(tmp_path / "raw", toy.SCANS[:1])
    for filters in ([], [{"name": "median"}, {"name": "clahe"}], [{"name": "n4", "iterations": [5]}]):
        config = UwmgiDataset(**toy.content(filters=filters))
        stored = prepare(config, raw, tmp_path / "store").scan("case2_day0")
        (submitted,) = (load(config, scan) for scan in find(config, raw, "test", raw / "train"))
        np.testing.assert_array_equal(stored.image, submitted.image)
        assert np.array_equal(stored.image[0], toy.draw(toy.SCANS[0])[0]) == (not filters)
