"""diff and vote over files: whose form they are in, where sizes and scans come from, and what is refused."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import toy
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError
from casefold.pipeline.comparing import Origin, diff_step, vote_step

NOTHING = Origin()
DEFECTS = {  # a row a defect alone, as Severstal's truth has it; the images are a stack a plate
    "reader": "images",
    "root": "plates",
    "classes": ["crack", "rust"],
    "image": "train/{scan}_{slice}.png",
    "masks": {
        "kind": "rle", "id": "ImageId", "class_column": "ClassId", "class_names": {"crack": "1", "rust": "2"},
        "rle": "EncodedPixels", "order": "column", "empty": "missing",
    },
    "folds": {"kind": "case", "count": 2},
}  # fmt: skip
LABELS = {
    "reader": "images",
    "root": "plates",
    "classes": ["crack", "rust"],
    "image": "train/{scan}.png",
    "masks": {"kind": "files", "pattern": "labels/{scan}.png", "values": {"crack": 1, "rust": 2}},
    "folds": {"kind": "case", "count": 2},
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Roots with the configs toy (UW-Madison's layout), defects (rows of a CSV) and labels (label images)."""
    toy.write_config(tmp_path / "configs")
    for name, content in (("defects", DEFECTS), ("labels", LABELS)):
        (tmp_path / "configs" / "datasets" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return Paths(*(tmp_path / name for name in ("data", "store", "runs", "configs", "folds")))


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def two(folder: Path) -> tuple[Path, Path]:
    """Two submissions of two slices of one scan, in another order."""
    head, name = "id,class,predicted", "case40_day1_slice_000"
    first = write(folder / "a.csv", head, f"{name}1,left,2 3", f"{name}2,left,", f"{name}1,right,")
    return first, write(folder / "b.csv", head, f"{name}1,right,1 1", f"{name}2,left,", f"{name}1,left,2 2")


def test_uw_madisons_form_needs_neither_a_data_set_nor_its_scans(
    paths: Paths, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        pixels = diff_step(paths, *two(tmp_path), NOTHING)
    assert pixels.drop(columns="id").to_numpy().tolist() == [
        ["case40_day1", "left", 2, 3, 2],
        ["case40_day1", "left", 0, 0, 0],
        ["case40_day1", "right", 0, 0, 1],
    ]
    assert "--of NAME takes a data set's own" in caplog.text
    assert "a run past an image's end is not found; --data or --sample has them" in caplog.text


def test_scans_give_sizes_by_the_names_of_their_files_alone(paths: Paths, tmp_path: Path) -> None:
    scan = toy.UNLABELLED[1]  # case40_day1: 36 x 28 pixels
    folder = toy.write_scan(tmp_path / "new", scan)
    for path in folder.iterdir():
        path.write_bytes(b"")  # no pixel is looked at
    first, second = two(tmp_path)
    origin = Origin("toy", tmp_path / "new")
    assert diff_step(paths, first, second, origin)["both"].tolist() == [2, 0, 0]
    long = write(tmp_path / "c.csv", first.read_text().replace("2 3", "1008 2").rstrip())
    with pytest.raises(DataError, match=r"c\.csv: image case40_day1_slice_0001, class left: .* mask of 28 x 36"):
        diff_step(paths, first, long, origin)
    assert diff_step(paths, first, long, NOTHING)["second"].tolist() == [2, 0, 0]


def test_scans_of_another_layout_are_read_for_sizes_and_for_which_slice_is_whose(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for name in ("p1_1", "p1_2", "p2_1"):
        cv2.imwrite(str(tmp_path / "new" / f"{name}.png"), np.zeros((2, 3), np.uint8))
    first = write(tmp_path / "a.csv", "ImageId,ClassId,EncodedPixels", "p1_1,1,1 2", "p1_2,1,1 1")
    second = write(tmp_path / "b.csv", "ImageId,ClassId,EncodedPixels", "p1_1,1,2 2", "p2_1,2,6 1")
    pixels = diff_step(paths, first, second, Origin("defects", tmp_path / "new"))
    assert pixels.to_numpy().tolist() == [
        ["p1", "p1_1", "crack", 1, 2, 2],
        ["p1", "p1_2", "crack", 0, 1, 0],
        ["p2", "p2_1", "rust", 0, 0, 1],
    ]
    assert diff_step(paths, first, second, Origin("defects"))["scan"].tolist() == ["p1_1", "p1_2", "p2_1"]


def test_a_sample_gives_sizes(paths: Paths, tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", "id,height,width", *(f"case40_day1_slice_000{n},1,3" for n in (1, 2)))
    with pytest.raises(DataError, match=r"a\.csv: image case40_day1_slice_0001, class left: .* mask of 1 x 3"):
        diff_step(paths, *two(tmp_path), Origin(sample=sample))


def test_scans_without_the_name_of_their_data_set_are_refused(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which layout the scans of --data have is not known; name the data set"):
        diff_step(paths, *two(tmp_path), Origin(folder=tmp_path))


def test_a_vote_has_the_rows_of_the_first_and_a_record(paths: Paths, tmp_path: Path) -> None:
    first, second = two(tmp_path)
    third = write(tmp_path / "c.csv", first.read_text().replace("2 3", "4 1").replace("right,", "right,1 2").rstrip())
    out = tmp_path / "out" / "vote.csv"
    assert vote_step(paths, [first, second, third], out, NOTHING) == (3, 0, 0)
    # pixels 2, 3 and 4 of left have two votes each, pixel 1 of right has two, pixel 2 one
    assert out.read_text() == first.read_text().replace("right,", "right,1 1")
    record = json.loads((tmp_path / "out" / "vote.csv.json").read_text())
    assert (record["ensemble"], record["recipe"]) == ("vote of a.csv, b.csv, c.csv", "")


def test_a_vote_in_a_form_without_empty_rows_has_only_rows_with_something(paths: Paths, tmp_path: Path) -> None:
    head = "ImageId,ClassId,EncodedPixels"
    first = write(tmp_path / "a.csv", head, "p1,1,1 2", "p2,1,1 1")
    second = write(tmp_path / "b.csv", head, "p1,1,2 2", "p3,2,6 1")
    third = write(tmp_path / "c.csv", head, "p3,2,5 2", "p4,1,1 1")
    vote_step(paths, [first, second, third], tmp_path / "vote.csv", Origin("defects"))
    assert (tmp_path / "vote.csv").read_text() == f"{head}\np1,1,2 1\np3,2,6 1\n"


def test_the_outcome_of_a_vote_does_not_vote(paths: Paths, tmp_path: Path) -> None:
    first, second = two(tmp_path)
    with pytest.raises(ConfigError, match="is among the files that vote; give --out another name"):
        vote_step(paths, [first, second], tmp_path / "x" / ".." / "a.csv", NOTHING)
    with pytest.raises(ConfigError, match="a vote is on CSV files, and these are folders"):
        vote_step(paths, [first, tmp_path], tmp_path / "v.csv", NOTHING)


def test_folders_of_label_maps_are_compared(paths: Paths, tmp_path: Path) -> None:
    for folder, labels in (("a", [[0, 1, 1], [2, 0, 0]]), ("b", [[0, 1, 0], [0, 0, 0]])):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "p1.png"), np.array(labels, np.uint8))
    a, b = tmp_path / "a", tmp_path / "b"
    assert diff_step(paths, a, b, Origin("labels")).to_numpy().tolist() == [
        ["p1.png", "p1.png 1", "crack", 1, 2, 1],
        ["p1.png", "p1.png 1", "rust", 0, 1, 0],
    ]
    with pytest.raises(ConfigError, match="to read label maps the data set is wanted; name it with --of"):
        diff_step(paths, a, b, NOTHING)
    with pytest.raises(ConfigError, match="two CSV files can be compared, or two folders of label maps"):
        diff_step(paths, a, two(tmp_path)[0], Origin("labels"))
    cv2.imwrite(str(b / "p1.png"), np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match=r"p1\.png has the shape \(1, 2, 3\) \(z, y, x\) in .*a, \(1, 3, 3\) elsewhere"):
        diff_step(paths, a, b, Origin("labels"))
    (b / "p1.png").rename(b / "p2.png")
    with pytest.raises(DataError, match=r"should hold the same label maps; only one has \['p1\.png', 'p2\.png'\]"):
        diff_step(paths, a, b, Origin("labels"))
