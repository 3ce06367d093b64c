"""Submissions beside one another: pixels counted, flips found and votes taken, against small answers written out."""

import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from casefold import rle
from casefold.config.masks import UWMGI_FORM, UWMGI_TRUTH, RleForm
from casefold.core import ConfigError, DataError
from casefold.voting import (
    Submission,
    agreement,
    compare,
    compare_masks,
    differing,
    flips,
    read_sizes,
    read_submissions,
    vote,
)

A, B, C = "case1_day0_slice_0001", "case1_day0_slice_0002", "case2_day0_slice_0001"
FIRST = {(A, "stomach"): "2 3", (A, "bowel"): "", (B, "stomach"): "", (B, "bowel"): "6 1", (C, "stomach"): "1 1"}
SECOND = {(A, "stomach"): "3 4", (A, "bowel"): "", (B, "stomach"): "1 2", (B, "bowel"): "", (C, "stomach"): "1 1"}
SIZES = dict.fromkeys((A, B, C), (2, 3))
OBJECTS = RleForm(class_column=None, order="column", base=0, starts="relative", empty="-1", instances=True)


def submission(texts: dict[tuple[str, str], str], name: str = "a.csv", form: RleForm = UWMGI_FORM) -> Submission:
    return Submission(Path(name), texts, form)


def one(*texts: str, form: RleForm = UWMGI_FORM) -> list[Submission]:
    """Submissions of one image and class."""
    return [submission({("i", "c"): text}, f"{place}.csv", form) for place, text in enumerate(texts)]


def scan_of(name: str) -> str:
    return name.partition("_slice_")[0]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("sizes", [None, SIZES])
def test_pixels_are_counted_with_and_without_the_images_sizes(sizes: dict[str, tuple[int, int]] | None) -> None:
    pixels = compare(submission(FIRST), submission(SECOND), scan_of, sizes)
    assert list(pixels) == ["scan", "id", "class", "both", "first", "second"]
    assert pixels.to_numpy().tolist() == [
        ["case1_day0", A, "stomach", 2, 3, 4],
        ["case1_day0", A, "bowel", 0, 0, 0],
        ["case1_day0", B, "stomach", 0, 0, 2],
        ["case1_day0", B, "bowel", 0, 1, 0],
        ["case2_day0", C, "stomach", 1, 1, 1],
    ]
    assert differing(pixels).index.tolist() == [0, 2, 3]
    assert flips(pixels)[["id", "class", "only"]].to_numpy().tolist() == [
        [B, "stomach", "second"],
        [B, "bowel", "first"],
    ]


def test_agreement_is_dice_by_scan_and_class_and_what_one_has_alone() -> None:
    frame = agreement(compare(submission(FIRST), submission(SECOND), scan_of))
    assert list(frame) == ["scan", "dice stomach", "dice bowel", "only first", "only second"]
    case1, case2, total = frame.to_numpy().tolist()
    assert case1 == ["case1_day0", pytest.approx(2 * 2 / (3 + 6)), 0.0, 1, 1]
    assert case2[:2] == ["case2_day0", 1.0] and math.isnan(case2[2]) and case2[3:] == [0, 0]
    assert total == ["all", pytest.approx((4 / 9 + 1) / 2), 0.0, 1, 1]


def test_masks_are_compared_as_rows_are() -> None:
    first, second = np.zeros((2, 2, 2, 2, 3), bool)
    first[0, 0, 0, 1:] = second[0, 0, 0, 1] = first[1, 1, 1, 2] = True
    pixels = compare_masks("brain.nii.gz", first, second, ("a", "b"))
    assert pixels.to_numpy().tolist() == [
        ["brain.nii.gz", "brain.nii.gz 1", "a", 1, 2, 1],
        ["brain.nii.gz", "brain.nii.gz 1", "b", 0, 0, 0],
        ["brain.nii.gz", "brain.nii.gz 2", "a", 0, 0, 0],
        ["brain.nii.gz", "brain.nii.gz 2", "b", 0, 1, 0],
    ]


@pytest.mark.parametrize("sizes", [None, {"i": (2, 3)}])
@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (("2 3", "3 4", "4 1 6 1"), "3 2 6 1"),  # votes for the pixels 2 to 6: 1, 2, 3, 1, 2
        (("2 3", "3 4"), "2 3"),  # 2, 5 and 6 are ties
        (("3 4", "2 3"), "3 4"),
        (("1 2", "1 2", "2 2", "3 1"), "1 2"),  # votes for 1, 2, 3: 2, 3, 2
        (("", "1 2", "2 2", "3 1"), ""),  # 1 has one vote, 2 and 3 are ties, and the first has neither
        (("", "1 6", "1 6"), "1 6"),
        (("1 6", "", ""), ""),
        (("", "", ""), ""),
    ],
)
def test_a_pixel_wants_more_than_half_and_a_tie_is_as_the_first_has_it(
    texts: tuple[str, ...], wanted: str, sizes: dict[str, tuple[int, int]] | None
) -> None:
    assert list(vote(one(*texts), sizes)) == [("i", "c", wanted)]


def test_an_odd_vote_does_not_hang_on_the_order_of_files() -> None:
    random = np.random.default_rng(5)
    masks = random.random((3, 5, 7)) < 0.5
    wanted = rle.encode(masks.sum(axis=0) >= 2)
    for order in permutations(masks):
        assert list(vote(one(*map(rle.encode, order)))) == [("i", "c", wanted)]


def test_rows_come_in_the_first_ones_order() -> None:
    reverse = dict(reversed(SECOND.items()))
    assert [row[:2] for row in vote([submission(FIRST), submission(reverse)])] == list(FIRST)


def test_runs_down_columns_from_0_that_are_relative_are_voted_on() -> None:
    form = RleForm(class_column=None, order="column", base=0, starts="relative")
    texts = ("0 2 1 2", "1 4", "4 1")  # pixels 0 1 3 4, then 1 to 4, then 4
    assert list(vote(one(*texts, form=form))) == [("i", "c", "1 1 1 2")]


def test_objects_are_voted_on_by_pixels_and_parted_anew_where_sizes_are_known() -> None:
    # 3 x 3 down columns: the left column and the right one; the first file has them as two rows, the second the left
    both, left, right = "0 3\n6 3", "0 3", "6 3"
    assert list(vote(one(both, left, right, form=OBJECTS), {"i": (3, 3)})) == [("i", "c", "0 3\n6 3")]
    with pytest.raises(DataError, match=r"0\.csv, 1\.csv: a row is an object.*--data, or with --sample"):
        list(vote(one(both, left, form=OBJECTS)))
    assert compare(*one(both, left, form=OBJECTS), scan_of).to_numpy().tolist() == [["i", "i", "c", 3, 6, 3]]


def test_one_submission_is_no_vote() -> None:
    with pytest.raises(ConfigError, match="a vote wants two submissions or more, not 1"):
        list(vote(one("1 1")))


def test_runs_in_two_orders_want_sizes() -> None:
    first, _ = one("2 1", "")
    _, second = one("", "3 1", form=RleForm(order="column"))
    with pytest.raises(DataError, match="along rows in one and down columns in another; give the images' sizes"):
        compare(first, second, scan_of)
    # pixel 2 along the rows of 2 x 3 is pixel 3 down its columns
    assert compare(first, second, scan_of, {"i": (2, 3)})[["both", "first", "second"]].to_numpy().tolist() == [
        [1, 1, 1]
    ]


@pytest.mark.parametrize(
    ("text", "sizes", "message"),
    [
        ("1 x", None, r"1\.csv: image i, class c: RLE: wanted integers"),
        ("1", None, r"1\.csv: image i, class c: RLE: wanted pairs"),
        ("0 1", None, "the first pixel is 1, but a run starts at 0"),
        ("5 1 1 1", None, "runs should be sorted"),
        ("1 99999999999", None, "a run ends at pixel 100000000000, where no image should have one; give"),
        ("6 2", {"i": (2, 3)}, "goes past the end of a mask of 2 x 3"),
        ("6 1", {"j": (2, 3)}, r"1 images have no known size: i; give the images' sizes"),
        ("6 1", {}, r"1 images have no known size: i; give the images' sizes"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, sizes: dict[str, tuple[int, int]] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(vote(one("", text), sizes))
    with pytest.raises(DataError, match=message):
        compare(*one("", text), scan_of, sizes)


def test_files_must_have_the_same_rows_in_any_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", f"id,class,predicted\n{A},stomach,2 3\n{B},stomach,\n")
    other = write(tmp_path / "b.csv", f"id,class,segmentation\n{B},stomach,1 1\n{A},stomach,\n")
    less = write(tmp_path / "c.csv", f"id,class,predicted\n{A},stomach,\n")
    read = read_submissions([first, other], [UWMGI_FORM, UWMGI_TRUTH])
    assert [dict(entry.texts) for entry in read] == [
        {(A, "stomach"): "2 3", (B, "stomach"): ""},
        {(B, "stomach"): "1 1", (A, "stomach"): ""},
    ]
    assert [entry.form for entry in read] == [UWMGI_FORM, UWMGI_TRUTH]
    with pytest.raises(DataError, match=r"c\.csv lacks 1 rows that .*a\.csv or others have: \('case1_day0_slice_0002'"):
        read_submissions([first, less], [UWMGI_FORM])
    with pytest.raises(DataError, match="there are no rows in"):
        read_submissions([write(tmp_path / "d.csv", "id,class,predicted\n")], [UWMGI_FORM])


def test_a_row_that_may_be_missing_is_empty(tmp_path: Path) -> None:
    form = RleForm(id="ImageId", class_column="ClassId", class_names={"crack": "1"}, rle="runs", empty="missing")
    first = write(tmp_path / "a.csv", "ImageId,ClassId,runs\na.jpg,1,1 2\n")
    second = write(tmp_path / "b.csv", "ImageId,ClassId,runs\nb.jpg,1,4 1\n")
    read = read_submissions([first, second], [form], (), ("crack",))
    assert read[0].texts == {("a.jpg", "crack"): "1 2", ("b.jpg", "crack"): ""}
    assert read[1].texts == {("b.jpg", "crack"): "4 1", ("a.jpg", "crack"): ""}
    assert list(vote(read)) == [("a.jpg", "crack", "1 2"), ("b.jpg", "crack", "")]


@pytest.mark.parametrize(
    "text",
    [
        "id,class,height,width\nx,left,310,360\nx,right,310,360\n",
        "id,shape\nx,310x360\n",
        'id,shape\nx,"(310, 360)"\n',
    ],
)
def test_sizes_stand_in_two_columns_or_in_one(tmp_path: Path, text: str) -> None:
    given = submission({("x", "left"): "", ("x", "right"): ""})
    assert read_sizes(write(tmp_path / "sample.csv", text), given) == {"x": (310, 360)}


def test_sizes_are_found_by_the_id_that_the_form_makes(tmp_path: Path) -> None:
    form = RleForm(id="key", key="{id}_{class}", class_column=None)
    sample = write(tmp_path / "sample.csv", "key,height,width\nx_left,2,3\n")
    assert read_sizes(sample, submission({("x", "left"): ""}, form=form)) == {"x": (2, 3)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,class\nx,left\n", r"should have the columns id, and height and width or shape; it has \['id', 'class'\]"),
        ("id,shape\ny,2x3\n", "should have the height and the width of x, but has ''"),
        ("id,shape\nx,2x3x4\n", "should have the height and the width of x, but has '2x3x4'"),
        ("id,height,width\nx,0,3\n", "should have the height and the width of x, but has '0 3'"),
    ],
)
def test_sizes_that_are_none_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_sizes(write(tmp_path / "sample.csv", text), submission({("x", "left"): ""}))
