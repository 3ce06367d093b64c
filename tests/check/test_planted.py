"""Faults of many kinds planted in a drawn data set: each is found, by kind and place, and no sound scan is named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from casefold import rle
from casefold.check import check_dataset, exit_code
from casefold.config.datasets import PhantomDataset, UwmgiDataset
from casefold.readers import phantom
from casefold.readers.phantom.anatomy import CLASSES

BAD = "case10_day13"  # drawn with another place's masks
Found = tuple[str, str, str]  # kind, scan, where


def phantom_config(**changes: Any) -> PhantomDataset:
    wanted = {"spacing_mm": (20.0, "from_name", "from_name"), "cases": 12, "test_cases": 2, "drop_scans": (BAD,)}
    return PhantomDataset(**{"reader": "phantom", "root": "drawn", "classes": CLASSES, **wanted, **changes})


def found(table: pd.DataFrame) -> set[Found]:
    return set(table[["kind", "scan", "where"]].itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("check") / "drawn"
    phantom.generate(phantom_config(), root)
    return root


class Raw:
    """A copy of the drawn data set that faults are planted in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = pd.read_csv(root / "train.csv", dtype=str, keep_default_na=False)

    def path(self, scan: str, number: int) -> Path:
        """The PNG of a slice."""
        (path,) = self.folder(scan).glob(f"slice_{number:04d}_*.png")
        return path

    def folder(self, scan: str) -> Path:
        """Where a scan's PNGs lie."""
        return self.root / "train" / scan.partition("_")[0] / scan / "scans"

    def below(self, scan: str, number: int) -> str:
        """A slice's PNG as the table names it."""
        return self.path(scan, number).relative_to(self.root).as_posix()

    def change(self, scan: str, number: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace the pixels of a slice."""
        path = self.path(scan, number)
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    def row(self, scan: str, number: int, label: str) -> Any:
        """Which row of train.csv it is."""
        return (self.rows["id"] == f"{scan}_slice_{number:04d}") & (self.rows["class"] == label)

    def add(self, name: str, label: str, text: str) -> None:
        """One more row of train.csv."""
        self.rows.loc[len(self.rows)] = [name, label, text]


def plant(raw: Raw) -> set[Found]:
    """Spoil the copy; gives what is to be found."""
    wanted: set[Found] = set()

    flipped = bytearray(raw.path("case3_day1", 4).read_bytes())
    flipped[len(flipped) // 2] ^= 1
    raw.path("case3_day1", 4).write_bytes(bytes(flipped))
    wanted.add(("unreadable", "case3_day1", raw.below("case3_day1", 4)))

    whole = raw.path("case3_day1", 17).read_bytes()
    raw.path("case3_day1", 17).write_bytes(whole[: len(whole) // 2])
    wanted.add(("unreadable", "case3_day1", raw.below("case3_day1", 17)))

    raw.change("case10_day1", 3, lambda plane: plane[:90, :100])
    wanted.add(("size", "case10_day1", raw.below("case10_day1", 3)))

    raw.change("case10_day1", 17, lambda plane: (plane >> 8).astype(np.uint8))
    wanted.add(("type", "case10_day1", "case10_day1"))

    raw.rows.loc[raw.row("case17_day1", 2, "stomach"), "segmentation"] = f"{96 * 96} 2"
    raw.rows.loc[raw.row("case17_day1", 13, "small_bowel"), "segmentation"] = "100 10 105 10"
    wanted.add(("rle", "case17_day1", "case17_day1_slice_0002 stomach"))
    wanted.add(("rle", "case17_day1", "case17_day1_slice_0013 small_bowel"))

    raw.add("case24_day1_slice_0077", "stomach", "1 5")
    wanted.add(("label without image", "case24_day1", "case24_day1"))

    raw.rows = raw.rows[raw.rows["id"] != "case24_day13_slice_0002"].reset_index(drop=True)
    wanted.add(("partly labelled", "case24_day13", "case24_day13"))

    raw.path("case31_day1", 3).unlink()
    raw.rows = raw.rows[raw.rows["id"] != "case31_day1_slice_0003"].reset_index(drop=True)
    wanted.add(("missing slice", "case31_day1", "case31_day1"))

    shutil.copyfile(raw.path("case31_day1", 17), raw.path("case31_day1", 18))
    wanted.add(("same slice twice", "case31_day1", "case31_day1_slice_0018"))

    raw.add("case31_day13_slice_0002", "liver", "")
    wanted.add(("unknown class", "case31_day13", "case31_day13_slice_0002"))

    raw.add("case31_day13_slice_0003", "stomach", "")
    wanted.add(("doubled label", "case31_day13", "case31_day13"))

    shutil.copyfile(
        raw.path("case38_day1", 20), raw.path("case52_day13", 20)
    )  # the first and last slices hold no class
    wanted.add(("leak", "case52_day13", "case52_day13_slice_0020"))

    raw.change("case38_day13", 4, lambda plane: np.zeros_like(plane))
    wanted.add(("constant slice", "case38_day13", "case38_day13_slice_0004"))

    raw.change("case38_day13", 17, lambda plane: np.where(np.arange(96)[:, None] < 48, plane, 0).astype(plane.dtype))
    wanted.add(("truncated image", "case38_day13", "case38_day13_slice_0017"))

    for number in range(1, 21):
        raw.change("case45_day1", number, lambda plane: np.minimum(plane, 200))
    wanted.add(("saturated", "case45_day1", "case45_day1_slice_0001 to case45_day1_slice_0020"))

    raw.change("case52_day1", 3, lambda plane: plane * 2)
    wanted.add(("intensity jump", "case52_day1", "case52_day1_slice_0003"))

    raw.change("case59_day1", 4, lambda plane: np.roll(plane, 8, axis=1))
    wanted.add(("motion", "case59_day1", "case59_day1_slice_0004"))

    for number in range(1, 21):
        path = raw.path("case66_day20", number)
        path.rename(path.with_name(path.name.replace("_3.60_3.60", "_36.0_36.0")))
    wanted.add(("implausible spacing", "case66_day20", "train/case66/case66_day20/scans"))

    corner = np.zeros((96, 112), bool)
    corner[2:12, 2:12] = True
    raw.rows.loc[raw.row("case66_day1", 11, "stomach"), "segmentation"] = rle.encode(corner)
    wanted.add(("mask outside the body", "case66_day1", "case66_day1_slice_0011"))

    text = raw.rows.loc[raw.row("case66_day13", 7, "large_bowel"), "segmentation"].item()
    for number, changed in ((6, text), (7, ""), (8, text)):
        raw.rows.loc[raw.row("case66_day13", number, "large_bowel"), "segmentation"] = changed
    wanted.add(("mask missing between slices", "case66_day13", "case66_day13_slice_0007"))

    for number in range(4, 8):
        raw.change("case66_day13", number, lambda plane: np.where(corner, plane.max() // 2, plane).astype(plane.dtype))
    wanted.add(("object outside the body", "case66_day13", "case66_day13_slice_0004 to case66_day13_slice_0007"))

    raw.rows = raw.rows[~raw.rows["id"].str.startswith("case73_day1_")].reset_index(drop=True)
    wanted.add(("image without label", "case73_day1", "train/case73/case73_day1/scans"))

    path = raw.path("case80_day1", 9)
    path.rename(path.with_name(path.name.replace("_3.60_3.60", "_3.60_1.80")))
    wanted.add(("spacing", "case80_day1", raw.below("case80_day1", 9)))

    shutil.copyfile(raw.path("case80_day1", 1), raw.folder("case80_day1") / "slice_1_112_96_3.60_3.60.png")
    wanted.add(("duplicate slice", "case80_day1", "case80_day1"))

    shutil.copyfile(raw.path("case80_day1", 1), raw.folder("case80_day1") / "preview.png")
    wanted.add(("name", "case80_day1", "train/case80/case80_day1/scans/preview.png"))

    for name in raw.rows["id"].unique():
        raw.add(name, "spleen", "")
    wanted.add(("class never seen", "", "spleen"))
    return wanted


def test_a_sound_phantom_has_nothing_to_be_found(drawn: Path) -> None:
    table = check_dataset(phantom_config(), drawn)
    assert list(table.columns) == ["severity", "kind", "case", "scan", "where", "what"]
    assert table.empty and exit_code(table) == 0


def test_the_scan_that_the_config_drops_is_found_where_it_does_not(drawn: Path) -> None:
    table = check_dataset(phantom_config(drop_scans=()), drawn)
    assert {(kind, scan) for kind, scan, _ in found(table)} == {("mask outside the body", BAD)}
    assert exit_code(table) == 2


def test_every_planted_fault_is_found_and_no_sound_scan_is_named(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path / "raw")
    raw = Raw(tmp_path / "raw")
    wanted = plant(raw)
    raw.rows.to_csv(raw.root / "train.csv", index=False)
    config = UwmgiDataset(
        reader="uwmgi",
        root="raw",
        classes=(*CLASSES, "spleen"),
        spacing_mm=(20.0, "from_name", "from_name"),
        drop_scans=(BAD,),
    )
    table = check_dataset(config, raw.root)
    assert found(table) == wanted
    assert len(table) == len(wanted) == 27 and table["kind"].nunique() == 25
    assert set(table["severity"]) == {"error", "warning", "note"}
    assert exit_code(table) == 2
