"""Rows, CSV, the strict checker, scoring and label maps, against small answers written out."""

import logging
import math
from pathlib import Path

import numpy as np
import pytest

from casefold import submission
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
