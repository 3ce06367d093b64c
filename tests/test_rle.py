"""Hand values of run-length text, the same mask read by rows and by columns, and every fault named."""

import re

import numpy as np
import pytest

from casefold import rle
from casefold.core import DataError

MASK = np.array(
    [
        [0, 0, 1, 1],
        [1, 0, 0, 0],
        [0, 1, 1, 0],
    ],
    bool,
)  # the first run goes round the end of a row: by rows 3 pixels, by columns 1 and 2
TEXTS = {
    ("row", 1): "3 3 10 2",
    ("row", 0): "2 3 9 2",
    ("column", 1): "2 1 6 2 9 2",
    ("column", 0): "1 1 5 2 8 2",
}


@pytest.mark.parametrize(("order", "base", "text"), [(*key, text) for key, text in TEXTS.items()])
def test_hand_values_by_order_and_base(order: rle.Order, base: rle.Base, text: str) -> None:
    assert rle.encode(MASK, order=order, base=base) == text
    np.testing.assert_array_equal(rle.decode(text, (3, 4), order=order, base=base), MASK)
    rle.check(text, (3, 4), order=order, base=base)


def test_the_default_is_by_rows_from_one() -> None:
    assert rle.encode(MASK) == "3 3 10 2"
    assert rle.decode("3 3 10 2", (3, 4)).dtype == np.bool_
    np.testing.assert_array_equal(rle.decode("3 3 10 2", (3, 4)), MASK)


def test_by_columns_is_by_rows_of_the_transposed_mask() -> None:
    assert rle.encode(MASK, order="column") == rle.encode(MASK.T)


@pytest.mark.parametrize("order", ["row", "column"])
def test_empty_and_full(order: rle.Order) -> None:
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert rle.encode(empty, order=order) == ""
    assert rle.encode(full, order=order) == "1 12"
    np.testing.assert_array_equal(rle.decode("", (3, 4), order=order), empty)
    np.testing.assert_array_equal(rle.decode(" \n", (3, 4), order=order), empty)
    np.testing.assert_array_equal(rle.decode("1 12", (3, 4), order=order), full)
    rle.check("", (3, 4), order=order)


@pytest.mark.parametrize(
    ("y", "x", "by_rows", "by_columns"),
    [(0, 0, "1 1", "1 1"), (0, 3, "4 1", "10 1"), (2, 0, "9 1", "3 1"), (2, 3, "12 1", "12 1")],
)
def test_corners(y: int, x: int, by_rows: str, by_columns: str) -> None:
    mask = np.zeros((3, 4), bool)
    mask[y, x] = True
    for order, text in (("row", by_rows), ("column", by_columns)):
        assert rle.encode(mask, order=order) == text
        np.testing.assert_array_equal(rle.decode(text, (3, 4), order=order), mask)


def test_one_pixel_is_the_smallest_mask() -> None:
    assert rle.encode(np.ones((1, 1), bool)) == "1 1"
    np.testing.assert_array_equal(rle.decode("1 1", (1, 1)), [[True]])


def test_anything_but_zero_is_mask() -> None:
    assert rle.encode(np.array([[0, 2, 255]], np.uint8)) == "2 2"


def test_runs_that_touch_can_be_read() -> None:
    np.testing.assert_array_equal(rle.decode("3 1 4 2 10 2", (3, 4)), MASK)


@pytest.mark.parametrize("seed", range(40))
def test_decode_undoes_encode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 24, 2).tolist()
    mask = rng.random((height, width)) < rng.choice([0.05, 0.5, 0.95])
    for order, base in TEXTS:
        text = rle.encode(mask, order=order, base=base)
        np.testing.assert_array_equal(rle.decode(text, (height, width), order=order, base=base), mask)
        rle.check(text, (height, width), order=order, base=base)
        assert sum(map(int, text.split()[1::2])) == mask.sum()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "RLE: wanted pairs of start and length, but '3' has 1 entries"),
        ("3 3 10", "RLE: wanted pairs of start and length, but '3 3 10' has 3 entries"),
        ("3 x", "RLE: wanted integers, but '3 x' has other words: invalid literal"),
        ("nan nan", "RLE: wanted integers, but 'nan nan' has other words"),
        ("3.0 1", "RLE: wanted integers, but '3.0 1' has other words"),
        ("1 99999999999999999999", "RLE: wanted integers, but '1 99999999999999999999' has other words"),
        ("0 1", "RLE: the first pixel is 1, but a run starts at 0"),
        ("3 1 -4 1", "RLE: the first pixel is 1, but a run starts at -4"),
        ("-9223372036854775808 1", "RLE: the first pixel is 1, but a run starts at -9223372036854775808"),
        ("3 0", "RLE: a run has at least 1 pixel, but one has the length 0"),
        ("3 -2", "RLE: a run has at least 1 pixel, but one has the length -2"),
        ("10 2 3 3", "RLE: runs should be sorted and not overlap, but 10 2 and 3 3 follow one another"),
        ("1 1 3 3 5 1", "RLE: runs should be sorted and not overlap, but 3 3 and 5 1 follow one another"),
        ("3 1 3 1", "RLE: runs should be sorted and not overlap, but 3 1 and 3 1 follow one another"),
        ("1 1 12 2", "RLE: the run 12 2 goes past the end of a mask of 3 x 4 (height x width) = 12 pixels"),
        ("13 1", "RLE: the run 13 1 goes past the end of a mask of 3 x 4 (height x width) = 12 pixels"),
        ("3 9223372036854775807", "RLE: the run 3 9223372036854775807 goes past the end of a mask of 3 x 4"),
        ("3 18446744073709551619", "RLE: wanted integers, but '3 18446744073709551619' has other words"),  # 2^64 + 3
        ("3+1 4", "RLE: wanted integers, but '3+1 4' has other words"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    for read in (rle.decode, rle.check):
        with pytest.raises(DataError, match=f"^{re.escape(message)}"):
            read(text, (3, 4))


def test_base_zero_has_its_own_first_and_last_pixel() -> None:
    with pytest.raises(DataError, match="the first pixel is 0, but a run starts at -1"):
        rle.decode("-1 1", (3, 4), base=0)
    with pytest.raises(DataError, match="the run 12 1 goes past the end"):
        rle.decode("12 1", (3, 4), base=0)
    np.testing.assert_array_equal(np.argwhere(rle.decode("0 1 11 1", (3, 4), base=0)), [[0, 0], [2, 3]])


def test_a_long_text_is_shortened_in_a_message() -> None:
    with pytest.raises(DataError, match=re.escape(f"but '{'1 1 ' * 10}...' has 101 entries")):
        rle.decode("1 1 " * 50 + "1", (3, 4))


@pytest.mark.parametrize(
    "text", ["3 1 4 2 10 2", "3  3 10 2", " 3 3 10 2", "3 3 10 2\n", "03 3 10 2", "3 3 1_0 2", " "]
)
def test_check_wants_the_very_text_that_encode_writes(text: str) -> None:
    rle.decode(text, (3, 4))
    message = f"RLE: {text!r} can be read but is not canonical: runs that touch should be one"
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        rle.check(text, (3, 4))


def test_a_volume_has_no_rle() -> None:
    with pytest.raises(DataError, match=r"RLE is of one slice, \(height, width\); this mask has shape \(2, 3, 4\)"):
        rle.encode(np.zeros((2, 3, 4), bool))


RELATIVE = {
    ("row", 0): "2 3 4 2",  # runs 2..4 and 9..10: from the end of the first, 5, the second begins 4 later
    ("row", 1): "3 3 5 2",
    ("column", 0): "1 1 3 2 1 2",
    ("column", 1): "2 1 4 2 2 2",
}


@pytest.mark.parametrize(("order", "base", "text"), [(*key, text) for key, text in RELATIVE.items()])
def test_relative_starts_count_from_the_end_of_the_run_before(order: rle.Order, base: rle.Base, text: str) -> None:
    assert rle.encode(MASK, order=order, base=base, starts="relative") == text
    np.testing.assert_array_equal(rle.decode(text, (3, 4), order=order, base=base, starts="relative"), MASK)
    rle.check(text, (3, 4), order=order, base=base, starts="relative")


def test_relative_is_absolute_for_none_and_for_one_run() -> None:
    assert rle.encode(np.zeros((3, 4), bool), starts="relative") == ""
    assert not rle.decode("", (3, 4), starts="relative").any()
    assert rle.encode(np.ones((3, 4), bool), base=0, starts="relative") == "0 12"


@pytest.mark.parametrize("seed", range(10))
def test_decode_undoes_encode_with_relative_starts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 7)) < 0.4
    for order, base in TEXTS:
        text = rle.encode(mask, order=order, base=base, starts="relative")
        np.testing.assert_array_equal(rle.decode(text, (9, 7), order=order, base=base, starts="relative"), mask)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 11 1", "RLE: the run 12 1 goes past the end of a mask of 3 x 4 (height x width) = 12 pixels"),
        ("2 3 -1 2", "RLE: runs should be sorted and not overlap, but 2 3 and 4 2 follow one another"),
        ("-1 1", "RLE: the first pixel is 0, but a run starts at -1"),
        ("0 9223372036854775807 1 1", "RLE: wanted integers, but '0 9223372036854775807 1 1' has other words"),
    ],
)
def test_what_is_wrong_with_relative_starts_is_named(text: str, message: str) -> None:
    for read in (rle.decode, rle.check):
        with pytest.raises(DataError, match=f"^{re.escape(message)}"):
            read(text, (3, 4), base=0, starts="relative")


def test_relative_runs_that_touch_can_be_read_but_are_not_canonical() -> None:
    assert np.flatnonzero(rle.decode("0 1 0 1", (3, 4), base=0, starts="relative")).tolist() == [0, 1]
    with pytest.raises(DataError, match=r"^RLE: '0 1 0 1' can be read but is not canonical"):
        rle.check("0 1 0 1", (3, 4), base=0, starts="relative")
