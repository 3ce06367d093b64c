"""Rows, CSV, the strict checker, scoring and label maps, against small answers written out."""

import logging
import math
from pathlib import Path

import numpy as np
import pytest

from casefold import submission
from casefold.config.masks import RleForm
from casefold.core import DataError, Masks
from casefold.submission import Slice, check_csv, read_csv, write_csv

IDS = ("case1_day0_slice_0001", "case1_day0_slice_0002")
A, B = IDS
SIZES = dict.fromkeys(IDS, (2, 3))
SAMPLE = f"id,class,predicted\n{B},stomach,\n{A},NA,\n{A},stomach,\n{B},NA,\n"


def two_slices() -> Masks:
    masks = np.zeros((2, 2, 2, 3), bool)
    masks[0, 0, 0, 1:] = masks[0, 0, 1, 0] = True  # stomach, slice 1: pixels 2, 3 and 4
    masks[1, 1, 1, 2] = True  # NA, slice 2: the last pixel, 6
    return Masks("case1", "case1_day0", ("stomach", "NA"), IDS, masks)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_are_one_a_slice_and_class() -> None:
    assert submission.rows(two_slices()) == [(A, "stomach", "2 3"), (A, "NA", ""), (B, "stomach", ""), (B, "NA", "6 1")]


def test_without_a_sample_every_row_is_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    assert write_csv(path, submission.rows(two_slices())) == (4, 0, 0)
    assert path.read_text() == f"id,class,predicted\n{A},stomach,2 3\n{A},NA,\n{B},stomach,\n{B},NA,6 1\n"
    check_csv(path, None, SIZES, ("stomach", "NA"))


def test_a_sample_gives_rows_and_order(tmp_path: Path) -> None:
    sample, path = write(tmp_path / "sample.csv", SAMPLE), tmp_path / "submission.csv"
    assert write_csv(path, submission.rows(two_slices()), sample) == (4, 0, 0)
    assert path.read_text() == f"id,class,predicted\n{B},stomach,\n{A},NA,\n{A},stomach,2 3\n{B},NA,6 1\n"
    check_csv(path, sample, SIZES)


def test_rows_missing_and_extra_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sample = write(tmp_path / "sample.csv", f"id,class,predicted\n{B},NA,1 1\nother,NA,1 1\n")
    path = tmp_path / "submission.csv"
    with caplog.at_level(logging.WARNING):
        assert write_csv(path, submission.rows(two_slices()), sample) == (2, 1, 3)
    assert path.read_text() == f"id,class,predicted\n{B},NA,6 1\nother,NA,\n"
    assert "1 of its 2 rows have no prediction and are left empty, 3 predicted rows are not in it" in caplog.text


def test_a_sample_with_a_header_alone_is_none(tmp_path: Path) -> None:
    sample, path = write(tmp_path / "sample.csv", "id,class,predicted\n"), tmp_path / "submission.csv"
    assert write_csv(path, submission.rows(two_slices()), sample) == (4, 0, 0)
    check_csv(path, sample, SIZES, ("stomach", "NA"))


def test_a_row_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"two rows for slice {A}, class stomach"):
        write_csv(tmp_path / "submission.csv", [(A, "stomach", ""), (A, "stomach", "1 1")])
    assert list(tmp_path.iterdir()) == []


def test_read_csv_keeps_empty_cells_and_a_class_called_na(tmp_path: Path) -> None:
    truth = write(tmp_path / "train.csv", f"id,class,segmentation\n{A},NA,\n{A},stomach,1 2\n{B},stomach\n")
    assert read_csv(truth) == {(A, "NA"): "", (A, "stomach"): "1 2", (B, "stomach"): ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,class\na,b\n", r"should have one column of RLE, `predicted` or `segmentation`; it has \['id', 'class'\]"),
        ("id,predicted\na,b\n", r"should have the columns id and class, but has \['id', 'predicted'\]"),
        ("id,class,predicted\na,b,\na,b,1 1\n", r"1 rows \(id, class\) stand more than once: \('a', 'b'\)"),
        ("id,class,predicted\na,b,,1\n", "the rows have more cells than the header"),
        ("", "can't be read as CSV"),
    ],
)
def test_read_csv_refuses(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(write(tmp_path / "bad.csv", text))


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("id,class,segmentation\n", ["the columns should be ['id', 'class', 'predicted'], but are"]),
        ("class,id,predicted\n", ["the columns should be ['id', 'class', 'predicted'], but are"]),
        (
            f"id,class,predicted\n{B},stomach,\n{B},stomach,\n{A},liver,\nother,NA,1 1\n",
            [
                f"1 rows stand twice: ('{B}', 'stomach')",
                f"3 rows are missing: ('{A}', 'NA'), ('{A}', 'stomach'), ('{B}', 'NA')",
                f"2 rows should not be there: ('{A}', 'liver'), ('other', 'NA')",
                "1 masks are of slices without a known size: ('other', 'NA')",
            ],
        ),
        (
            f"id,class,predicted\n{B},stomach,\n{A},stomach,\n{A},NA,\n{B},NA,\n",
            [f"2 rows are not in the sample's order: ('{A}', 'stomach'), ('{A}', 'NA')"],
        ),
        (
            f"id,class,predicted\n{B},stomach,6 2\n{A},NA,0 1\n{A},stomach,1 1 2 1\n{B},NA,nan\n",
            [
                f"4 masks are not valid RLE: {B} stomach: RLE",
                f"{A} NA: RLE",
                f"{A} stomach: RLE",
                f"{B} NA: RLE",
            ],
        ),
    ],
)
def test_check_names_every_fault(tmp_path: Path, text: str, messages: list[str]) -> None:
    sample, path = write(tmp_path / "sample.csv", SAMPLE), write(tmp_path / "submission.csv", text)
    with pytest.raises(DataError) as fault:
        check_csv(path, sample, SIZES)
    for message in messages:
        assert message in str(fault.value)


def test_check_lets_a_sampled_slice_that_nobody_found_be_empty(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", "id,class,predicted\nother,NA,1 1\n")
    write_csv(tmp_path / "submission.csv", [], sample)
    check_csv(tmp_path / "submission.csv", sample, SIZES)
    with pytest.raises(DataError, match="without a sample that has rows, the check wants the classes"):
        check_csv(tmp_path / "submission.csv", None, SIZES)


def test_check_shows_the_first_faults_only(tmp_path: Path) -> None:
    sizes = {f"slice{number}": (2, 2) for number in range(9)}
    with pytest.raises(DataError, match=r"9 rows are missing: \('slice0', 'a'\), .*\('slice4', 'a'\), \.\.\.$"):
        check_csv(write(tmp_path / "submission.csv", "id,class,predicted\n"), None, sizes, ("a",))


def test_score_by_hand(tmp_path: Path) -> None:
    slices = {"p2": Slice("p", 1, 1, 4), "p1": Slice("p", 0, 1, 4), "q1": Slice("q", 0, 2, 1)}
    truth = write(
        tmp_path / "truth.csv",
        "id,class,segmentation\np1,b,\np1,a,1 2\np2,a,1 2\np2,b,\nq1,a,\nq1,b,1 2\nother,a,1 1\nother,b,\n",
    )
    predicted = write(
        tmp_path / "submission.csv", "id,class,predicted\nq1,a,\nq1,b,1 2\np1,a,1 2\np2,a,2 2\np1,b,\np2,b,\n"
    )
    result = submission.score(predicted, truth, slices, ("a", "b"))
    np.testing.assert_array_equal(result.dice["p"], [2 * 3 / 8, np.nan])
    np.testing.assert_array_equal(result.dice["q"], [np.nan, 1.0])
    assert result.scans["p"].dice == (1 + 0.5) / 2
    assert result.scans["p"].hausdorff == pytest.approx(1 / 4 / math.sqrt(3), abs=1e-12)
    assert result.total.dice == (1 + 0.5 + 1) / 3
    assert result.total.hausdorff == pytest.approx(1 / 4 / math.sqrt(3) / 2, abs=1e-12)
    swapped = submission.score(predicted, truth, slices, ("b", "a"))
    np.testing.assert_array_equal(swapped.dice["p"], [np.nan, 2 * 3 / 8])


@pytest.mark.parametrize(
    ("predicted", "slices", "message"),
    [
        (
            "s,a,1 1\n",
            {"s": Slice("p", 0, 1, 2), "t": Slice("p", 1, 1, 2)},
            r"1 rows to score are missing: \('t', 'a'\)",
        ),
        ("s,a,1 1\nt,a,\n", {"s": Slice("p", 0, 1, 2)}, r"1 rows are of slices or classes that are not scored"),
        ("s,a,1 9\n", {"s": Slice("p", 0, 1, 2)}, "slice s, class a: RLE"),
        ("t,a,\n", {"t": Slice("p", 1, 1, 2)}, r"scan p: its slices should be 0, 1, 2, \.\.\. of one size"),
    ],
)
def test_score_refuses(tmp_path: Path, predicted: str, slices: dict[str, Slice], message: str) -> None:
    path = write(tmp_path / "submission.csv", "id,class,predicted\n" + predicted)
    truth = write(tmp_path / "truth.csv", "id,class,segmentation\ns,a,\nt,a,\n")
    with pytest.raises(DataError, match=message):
        submission.score(path, truth, slices, ("a",))


ONE_CLASS = RleForm(id="img", class_column=None, rle="rle", empty="-1")
INSTANCES = RleForm(id="img", class_column=None, rle="rle", empty="-1", instances=True)
IN_KEY = RleForm(id="key", key="{id}_{class}", class_column=None, class_names={"NA": "9"}, rle="rle")
NO_ROW = RleForm(rle="rle", empty="missing", order="column", base=0, starts="relative")
ALL_ROWS = NO_ROW.model_copy(update={"empty": "-1"})


def one_slice() -> Masks:
    masks = np.zeros((2, 1, 2, 3), bool)
    masks[0, 0, 0, 0] = masks[0, 0, 0, 2] = masks[0, 0, 1, 2] = True
    return Masks("p", "p", ("stomach", "NA"), ("p",), masks)


def first_class(masks: Masks) -> Masks:
    return Masks(masks.case, masks.scan, masks.classes[:1], masks.slice_names, masks.masks[:1])


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (ONE_CLASS, "img,rle\np,1 1 3 1 6 1\nq,-1\n"),
        (INSTANCES, "img,rle\np,1 1\np,3 1 6 1\nq,-1\n"),
        (IN_KEY, "key,rle\np_stomach,1 1 3 1 6 1\np_9,\nq_stomach,\nq_9,\n"),
        (NO_ROW, "id,class,rle\np,stomach,0 1 3 2\n"),
        (
            NO_ROW.model_copy(update={"empty": "-1"}),
            "id,class,rle\np,stomach,0 1 3 2\np,NA,-1\nq,stomach,-1\nq,NA,-1\n",
        ),
    ],
)
def test_every_form_is_written_checked_read_and_scored(tmp_path: Path, form: RleForm, text: str) -> None:
    masks = one_slice() if form.class_column or form is IN_KEY else first_class(one_slice())
    empty = Masks("q", "q", masks.classes, ("q",), np.zeros_like(masks.masks))
    path, sizes = tmp_path / "out.csv", {"p": (2, 3), "q": (2, 3)}
    write_csv(path, submission.rows(masks, form) + submission.rows(empty, form), None, form)
    assert path.read_text() == text
    check_csv(path, None, sizes, masks.classes, form)
    slices = {name: Slice(name, 0, *size) for name, size in sizes.items()}
    result = submission.score(path, path, slices, masks.classes, form=form, truth_form=form)
    np.testing.assert_array_equal(result.dice["p"], [1.0, np.nan][: len(masks.classes)])
    np.testing.assert_array_equal(result.dice["q"], [np.nan, np.nan][: len(masks.classes)])


def test_a_sample_gives_columns_rows_and_order_and_keeps_instances_together(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", "rle,img\n1 1,q\n1 1,r\n1 1,p\n1 1,p\n")
    path = tmp_path / "out.csv"
    predicted = [("p", "a", "1 1\n3 1"), ("q", "a", ""), ("r", "a", "6 1")]
    assert write_csv(path, predicted, sample, INSTANCES) == (4, 0, 0)
    assert path.read_text() == "rle,img\n-1,q\n6 1,r\n1 1,p\n3 1,p\n"
    check_csv(path, sample, dict.fromkeys("pqr", (2, 3)), ("a",), INSTANCES)
    with pytest.raises(DataError, match=r"sample.csv: 1 rows \(img\) stand more than once: p"):
        write_csv(path, [], sample, ONE_CLASS)


def test_a_row_that_only_the_sample_has_stays_blank_where_empty_is_missing(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", "id,class,rle\np,b,\np,a,\n")
    path = tmp_path / "out.csv"
    assert write_csv(path, [("p", "a", "0 1"), ("p", "b", "")], sample, NO_ROW) == (2, 0, 0)
    assert path.read_text() == "id,class,rle\np,b,\np,a,0 1\n"
    check_csv(path, sample, {"p": (2, 3)}, ("a", "b"), NO_ROW)


def test_a_sample_of_another_form_is_refused(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", "ImageId,EncodedPixels\n")
    message = r"has the columns \['ImageId', 'EncodedPixels'\], but the data set's submission has \['img', 'rle'\]"
    with pytest.raises(DataError, match=message):
        write_csv(tmp_path / "out.csv", [], sample, ONE_CLASS)


@pytest.mark.parametrize(
    ("form", "text", "messages"),
    [
        (ONE_CLASS, "img,rle\np,\nq,-1\n", ["1 masks are not valid RLE: p: '' is not how an empty mask is written"]),
        (
            ONE_CLASS,
            "img,rle\np,-1\np,-1\nr,-1\n",
            ["1 rows stand twice: p", "1 rows are missing: q", "not be there: r"],
        ),
        (ONE_CLASS, "img,rle\np,1 7\nq,-1\n", ["1 masks are not valid RLE: p: RLE: the run 1 7 goes past the end"]),
        (INSTANCES, "img,rle\np,1 1\nq,-1\np,3 1\n", ["1 rows stand twice: p"]),
        (INSTANCES, "img,rle\np,1 2\np,2 1\nq,-1\n", ["1 masks are not valid RLE: p: its 2 instances overlap"]),
        (INSTANCES, "img,rle\np,1 2\np,-1\nq,-1\n", ["p: '-1' is not how an empty mask is written here"]),
        (INSTANCES, "img,rle\nr,1 1\np,-1\nq,-1\n", ["1 masks are of slices without a known size: r"]),
        (IN_KEY, "key,rle\np_a,\np_9,\nq_a,\nq_NA,\n", ["rows are missing: q_9", "rows should not be there: q_NA"]),
        (NO_ROW, "id,class,rle\np,a,\n", ["p a: '' is not how an empty mask is written here, that is 'no row'"]),
        (
            NO_ROW,
            "id,class,rle\nr,a,0 1\n",
            ["1 rows should not be there: ('r', 'a')", "without a known size: ('r', 'a')"],
        ),
    ],
)
def test_check_names_the_faults_of_each_form(tmp_path: Path, form: RleForm, text: str, messages: list[str]) -> None:
    classes = ("a", "NA") if form is IN_KEY else ("a",)
    with pytest.raises(DataError) as fault:
        check_csv(write(tmp_path / "out.csv", text), None, {"p": (2, 3), "q": (2, 3)}, classes, form)
    for message in messages:
        assert message in str(fault.value)


def test_a_truth_of_another_form_is_scored(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.csv", "id,class,rle\np,NA,1 1\nother,NA,0 1\n")
    predicted = write(tmp_path / "out.csv", "key,rle\np_stomach,\np_9,4 1\n")
    result = submission.score(
        predicted, truth, {"p": Slice("p", 0, 2, 3)}, ("stomach", "NA"), form=IN_KEY, truth_form=NO_ROW
    )
    np.testing.assert_array_equal(result.dice["p"], [np.nan, 1.0])  # the second pixel down, the first of the second row
    with pytest.raises(DataError, match=r"out.csv: 2 rows to score are missing: \('q', 'stomach'\), \('q', 'NA'\)"):
        submission.score(
            predicted,
            truth,
            {"p": Slice("p", 0, 2, 3), "q": Slice("q", 0, 2, 3)},
            ("stomach", "NA"),
            form=IN_KEY,
            truth_form=NO_ROW,
        )
