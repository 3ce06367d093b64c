"""Masks as rows of a CSV: every form to keys and runs, masks to rows, and what is wrong with a table told by name."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casefold.config.masks import RleForm, RleMasks
from casefold.core import DataError
from casefold.readers import FaultKind
from casefold.readers.images.scans import ImageScan, ImageSlice, Truth
from casefold.readers.rle_table import cells, columns, decode_rows, encode_rows, find_truth, read_rows, read_slice

CLASSES = ("a", "b_1")
ONE = RleForm(class_column=None, rle="rle")
IN_KEY = RleForm(id="key", key="{id}_{class}", class_column=None)
PARTS = np.array(
    [
        [1, 0, 0, 1],
        [0, 1, 0, 1],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ],
    bool,
)


def write(root: Path, text: str) -> Path:
    path = root / "train.csv"
    path.write_text(text)
    return path


def scan(name: str, *ids: str) -> ImageScan:
    return ImageScan(name, name, tuple(ImageSlice(Path(f"{id_}.png"), id_, {}) for id_ in ids or (name,)))


def truth(root: Path, text: str, *scans: ImageScan, gone: tuple[ImageScan, ...] = (), **form: Any) -> dict[str, Truth]:
    write(root, text)
    return find_truth(RleMasks(kind="rle", **form), CLASSES, root, scans, gone, refuse_not)


FAULTS: list[tuple[FaultKind, str, str]] = []


def refuse_not(kind: FaultKind, where: str, message: str) -> None:
    FAULTS.append((kind, where, message))


@pytest.fixture(autouse=True)
def no_faults() -> None:
    FAULTS.clear()


def test_columns_and_cells_of_a_form() -> None:
    form = RleForm(id="ImageId", class_column="ClassId", class_names={"a": "1"}, rle="EncodedPixels")
    assert columns(form) == ["ImageId", "ClassId", "EncodedPixels"]
    assert (cells(form, "x.jpg", "a"), cells(form, "x.jpg", "b")) == (("x.jpg", "1"), ("x.jpg", "b"))
    assert (columns(IN_KEY), cells(IN_KEY, "x", "b_1")) == (["key", "segmentation"], ("x_b_1",))
    assert (columns(ONE), cells(ONE, "x", "a")) == (["id", "rle"], ("x",))


def test_blanks_marks_and_strange_columns_are_read_over(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffmore, id ,class , segmentation\n0, x , a , 1 2 \n1,x,b_1, -1\n2,y,a,NaN\n3,y,b_1\n")
    rows, form = read_rows(path, [RleForm()])
    assert rows == {("x", "a"): "1 2", ("x", "b_1"): "", ("y", "a"): "", ("y", "b_1"): ""}
    assert form == RleForm()


def test_instances_are_the_lines_of_one_text(tmp_path: Path) -> None:
    path = write(tmp_path, "id,rle\nx,1 1\ny,\nx,\nx,3 1\n")
    rows, _ = read_rows(path, [RleForm(class_column=None, rle="rle", instances=True)], (), ("a",))
    assert rows == {("x", "a"): "1 1\n3 1", ("y", "a"): ""}


def test_the_first_form_whose_columns_are_there_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "id,class,rle,segmentation\nx,a,1 1,2 2\n")
    assert read_rows(path, [IN_KEY, RleForm()])[0] == {("x", "a"): "2 2"}
    assert read_rows(path, [ONE, RleForm()], (), ("a",))[0] == {("x", "a"): "1 1"}


@pytest.mark.parametrize(
    ("key", "names", "wanted"),
    [
        ("x_a", ["x"], ("x", "a")),
        ("x_b_1", ["x", "x_b"], ("x", "b_1")),
        ("x_b_1_a", ["x_b_1"], ("x_b_1", "a")),
        ("y_b_1", ["x"], ("y", "b_1")),  # no such image, but a known class
        ("y_c", ["x"], ("y", "c")),
        ("y", ["x"], ("y", "")),
    ],
)
def test_the_class_in_a_key_is_known_by_image_and_class(
    tmp_path: Path, key: str, names: list[str], wanted: tuple[str, str]
) -> None:
    path = write(tmp_path, f"key,segmentation\n{key},1 1\n")
    assert list(read_rows(path, [IN_KEY], names, CLASSES)[0]) == [wanted]


def test_a_class_before_the_image_and_by_another_name(tmp_path: Path) -> None:
    form = RleForm(key="{class}/{id}.png", class_column=None, class_names={"b_1": "bee"})
    path = write(tmp_path, "id,segmentation\nbee/a/1.png,1 1\na/2.png,\n")
    assert read_rows(path, [form], ["a/1"], CLASSES)[0] == {("a/1", "b_1"): "1 1", ("2", "a"): ""}


@pytest.mark.parametrize(
    ("text", "forms", "message"),
    [
        ("id,class\n", [RleForm()], "should have the columns id and class and segmentation, but has ['id', 'class']"),
        ("rle\n", [ONE, IN_KEY], "should have the columns id and rle, or key and segmentation, but has ['rle']"),
        ("id,rle\nx,1 1,2\n", [ONE], "the rows have more cells than the header, ['id', 'rle']"),
        ("id,rle\nx,\nx,1 1\n", [ONE], "1 rows (id) stand more than once: ('x', 'a')"),
        ("", [ONE], "can't be read as CSV"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, forms: list[RleForm], message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}.*{re.escape(message)}"):
        read_rows(path, forms, (), ("a",))


def test_parts_are_instances_in_the_order_of_their_first_pixels() -> None:
    form = RleForm(instances=True)
    assert encode_rows(PARTS, form) == "1 1 6 1\n4 1 8 1\n13 1"  # corners touch: (0, 0) and (1, 1) are one part
    by_column = RleForm(instances=True, order="column", base=0, starts="relative")
    assert encode_rows(PARTS, by_column) == "0 1 4 1\n3 1\n12 2"
    for either in (form, by_column):
        np.testing.assert_array_equal(decode_rows(encode_rows(PARTS, either), (4, 4), either), PARTS)
    assert encode_rows(np.zeros((2, 2), bool), form) == ""
    assert encode_rows(PARTS, RleForm()) == "1 1 4 1 6 1 8 1 13 1"


def test_a_scan_without_rows_is_unlabelled(tmp_path: Path) -> None:
    text = "id,class,segmentation\nx,a,1 1\nx,b_1,\n"
    assert truth(tmp_path, text, scan("x"), scan("y")) == {"x": Truth(({"a": "1 1", "b_1": ""},))}
    assert FAULTS == []


def test_a_scan_with_some_of_its_rows_is_labelled_in_part(tmp_path: Path) -> None:
    text = "id,class,segmentation\nx1,a,1 1\nx1,b_1,\nx2,a,\n"
    found = truth(tmp_path, text, scan("x", "x1", "x2", "x3"))
    assert found["x"].slices[1:] == ({"a": "", "b_1": None}, {"a": None, "b_1": None})
    ((kind, where, message),) = FAULTS
    assert (kind, where) == ("partly labelled", "x")
    assert "scan x is labelled in part; 3 rows are missing: x2 b_1, x3 a, x3 b_1; missing is not empty" in message


def test_where_missing_is_empty_every_scan_is_labelled(tmp_path: Path) -> None:
    text = "id,class,segmentation\nx,a,1 1\n"
    assert truth(tmp_path, text, scan("x"), scan("y"), empty="missing") == {
        "x": Truth(({"a": "1 1", "b_1": ""},)),
        "y": Truth(({"a": "", "b_1": ""},)),
    }
    assert FAULTS == []


def test_strangers_are_reported_with_the_nearest_word(tmp_path: Path) -> None:
    text = "id,class,segmentation\nx,a,1 1\nx,b1,\nzz,a,\nzz,b_1,\ngone,a,\ngone,a,\ngone,c,\nx,a,2 1\n"
    truth(tmp_path, text, scan("x"), gone=(scan("gone"),), empty="missing")
    path = tmp_path / "train.csv"
    assert FAULTS == [
        ("doubled label", "x a", f"{path} has a row more than once: x a"),
        ("unknown class", "x", f"{path}: unknown class 'b1' (did you mean 'b_1'?); the config has ['a', 'b_1']"),
        (
            "label without image",
            "zz",
            f"{path} has rows without an image; check `id` and `image` in the data set's config: zz",
        ),
    ]


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    assert find_truth(RleMasks(kind="rle"), CLASSES, tmp_path, [scan("x")], [], refuse_not) == {}
    message = f"no label file {tmp_path / 'train.csv'}; wanted a CSV of id,class,segmentation"
    assert FAULTS == [("missing file", str(tmp_path / "train.csv"), message)]


def test_runs_become_masks_and_what_is_unsure_is_ignored() -> None:
    form = RleMasks(kind="rle", instances=True)
    runs = {"a": "1 1\n3 1", "b": "4 2", "c": None, "d": ""}
    found = [(label, mask.astype(int).tolist()) for label, mask in read_slice(form, runs, (2, 2), "x", refuse_not)]
    full = [[1, 1], [1, 1]]
    assert found == [("a", [[1, 0], [1, 0]]), (None, full), (None, full), ("d", [[0, 0], [0, 0]])]
    ((kind, where, message),) = FAULTS
    assert (kind, where) == ("rle", "x b")
    assert message.startswith("train.csv: x b: RLE: the run 4 2 goes past the end of a mask of 2 x 2")


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, "id,rle\n"), [ONE], ["x"], ("a",)) == ({}, ONE)
