"""Gaps, runs, ends and truncation along z, on drawings worked out by hand."""

import numpy as np
import pytest
from drawn import after, mask, picture

from casefold.config.postprocess import DropEnds, DropRuns, FillGaps, Truncate
from casefold.core import DataError
from casefold.postprocess import apply

NONE = "......./" * 4 + "......."


def test_a_gap_between_equal_slices_is_filled_with_them() -> None:
    assert after(FillGaps(max_slices=2), "##./#..", ".../...", ".../...", "##./#..") == ("##./#..",) * 4


def test_a_longer_gap_stays_and_so_do_both_ends() -> None:
    slices = ("...", "##.", "...", "...", "##.", "...")
    assert after(FillGaps(max_slices=1), *slices) == slices
    assert after(FillGaps(max_slices=2), *slices) == ("...", "##.", "##.", "##.", "##.", "...")


def test_every_gap_is_judged_by_itself() -> None:
    slices = ("#", ".", "#", ".", ".", "#", ".", "#")
    assert after(FillGaps(max_slices=1), *slices) == ("#", "#", "#", ".", ".", "#", "#", "#")


def test_between_a_dot_and_a_square_the_shape_grows() -> None:
    # Depths, inside positive: the dot's is 1 at its pixel and -distance elsewhere; the square's 1, 2, 3 from its rim to
    # the middle. Half way: straight neighbours -1 + 2 > 0, diagonal ones -1.41 + 2 > 0, two away at most -2 + 1 < 0.
    dot = ("......./" * 7)[:27] + "#" + ("......./" * 7)[28:-1]
    three = "......./......./..###../..###../..###../......./......."
    five = "......./.#####./.#####./.#####./.#####./.#####./......."
    none = ("......./" * 7)[:-1]
    assert after(FillGaps(max_slices=1), dot, none, five) == (dot, three, five)
    # A gap of two: first 2 x dot + square, straight neighbours -2 + 2 is not inside; then dot + 2 x square, straight
    # ones two away -2 + 2 is not inside.
    assert after(FillGaps(max_slices=2), dot, none, none, five) == (dot, dot, three, five)
    assert after(FillGaps(max_slices=2), five, none, none, dot) == (five, three, dot, dot)


def test_between_shifted_squares_the_shape_lies_half_way() -> None:
    # Middle row: depths 1 2 1 -1 -2 and -2 -1 1 2 1, sum -1 1 2 1 -1. Rows beside it: 1 1 1 -1 -2 and -2 -1 1 1 1, sum
    # -1 0 2 0 -1.
    left, right = "......./.###.../.###.../.###.../.......", "......./...###./...###./...###./......."
    diamond = "......./...#.../..###../...#.../......."
    assert after(FillGaps(max_slices=1), left, NONE, right) == (left, diamond, right)


def test_a_gap_between_shapes_far_apart_stays() -> None:
    slices = ("##......", "........", "......##")
    assert after(FillGaps(max_slices=1), *slices) == slices
    # Three slices between shifted ones: the middle one would be empty, so none is filled.
    slices = ("##...", ".....", ".....", ".....", "...##")
    assert after(FillGaps(max_slices=3), *slices) == slices


def test_a_filled_shape_does_not_depend_on_where_the_scan_ends() -> None:
    alone = apply(mask("##/##", "../..", "#./.."), [FillGaps(max_slices=1)], "a")
    inner = np.zeros((1, 5, 6, 6), bool)
    inner[:, 1:4, 2:4, 2:4] = mask("##/##", "../..", "#./..")
    filled = apply(inner, [FillGaps(max_slices=1)], "a")
    np.testing.assert_array_equal(filled[:, 1:4, 2:4, 2:4], alone)
    assert filled.sum() == alone.sum()


def test_short_runs_of_slices_are_dropped_whatever_lies_in_them() -> None:
    slices = ("#..", "...", ".##", "#..", "...", "###", "###", "###")
    assert after(DropRuns(min_slices=2), *slices) == ("...", "...", ".##", "#..", "...", "###", "###", "###")
    assert after(DropRuns(min_slices=3), *slices) == ("...",) * 5 + ("###",) * 3
    assert after(DropRuns(min_slices=4), *slices) == ("...",) * 8


def test_the_scans_first_and_last_slices_are_emptied() -> None:
    assert after(DropEnds(first_slices=1, last_slices=2), *["#"] * 5) == (".", "#", "#", ".", ".")
    assert after(DropEnds(first_slices=1), *["#"] * 3) == (".", "#", "#")
    assert after(DropEnds(last_slices=1), *["#"] * 3) == ("#", "#", ".")
    assert after(DropEnds(first_slices=9), *["#"] * 3) == after(DropEnds(last_slices=9), *["#"] * 3) == (".",) * 3


def test_the_ends_are_those_of_the_scan_not_of_the_class() -> None:
    assert after(DropEnds(first_slices=1, last_slices=1), ".", "#", "#", ".") == (".", "#", "#", ".")
    assert after(DropEnds(first_slices=2), ".", "#", "#", ".") == (".", ".", "#", ".")


def test_the_edge_rows_are_those_along_y() -> None:
    assert after(DropEnds(edge_px=1), "###/###/###/###") == (".../###/###/...",)
    assert after(DropEnds(edge_px=1), ".../###/###/...") == (".../###/###/...",)
    assert after(DropEnds(edge_px=2), "###/###/###") == (".../.../...",)


def presence(*values: int) -> dict[str, np.ndarray]:
    return {"ends": np.array([values], np.uint8)}


def test_truncation_empties_what_lies_outside_the_members_range() -> None:
    # Slices 1 to 3 at level 128, although slice 2 is below it.
    known = presence(127, 128, 0, 200, 100)
    assert after(Truncate(member="ends"), *["#"] * 5, presence=known) == (".", "#", "#", "#", ".")
    assert after(Truncate(member="ends", level=129), *["#"] * 5, presence=known) == (".", ".", ".", "#", ".")
    assert after(Truncate(member="ends", level=100), *["#"] * 5, presence=known) == ("#", "#", "#", "#", "#")
    assert after(Truncate(member="ends", level=201), *["#"] * 5, presence=known) == (".",) * 5


def test_truncation_reads_slices_of_the_scan_not_of_the_class() -> None:
    known = presence(255, 255, 0, 0)
    assert after(Truncate(member="ends"), ".", "#", "#", ".", presence=known) == (".", "#", ".", ".")


def test_presence_by_class_truncates_each_class_by_its_own() -> None:
    masks = np.ones((2, 3, 1, 1), bool)
    known = {"ends": np.array([[255, 255, 0], [0, 0, 255]], np.uint8)}
    done = apply(masks, [Truncate(member="ends")], ("a", "b"), presence=known)
    assert done[:, :, 0, 0].tolist() == [[True, True, False], [False, False, True]]
    done = apply(masks, [Truncate(member="ends", classes=("b",))], ("a", "b"), presence=known)
    assert done[:, :, 0, 0].tolist() == [[True, True, True], [False, False, True]]


def test_what_lies_footward_of_labels_cut_off_is_emptied() -> None:
    # Above level 128: 72, 32, -28, 22, -118; the sum is largest behind slice 3, though slice 2 alone says no.
    known = presence(200, 160, 100, 150, 10)
    assert after(Truncate(member="ends", foot="first"), *["#"] * 5, presence=known) == (".", ".", "#", "#", "#")
    assert after(Truncate(member="ends", foot="first", level=120), *["#"] * 5, presence=known) == (*"....", "#")
    assert after(Truncate(member="ends", foot="first", level=201), *["#"] * 5, presence=known) == ("#",) * 5
    turned = presence(10, 150, 100, 160, 200)
    assert after(Truncate(member="ends", foot="last"), *["#"] * 5, presence=turned) == ("#", "#", "#", ".", ".")


def test_one_slice_that_errs_far_from_the_foot_empties_nothing() -> None:
    assert after(Truncate(member="ends", foot="first"), *["#"] * 4, presence=presence(0, 0, 255, 0)) == ("#",) * 4
    assert after(Truncate(member="ends", foot="first"), "#", "#", presence=presence(128, 127)) == (".", "#")


def test_presence_that_is_missing_or_misshapen_is_refused() -> None:
    with pytest.raises(DataError, match=r"truncate wants the presence of ends; there is that of \['gate'\]"):
        after(Truncate(member="ends"), "#", presence={"gate": np.zeros((1, 1), np.uint8)})
    message = r"presence of ends should be \(class or 1, z\), \(1, 2\) here, but is \(1, 3\)"
    with pytest.raises(DataError, match=message):
        after(Truncate(member="ends"), "#", "#", presence=presence(1, 2, 3))
    with pytest.raises(DataError, match=r"\(1, 2\) here, but is \(2,\)"):
        after(Truncate(member="ends"), "#", "#", presence={"ends": np.zeros(2, np.uint8)})


def test_the_drawings_are_read_as_they_are_written() -> None:
    assert picture(mask("#./.#", "../##")) == ("#./.#", "../##")
    assert mask("#../..#").shape == (1, 1, 2, 3)
