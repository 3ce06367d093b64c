"""A submission drawn: its own masks on the scans that it is of."""

from pathlib import Path

import pytest

import toy
from casefold.bundle import pictures
from casefold.bundle.pictures import draw_submission
from casefold.config.datasets import UwmgiDataset
from casefold.core import Scan

CONFIG = UwmgiDataset(**toy.content())
SCANS = tuple(toy.ToyScan(name, slices=5) for name in ("case1_day0", "case2_day0", "case3_day0"))


def write_submission(path: Path, scans: tuple[toy.ToyScan, ...]) -> Path:
    rows = [row for scan in scans for row in toy.label_rows(scan)]
    path.write_text("\n".join(["id,class,predicted", *rows]) + "\n")
    return path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Scan, Path]]:
    """What is drawn, in the place of drawing it."""
    found: list[tuple[Scan, Path]] = []
    monkeypatch.setattr(pictures, "draw_montage", lambda scan, path: found.append((scan, path)))
    return found


def test_the_first_test_scans_are_drawn_with_what_was_submitted(tmp_path: Path, drawn: list[tuple[Scan, Path]]) -> None:
    folders = [toy.write_scan(tmp_path / "test", scan) for scan in SCANS]
    next(folders[0].iterdir()).write_bytes(b"no image")
    csv = write_submission(tmp_path / "submission.csv", SCANS[1:2])
    paths = draw_submission(CONFIG, tmp_path, csv, tmp_path / "out", 2)
    assert paths == [tmp_path / "out" / "case2_day0.png", tmp_path / "out" / "case3_day0.png"]
    assert [path for _, path in drawn] == paths
    assert (drawn[0][0].class_masks() == toy.draw(SCANS[1])[1]).all()
    assert not drawn[1][0].class_masks().any()


def test_without_test_scans_those_of_training_are_drawn(tmp_path: Path) -> None:
    toy.write_raw(tmp_path, SCANS)
    csv = write_submission(tmp_path / "submission.csv", SCANS[:1])
    (path,) = draw_submission(CONFIG, tmp_path, csv, tmp_path / "out", 1)
    assert path.name == "case1_day0.png"
    assert path.read_bytes().startswith(b"\x89PNG")
