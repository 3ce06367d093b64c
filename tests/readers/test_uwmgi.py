"""The traps of the UW-Madison layout, one after the other, on written slices of 5 x 4 pixels (width x height)."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from casefold.config.datasets import UwmgiDataset
from casefold.core import DataError, Scan
from casefold.readers import RawScan, uwmgi

CLASSES = ("large_bowel", "small_bowel", "stomach")
PLANE = np.arange(20, dtype=np.uint16).reshape(4, 5)
ROWS = np.array(
    [
        [0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ],
    bool,
)
ROWS_RLE = "4 3 13 2"  # by rows, from 1: the first run goes round the end of a row


def config(**changes: Any) -> UwmgiDataset:
    return UwmgiDataset(**{"reader": "uwmgi", "root": "toy", "classes": CLASSES, **changes})


def save(base: Path, scan: str, planes: Iterable[np.ndarray] = (PLANE,), spacing: str = "1.50_1.25") -> Path:
    """Write slices 1, 2, ... below `base` (`.../train`); gives their folder."""
    folder = base / scan.partition("_")[0] / scan / "scans"
    folder.mkdir(parents=True)
    for number, plane in enumerate(planes, start=1):
        height, width = plane.shape[:2]
        cv2.imwrite(str(folder / f"slice_{number:04d}_{width}_{height}_{spacing}.png"), plane)
    return folder


def rows(scan: str, slices: int = 1, runs: Mapping[tuple[int, str], str] | None = None) -> list[str]:
    """Every row of a scan; what `runs` does not hold by slice number and class is empty."""
    runs = runs or {}
    return [
        f"{scan}_slice_{number:04d},{label},{runs.get((number, label), '')}"
        for number in range(1, slices + 1)
        for label in CLASSES
    ]


def label(root: Path, *lines: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "train.csv").write_text("\n".join(["id,class,segmentation", *lines]) + "\n")
    return root


def data_set(root: Path, *scans: str) -> Path:
    """One slice a scan, all labelled empty."""
    for scan in scans:
        save(root / "train", scan)
    return label(root, *(row for scan in scans for row in rows(scan)))


def first(root: Path, **changes: Any) -> Scan:
    return uwmgi.load(config(**changes), uwmgi.find(config(**changes), root, "train")[0])


def names(raws: list[RawScan]) -> list[str]:
    return [raw.name for raw in raws]


def test_the_name_gives_width_before_height(tmp_path: Path) -> None:
    plane = np.arange(31 * 36, dtype=np.uint16).reshape(31, 36)
    folder = save(tmp_path / "train", "case1_day0", [plane])
    assert [path.name for path in folder.iterdir()] == ["slice_0001_36_31_1.50_1.25.png"]
    label(tmp_path, *rows("case1_day0", 1, {(1, "stomach"): "37 1"}))
    scan = first(tmp_path)
    assert scan.image.shape == (1, 1, 31, 36) and scan.grid.shape == (1, 31, 36)
    np.testing.assert_array_equal(scan.image[0, 0], plane)
    np.testing.assert_array_equal(np.argwhere(scan.class_masks()[2]), [[0, 1, 0]])  # pixel 37 begins the second row


def test_rle_is_row_major_from_one(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0")
    scan = first(label(tmp_path, *rows("case1_day0", 1, {(1, "small_bowel"): ROWS_RLE})))
    np.testing.assert_array_equal(scan.class_masks(), [[0 * ROWS], [ROWS], [0 * ROWS]])


def test_a_scan_knows_its_case_slices_and_names(tmp_path: Path) -> None:
    save(tmp_path / "train", "case7_day13", [PLANE, PLANE + 1])
    scan = first(label(tmp_path, *rows("case7_day13", 2)))
    assert (scan.case, scan.name, scan.classes) == ("case7", "case7_day13", CLASSES)
    assert scan.slice_names == ("case7_day13_slice_0001", "case7_day13_slice_0002")
    np.testing.assert_array_equal(scan.image, [[PLANE, PLANE + 1]])


def test_case7_day1_is_no_prefix_of_case7_day13(tmp_path: Path) -> None:
    for scan in ("case7_day1", "case7_day13"):
        save(tmp_path / "train", scan)
    one, thirteen = (rows(scan, 1, {(1, "stomach"): ROWS_RLE}) for scan in ("case7_day1", "case7_day13"))
    label(tmp_path, *one, *thirteen)
    for gone, left in (("case7_day1", "case7_day13"), ("case7_day13", "case7_day1")):
        scans = uwmgi.find(config(drop_scans=(gone,), dropped_slices=1), tmp_path, "train")
        assert names(scans) == [left]
        assert uwmgi.load(config(), scans[0]).slice_names == (f"{left}_slice_0001",)
    label(tmp_path, *thirteen)
    assert [(raw.name, raw.labelled) for raw in uwmgi.find(config(), tmp_path, "train")] == [
        ("case7_day1", False),
        ("case7_day13", True),
    ]


def test_cases_and_days_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    data_set(tmp_path, "case10_day0", "case2_day10", "case2_day2", "case20_day1", "case2_day0", "case3_day1")
    wanted = ["case2_day0", "case2_day2", "case2_day10", "case3_day1", "case10_day0", "case20_day1"]
    assert names(uwmgi.find(config(), tmp_path, "train")) == wanted


def test_slices_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "case1_day0"
    folder.mkdir()
    for number in (10, 9, 2, 1, 3, 4, 5, 6, 7, 8):
        cv2.imwrite(str(folder / f"slice_{number}_5_4_1.50_1.50.png"), PLANE + number)
    scan = uwmgi.load(config(), uwmgi.find(config(), tmp_path, "test", tmp_path)[0])
    assert scan.image[0, :, 0, 0].tolist() == list(range(1, 11))
    assert scan.slice_names[1] == "case1_day0_slice_2" and scan.slice_names[9] == "case1_day0_slice_10"


def test_classes_go_by_name_whatever_the_order_of_the_csv_and_of_the_config(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0", [PLANE, PLANE])
    runs = {(1, "large_bowel"): "1 1", (1, "small_bowel"): "2 1", (2, "stomach"): "3 1"}
    lines = rows("case1_day0", 2, runs)
    for order in (lines, lines[::-1], lines[1::2] + lines[::2]):
        label(tmp_path, *order)
        masks = first(tmp_path).class_masks()
        assert np.argwhere(masks).tolist() == [[0, 0, 0, 0], [1, 0, 0, 1], [2, 1, 0, 2]]
        turned = first(tmp_path, classes=("stomach", "large_bowel", "small_bowel"))
        np.testing.assert_array_equal(turned.class_masks(), masks[[2, 0, 1]])


def test_overlapping_classes_are_kept(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0")
    runs = {(1, "large_bowel"): "1 3", (1, "small_bowel"): "2 3", (1, "stomach"): "3 1"}
    scan = first(label(tmp_path, *rows("case1_day0", 1, runs)))
    assert scan.masks is not None and scan.masks[0, 0].tolist() == [0b001, 0b011, 0b111, 0b010, 0]
    assert scan.class_masks().sum((1, 2, 3)).tolist() == [3, 3, 1]


@pytest.mark.parametrize("slices", [80, 144])
def test_scans_have_80_or_144_slices(tmp_path: Path, slices: int) -> None:
    save(tmp_path / "train", "case1_day0", (PLANE + z for z in range(slices)))
    scan = first(label(tmp_path, *rows("case1_day0", slices, {(slices, "stomach"): "1 20"})))
    assert scan.image.shape == (1, slices, 4, 5)
    assert scan.image[0, :, 0, 0].tolist() == list(range(slices))
    assert np.flatnonzero(scan.class_masks()[2].any((1, 2))).tolist() == [slices - 1]


def test_scans_of_both_lengths_lie_side_by_side(tmp_path: Path) -> None:
    for scan, slices in (("case1_day0", 6), ("case1_day5", 3)):
        save(tmp_path / "train", scan, [PLANE] * slices)
    label(tmp_path, *rows("case1_day0", 6), *rows("case1_day5", 3))
    assert [len(raw.sources) for raw in uwmgi.find(config(), tmp_path, "train")] == [6, 3]


def test_bad_scans_are_dropped_by_exact_name_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for scan, slices in (("case7_day0", 2), ("case81_day30", 3), ("case8_day1", 1)):
        save(tmp_path / "train", scan, [PLANE] * slices)
    label(tmp_path, *rows("case7_day0", 2), *rows("case8_day1"), *rows("case81_day30", 3))
    dropping = config(drop_scans=("case7_day0", "case81_day30"), dropped_slices=5)
    assert uwmgi.dropped(dropping, tmp_path) == {"case7_day0": 2, "case81_day30": 3}
    with caplog.at_level(logging.DEBUG):
        assert names(uwmgi.find(dropping, tmp_path, "train")) == ["case8_day1"]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("DEBUG", "dropped 5 slices: {'case7_day0': 2, 'case81_day30': 3}")
    ]


def test_a_wrong_count_of_dropped_slices_is_refused(tmp_path: Path) -> None:
    data_set(tmp_path, "case7_day0", "case8_day1")
    message = re.escape("drop_scans removes 1 slices ({'case7_day0': 1}), but dropped_slices says 144")
    for call in (uwmgi.dropped, lambda chosen, root: uwmgi.find(chosen, root, "train")):
        with pytest.raises(DataError, match=f"^{message}$"):
            call(config(drop_scans=("case7_day0",), dropped_slices=144), tmp_path)
    with pytest.raises(DataError, match=r"drop_scans removes 0 slices \(\{\}\), but dropped_slices says 144"):
        uwmgi.find(config(dropped_slices=144), tmp_path, "train")


def test_an_unknown_scan_to_drop_is_named_with_the_nearest(tmp_path: Path) -> None:
    data_set(tmp_path, "case7_day13", "case81_day30")
    with pytest.raises(DataError, match=r"^drop_scans: no scan 'case7_day1' among 2 \(did you mean 'case7_day13'\?\)$"):
        uwmgi.find(config(drop_scans=("case7_day1",)), tmp_path, "train")


def test_rows_of_a_dropped_scan_need_not_be_readable(tmp_path: Path) -> None:
    data_set(tmp_path, "case1_day0", "case7_day0")
    label(tmp_path, *rows("case1_day0"), "case7_day0_slice_0009,stomach,5 -3")
    assert names(uwmgi.find(config(drop_scans=("case7_day0",)), tmp_path, "train")) == ["case1_day0"]


def test_the_test_part_may_be_absent_or_empty(tmp_path: Path) -> None:
    data_set(tmp_path, "case1_day0")
    assert uwmgi.find(config(), tmp_path, "test") == []
    (tmp_path / "test").mkdir()
    assert uwmgi.find(config(), tmp_path, "test") == []
    (tmp_path / "test" / "case2" / "case2_day0" / "scans").mkdir(parents=True)
    assert uwmgi.find(config(), tmp_path, "test") == []
    save(tmp_path / "test", "case3_day0")
    with pytest.raises(DataError, match=r"scan folders without a PNG: .*case2_day0$"):
        uwmgi.find(config(), tmp_path, "test")


def test_the_test_part_is_never_labelled_nor_dropped(tmp_path: Path) -> None:
    data_set(tmp_path, "case1_day0")
    save(tmp_path / "test", "case1_day7")
    label(tmp_path, *rows("case1_day0"), *rows("case1_day7"))
    (raw,) = uwmgi.find(config(drop_scans=("case1_day7",)), tmp_path, "test")
    assert (raw.case, raw.name, raw.labelled) == ("case1", "case1_day7", False)
    assert uwmgi.load(config(), raw).masks is None


def test_folder_reads_any_folder(tmp_path: Path) -> None:
    save(tmp_path / "new", "case10_day1")
    save(tmp_path / "new", "case9_day1")
    for folder in (tmp_path / "new", tmp_path / "new" / "case9", tmp_path / "new" / "case9" / "case9_day1"):
        raws = uwmgi.find(config(drop_scans=("case9_day1",)), tmp_path, "test", folder)
        assert names(raws) == ["case9_day1", "case10_day1"][: len(raws)] and len(raws) == 1 + (folder.name == "new")
        assert not any(raw.labelled for raw in raws)
    flat = tmp_path / "flat" / "case5_day2"
    flat.mkdir(parents=True)
    cv2.imwrite(str(flat / "slice_0001_5_4_1.50_1.50.png"), PLANE)
    assert names(uwmgi.find(config(), tmp_path, "train", tmp_path / "flat")) == ["case5_day2"]


def test_a_folder_that_was_asked_for_must_hold_scans(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^no folder .*gone; wanted one that holds caseN/caseN_dayM/scans/slice_"):
        uwmgi.find(config(), tmp_path, "test", tmp_path / "gone")
    (tmp_path / "new").mkdir()
    for part in ("train", "test"):
        with pytest.raises(DataError, match=r"^no scans in .*new; wanted caseN/caseN_dayM/scans/slice_\*\.png$"):
            uwmgi.find(config(), tmp_path, part, tmp_path / "new")
    with pytest.raises(DataError, match=r"^no folder .*train"):
        uwmgi.find(config(), tmp_path, "train")


def test_16_bits_keep_their_scale(tmp_path: Path) -> None:
    plane = np.full((4, 5), 300, np.uint16)
    plane[0, :3] = 0, 14_700, 65_535
    save(tmp_path / "train", "case1_day0", [plane])
    scan = first(label(tmp_path, *rows("case1_day0")))
    assert scan.image.dtype == np.uint16
    np.testing.assert_array_equal(scan.image[0, 0], plane)


def test_8_bits_stay_8_bits(tmp_path: Path) -> None:
    plane = np.arange(236, 256, dtype=np.uint8).reshape(4, 5)
    save(tmp_path / "train", "case1_day0", [plane])
    scan = first(label(tmp_path, *rows("case1_day0")))
    assert scan.image.dtype == np.uint8
    np.testing.assert_array_equal(scan.image[0, 0], plane)


def test_slices_of_two_types_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0", [PLANE, PLANE.astype(np.uint8)])
    with pytest.raises(DataError, match=r"scan case1_day0: slices of different types, \['uint16', 'uint8'\]"):
        first(label(tmp_path, *rows("case1_day0", 2)))


@pytest.mark.parametrize("damage", ["empty", "no PNG", "truncated", "without an end", "flipped bit"])
def test_an_unreadable_png_is_named(tmp_path: Path, damage: str) -> None:
    noise = np.random.default_rng(0).integers(0, 65_536, (60, 70)).astype(np.uint16)
    path = next(save(tmp_path / "train", "case1_day0", [noise]).iterdir())
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path.write_bytes(
        {
            "empty": b"",
            "no PNG": b"no PNG at all",
            "truncated": content[: len(content) // 2],
            "without an end": content[:-12],
            "flipped bit": bytes(flipped),
        }[damage]
    )
    with pytest.raises(DataError, match=r"slice_0001_70_60_1\.50_1\.25\.png can't be read as a PNG; put a "):
        first(label(tmp_path, *rows("case1_day0")))


@pytest.mark.parametrize(
    ("plane", "shape"),
    [
        (PLANE.T.copy(), "(5, 4)"),
        (PLANE[:3], "(3, 5)"),
        (np.zeros((4, 5, 3), np.uint8), "(4, 5, 3)"),
    ],
    ids=["turned", "smaller", "coloured"],
)
def test_an_image_that_is_not_as_its_name_says_is_refused(tmp_path: Path, plane: np.ndarray, shape: str) -> None:
    path = next(save(tmp_path / "train", "case1_day0").iterdir())
    cv2.imwrite(str(path), plane)
    message = f"should be one grey image of 5 x 4 (width x height) as its name says, but its array has shape {shape}"
    with pytest.raises(DataError, match=f"{re.escape(message)}$"):
        first(label(tmp_path, *rows("case1_day0")))


@pytest.mark.parametrize("other", ["slice_0002_4_5_1.50_1.25.png", "slice_0002_5_4_1.50_1.50.png"])
def test_two_sizes_or_spacings_in_a_scan_are_refused(tmp_path: Path, other: str) -> None:
    folder = save(tmp_path / "train", "case1_day0")
    cv2.imwrite(str(folder / other), PLANE)
    label(tmp_path, *rows("case1_day0", 2))
    message = rf"^scan case1_day0: .*{re.escape(other)} differs from slice_0001_5_4_1\.50_1\.25\.png in size or spacing"
    with pytest.raises(DataError, match=message):
        uwmgi.find(config(), tmp_path, "train")


def test_a_slice_number_that_stands_twice_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "train", "case1_day0")
    cv2.imwrite(str(folder / "slice_01_5_4_1.50_1.25.png"), PLANE)
    with pytest.raises(DataError, match=r"^scan case1_day0 has a slice number twice: \[1\] in"):
        uwmgi.find(config(), label(tmp_path, *rows("case1_day0")), "train")


def test_missing_slice_numbers_warn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save(tmp_path / "train", "case1_day0", [PLANE] * 6)
    for number in (3, 5):
        (folder / f"slice_{number:04d}_5_4_1.50_1.25.png").unlink()
    lines = [row for row in rows("case1_day0", 6) if "slice_0003" not in row and "slice_0005" not in row]
    scan = first(label(tmp_path, *lines))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "scan case1_day0 lacks the slices [3, 5]")
    ]
    assert [name[-4:] for name in scan.slice_names] == ["0001", "0002", "0004", "0006"]


def test_a_png_of_another_name_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "train", "case1_day0")
    cv2.imwrite(str(folder / "slice_0002.png"), PLANE)
    with pytest.raises(DataError, match=r"slice_0002\.png is not named slice_NUMBER_WIDTH_HEIGHT_SPACINGX_SPACINGY"):
        uwmgi.find(config(), label(tmp_path, *rows("case1_day0")), "train")


def test_a_scan_in_the_folder_of_another_case_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "case2" / "case3_day0").mkdir(parents=True)
    with pytest.raises(DataError, match=r"case3_day0 lies in the folder of another case, case2$"):
        uwmgi.find(config(), tmp_path, "train")


def test_a_scan_that_lies_twice_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "train", "case2_day0")
    (tmp_path / "train" / "case2_day0").mkdir()
    with pytest.raises(DataError, match=r"train holds a scan twice: .*case2_day0 and elsewhere$"):
        uwmgi.find(config(), tmp_path, "train")


def test_an_unknown_class_is_named_with_the_nearest(tmp_path: Path) -> None:
    data_set(tmp_path, "case1_day0")
    label(tmp_path, *rows("case1_day0"), "case1_day0_slice_0001,stomac,")
    message = re.escape(
        "train.csv: unknown class 'stomac' (did you mean 'stomach'?); mend the rows, or the config, which has "
        f"{list(CLASSES)}"
    )
    with pytest.raises(DataError, match=f"{message}$"):
        uwmgi.find(config(), tmp_path, "train")


def test_a_row_that_stands_twice_is_refused(tmp_path: Path) -> None:
    data_set(tmp_path, "case1_day0")
    label(tmp_path, *rows("case1_day0"), "case1_day0_slice_0001,stomach,1 1")
    with pytest.raises(DataError, match=r"has a row of id and class twice: case1_day0_slice_0001 stomach$"):
        uwmgi.find(config(), tmp_path, "train")


def test_rows_without_an_image_are_refused(tmp_path: Path) -> None:
    data_set(tmp_path, "case1_day0")
    label(tmp_path, *rows("case1_day0", 2), *rows("case99_day0"))
    message = "train.csv has rows for slices without an image: case1_day0_slice_0002, case99_day0_slice_0001"
    with pytest.raises(DataError, match=f"{re.escape(message)}$"):
        uwmgi.find(config(), tmp_path, "train")


def test_a_scan_without_rows_is_unlabelled_and_one_with_empty_rows_is_labelled(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0")
    save(tmp_path / "train", "case2_day0")
    raws = uwmgi.find(config(), label(tmp_path, *rows("case2_day0")), "train")
    assert [(raw.name, raw.labelled) for raw in raws] == [("case1_day0", False), ("case2_day0", True)]
    without, empty = (uwmgi.load(config(), raw) for raw in raws)
    assert without.masks is None
    assert empty.masks is not None and empty.masks.shape == (1, 4, 5) and not empty.masks.any()


def test_a_scan_labelled_in_part_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0", [PLANE, PLANE])
    label(tmp_path, *rows("case1_day0", 2)[:-2])
    message = "scan case1_day0 is labelled in part; 2 rows are missing: case1_day0_slice_0002 small_bowel"
    with pytest.raises(DataError, match=f"^{message}, case1_day0_slice_0002 stomach$"):
        uwmgi.find(config(), tmp_path, "train")


def test_a_bad_rle_is_named_with_its_slice_and_class(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0", [PLANE, PLANE])
    label(tmp_path, *rows("case1_day0", 2, {(2, "stomach"): "20 2"}))
    message = (
        r"^train\.csv: case1_day0_slice_0002 stomach: RLE: the run 20 2 goes past the end of a mask of 4 x 5 "
        r"\(height x width\)"
    )
    with pytest.raises(DataError, match=message) as fault:
        first(tmp_path)
    assert isinstance(fault.value.__cause__, DataError)


def test_a_label_file_that_is_absent_or_another_is_named(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0")
    with pytest.raises(DataError, match=r"^no label file .*train\.csv; wanted a CSV of id,class,segmentation$"):
        uwmgi.find(config(), tmp_path, "train")
    (tmp_path / "train.csv").write_text("id,class,predicted\n")
    with pytest.raises(
        DataError, match=r"has the columns \['id', 'class', 'predicted'\]; wanted \['id', 'class', 'seg"
    ):
        uwmgi.find(config(), tmp_path, "train")


@pytest.mark.parametrize(
    ("given", "spacing_mm"),
    [
        ((3.0, "from_name", "from_name"), (3.0, 1.63, 1.5)),
        ((2.5, "from_name", 0.9), (2.5, 1.63, 0.9)),
        ((5, 1, 2), (5.0, 1.0, 2.0)),
        ("unknown", None),
    ],
)
def test_spacing_comes_from_the_name_and_the_config(tmp_path: Path, given: Any, spacing_mm: Any) -> None:
    save(tmp_path / "train", "case1_day0", spacing="1.50_1.63")  # x before y, as width before height
    label(tmp_path, *rows("case1_day0"))
    assert first(tmp_path, spacing_mm=given).grid.spacing_mm == spacing_mm


def faults(root: Path, **changes: Any) -> tuple[list[tuple[str, str]], list[Scan]]:
    """Kind and place (below the root) of all that is reported of the training part, and what can be read."""
    told: list[tuple[str, str]] = []

    def report(kind: str, where: str, message: str) -> None:
        told.append((kind, where.replace(f"{root}/", "")))

    raws = uwmgi.find(config(**changes), root, "train", report=report)
    return told, [uwmgi.load(config(**changes), raw, report) for raw in raws]


def test_a_sound_data_set_reports_nothing(tmp_path: Path) -> None:
    told, scans = faults(data_set(tmp_path, "case1_day0", "case2_day0"))
    assert told == [] and [scan.ignore for scan in scans] == [None, None]


def test_where_reporting_returns_every_fault_of_the_files_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = save(tmp_path / "train", "case1_day0", [PLANE + z for z in range(9)])
    label(tmp_path, *rows("case1_day0", 9))
    slices = "train/case1/case1_day0/scans"
    (folder / "slice_0002_5_4_1.50_1.25.png").rename(folder / "two.png")
    (folder / "slice_0003_5_4_1.50_1.25.png").rename(folder / "slice_0003_4_5_1.50_1.25.png")
    (folder / "slice_0004_5_4_1.50_1.25.png").rename(folder / "slice_0004_5_4_1.50_1.50.png")
    (folder / "slice_0005_5_4_1.50_1.25.png").write_bytes(b"no PNG")
    cv2.imwrite(str(folder / "slice_0006_5_4_1.50_1.25.png"), PLANE.astype(np.uint8))
    cv2.imwrite(str(folder / "slice_0007_5_4_1.50_1.25.png"), PLANE[:3])
    cv2.imwrite(str(folder / "slice_8_5_4_1.50_1.25.png"), PLANE)
    told, (scan,) = faults(tmp_path)
    assert told == [
        ("name", f"{slices}/two.png"),
        ("duplicate slice", "case1_day0"),
        ("size", f"{slices}/slice_0003_4_5_1.50_1.25.png"),
        ("spacing", f"{slices}/slice_0004_5_4_1.50_1.50.png"),
        ("missing slice", "case1_day0"),  # the one of another name
        ("label without image", "case1_day0"),
        ("unreadable", f"{slices}/slice_0005_5_4_1.50_1.25.png"),
        ("size", f"{slices}/slice_0007_5_4_1.50_1.25.png"),
        ("type", "case1_day0"),
    ]
    assert [name[-4:] for name in scan.slice_names] == ["0001", "0004", "0008", "0009"]
    np.testing.assert_array_equal(scan.image[0], [PLANE, PLANE + 3, PLANE + 7, PLANE + 8])
    assert scan.masks is not None and not scan.masks.any() and scan.ignore is None


def test_where_reporting_returns_every_fault_of_the_labels_is_told_by_scan(tmp_path: Path) -> None:
    for scan in ("case1_day0", "case2_day0"):
        save(tmp_path / "train", scan, [PLANE] * 3)
    runs = {(1, "stomach"): "20 2", (1, "small_bowel"): "1 2 2 1", (3, "stomach"): "7 1"}
    lines = [
        *rows("case1_day0", 3, runs),
        *rows("case2_day0", 3)[:-1],
        "case1_day0_slice_0003,liver,",
        "case1_day0_slice_0003,stomach,1 1",
        "case2_day0_slice_0001,stomach,",
        "case1_day0_slice_0009,stomach,",
        "case9_day0_slice_0001,stomach,",
    ]
    told, (one, two) = faults(label(tmp_path, *lines))
    assert told == [
        ("unknown class", "case1_day0_slice_0003"),
        ("doubled label", "case1_day0"),
        ("doubled label", "case2_day0"),
        ("partly labelled", "case2_day0"),
        ("label without image", "case1_day0"),
        ("label without image", "case9_day0"),
        ("rle", "case1_day0_slice_0001 small_bowel"),
        ("rle", "case1_day0_slice_0001 stomach"),
    ]
    assert one.ignore is not None and one.ignore.all(axis=(1, 2)).tolist() == [True, False, False]
    assert np.argwhere(one.class_masks()).tolist() == [[2, 2, 1, 1]]  # the first of the doubled rows
    assert two.ignore is not None and two.ignore.all(axis=(1, 2)).tolist() == [False, False, True]


def test_where_reporting_returns_faults_of_the_whole_set_are_told(tmp_path: Path) -> None:
    save(tmp_path / "train", "case1_day0")
    save(tmp_path / "train", "case2_day0")
    (tmp_path / "train" / "case2_day0").mkdir()
    (tmp_path / "train" / "case3" / "case4_day0").mkdir(parents=True)
    told, scans = faults(tmp_path, drop_scans=("case7_day0",), dropped_slices=3)
    assert [(kind, place) for kind, place in told if place != "train/case2_day0"] == [
        ("name", "train/case3/case4_day0"),
        ("missing file", "train/case3/case4_day0"),
        ("dropped scan", "case7_day0"),
        ("dropped scan", "drop_scans"),
        ("missing file", "train.csv"),
    ]
    assert told[0][0] == "name"  # the scan that lies twice
    assert all(scan.masks is None for scan in scans)


@pytest.mark.parametrize("content", [b"", b"id,class\n1,2,3\n1,2,3,4", b"id,class,segmentation\n\xff\xfe"])
def test_a_label_file_that_is_no_csv_is_named(tmp_path: Path, content: bytes) -> None:
    data_set(tmp_path, "case1_day0")
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.csv can't be read as a CSV of id,class,segmentation: ") as fault:
        uwmgi.find(config(), tmp_path, "train")
    assert isinstance(fault.value.__cause__, ValueError)
    told, _ = faults(tmp_path)
    assert told == [("unreadable", "train.csv")]


def test_a_scan_of_which_no_slice_can_be_read_is_named(tmp_path: Path) -> None:
    path = next(save(tmp_path / "train", "case1_day0").iterdir())
    path.write_bytes(b"no PNG")
    with pytest.raises(DataError, match=r"^scan case1_day0 has no slice that can be read, of 1$"):
        faults(label(tmp_path, *rows("case1_day0")))
