"""Scans come back from the store as they were read; what did not change is left alone, and a kill costs nothing."""

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import toy
from casefold import store as store_module
from casefold.config.datasets import UwmgiDataset
from casefold.core import DataError, Grid, Scan
from casefold.files import read_json, write_json
from casefold.intensity import scan_statistics
from casefold.readers import RawScan
from casefold.store import Store, prepare
from toy import ToyScan

FEW = (ToyScan("case2_day0"), ToyScan("case7_day1", slices=6), ToyScan("case7_day13"), ToyScan("case10_day3"))
UNLABELLED = ToyScan("case11_day0", slices=6, labelled=False)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Four scans that a test may change."""
    return toy.write_raw(tmp_path / "raw", FEW)


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def times(root: Path) -> dict[str, int]:
    """When each scan was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (root / "scans").glob("*/scan.json")}


def rewritten(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in after if after[name] != before.get(name)}


@pytest.mark.parametrize("drawn", toy.SCANS, ids=lambda scan: scan.name)
def test_a_scan_comes_back_as_it_was_written(toy_store: Store, drawn: ToyScan) -> None:
    scan = toy_store.scan(drawn.name)
    image, masks = toy.draw(drawn)
    assert scan.image.dtype == np.uint16 and scan.masks is not None and scan.masks.dtype == np.uint8
    np.testing.assert_array_equal(scan.image[0], image)
    np.testing.assert_array_equal(scan.class_masks(), masks)
    assert (scan.case, scan.name, scan.classes) == (drawn.case, drawn.name, ("left", "right"))
    assert scan.grid == Grid((drawn.slices, drawn.height, drawn.width), (3.0, 1.25, 1.5))
    assert scan.slice_names == tuple(f"{drawn.name}_slice_{z:04d}" for z in range(1, drawn.slices + 1))
    assert scan.statistics == scan_statistics(image[np.newaxis])
    assert scan.ignore is None


def test_arrays_are_mapped_and_can_not_be_written(toy_store: Store) -> None:
    scan = toy_store.scan("case2_day0")
    for array in (scan.image, scan.masks):
        assert isinstance(array, np.memmap) and not array.flags.writeable
    assert toy_store.scan("case2_day0") is scan


def test_the_slice_table(toy_store: Store) -> None:
    table = toy_store.slices
    assert list(table.columns) == ["case", "scan", "z", "slice", "height", "width", "labelled", "left", "right"]
    assert len(table) == 7 * 8 + 6
    rows = table[table["scan"] == "case31_day4"].values.tolist()
    assert rows[:2] == [
        ["case31", "case31_day4", 0, "case31_day4_slice_0001", 32, 30, True, 0, 0],
        ["case31", "case31_day4", 1, "case31_day4_slice_0002", 32, 30, True, 113, 0],
    ]
    # discs of radius 6 and 5 hold 113 and 81 pixels
    assert [row[-2:] for row in rows] == [[0, 0], [113, 0], [113, 0], [113, 81], [0, 81], [0, 0], [0, 0], [0, 0]]
    assert toy_store.labelled() == list(toy_store.case_of) == [scan.name for scan in toy.SCANS]
    assert toy_store.case_of["case7_day13"] == "case7"


def test_an_unknown_scan_is_named_with_the_nearest(toy_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no scan case7_day2 \(did you mean 'case7_day1'\?\)"):
        toy_store.scan("case7_day2")
    with pytest.raises(DataError, match=r"no store in .*; run `prepare` first"):
        Store(tmp_path)


def test_no_labels_mean_no_mask_file(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    toy.write_raw(raw, (*FEW, UNLABELLED))
    store = prepare(toy_config, raw, tmp_path / "store")
    files = {path.name for path in (tmp_path / "store" / "scans" / UNLABELLED.name).iterdir()}
    assert files == {"image.npy", "scan.json"}
    assert store.scan(UNLABELLED.name).masks is None
    assert UNLABELLED.name in store.case_of and UNLABELLED.name not in store.labelled()
    rows = store.slices[store.slices["scan"] == UNLABELLED.name]
    assert not rows["labelled"].any() and rows[["left", "right"]].to_numpy().sum() == 0


def test_what_is_to_be_ignored_is_kept(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignore = np.zeros((8, 28, 36), bool)
    ignore[2, 3, 4] = True

    def load(config: UwmgiDataset, raw: RawScan) -> Scan:
        scan = real(config, raw)
        fields = {**vars(scan), "ignore": ignore} if raw.name == "case2_day0" else vars(scan)
        return Scan(**fields)

    real = store_module.load
    monkeypatch.setattr(store_module, "load", load)
    store = prepare(toy_config, raw, tmp_path / "store")
    kept = store.scan("case2_day0").ignore
    assert isinstance(kept, np.memmap) and np.argwhere(kept).tolist() == [[2, 3, 4]]
    assert [path.parent.name for path in (tmp_path / "store").rglob("ignore.npy")] == ["case2_day0"]


def test_unchanged_scans_are_left_alone(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    prepare(toy_config, raw, root)
    first, before = content(root), times(root)
    prepare(toy_config, raw, root)
    assert content(root) == first and times(root) == before


def test_a_changed_image_is_redone_alone(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    old, before = prepare(toy_config, raw, root), times(root)
    path = raw / "train" / "case7" / "case7_day1" / "scans" / "slice_0002_36_28_1.50_1.25.png"
    cv2.imwrite(str(path), np.full((28, 36), 7, np.uint16))
    new = prepare(toy_config, raw, root)
    assert rewritten(before, times(root)) == {"case7_day1"}
    assert new.data_hash != old.data_hash
    assert set(np.unique(new.scan("case7_day1").image[0, 1])) == {7}


def test_a_changed_label_is_redone_alone(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    old, before = prepare(toy_config, raw, root), times(root)
    text = (raw / "train.csv").read_text()
    (raw / "train.csv").write_text(text.replace("case2_day0_slice_0001,right,", "case2_day0_slice_0001,right,37 2"))
    new = prepare(toy_config, raw, root)
    assert rewritten(before, times(root)) == {"case2_day0"}
    assert new.data_hash != old.data_hash
    assert np.argwhere(new.scan("case2_day0").class_masks()[1, 0]).tolist() == [[1, 0], [1, 1]]


def test_a_touched_file_of_equal_content_keeps_the_data_hash(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    root = tmp_path / "store"
    old, before = prepare(toy_config, raw, root), times(root)
    os.utime(raw / "train" / "case2" / "case2_day0" / "scans" / "slice_0001_36_28_1.50_1.25.png", ns=(0, 0))
    new = prepare(toy_config, raw, root)
    assert rewritten(before, times(root)) == {"case2_day0"}
    assert new.data_hash == old.data_hash


def test_another_config_redoes_every_scan(raw: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    prepare(UwmgiDataset(**toy.content()), raw, root)
    before = times(root)
    store = prepare(UwmgiDataset(**toy.content(spacing_mm="unknown")), raw, root)
    assert rewritten(before, times(root)) == {scan.name for scan in FEW}
    assert store.scan("case2_day0").grid.spacing_mm is None
    before = times(root)
    prepare(UwmgiDataset(**toy.content(spacing_mm="unknown", folds={"kind": "case", "count": 2})), raw, root)
    assert times(root) == before


def test_a_scan_that_is_gone_leaves_the_store(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    old, before = prepare(toy_config, raw, root), times(root)
    dropping = UwmgiDataset(**toy.content(drop_scans=["case7_day1"], dropped_slices=6))
    store = prepare(dropping, raw, root)
    assert list(store.case_of) == ["case2_day0", "case7_day13", "case10_day3"]
    assert not (root / "scans" / "case7_day1").exists()
    assert len(store.slices) == 24 and "case7_day1" not in set(store.slices["scan"])
    assert store.data_hash != old.data_hash
    assert rewritten(before, times(root)) == set()
    assert prepare(toy_config, raw, root).data_hash == old.data_hash


def test_killed_midway_and_called_again_equals_an_unbroken_run(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(toy_config, raw, tmp_path / "unbroken")
    root, done = tmp_path / "store", []

    def killed(config: UwmgiDataset, scan: RawScan, where: Path, form: str) -> str:
        if len(done) == 2:
            folder = where / "scans" / scan.name
            folder.mkdir(parents=True)
            (folder / "image.npy").write_bytes(b"whole, but without its scan.json")
            (folder / ".masks.npy.1.part").write_bytes(b"half")
            raise KeyboardInterrupt
        done.append(scan.name)
        return real(config, scan, where, form)

    real = store_module._prepare_one
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store_module, "_prepare_one", killed)
        prepare(toy_config, raw, root)
    assert done == ["case2_day0", "case7_day1"]
    with pytest.raises(DataError, match="no store in"):
        Store(root)
    before = times(root)
    prepare(toy_config, raw, root)
    assert rewritten(before, times(root)) == {"case7_day13", "case10_day3"}
    assert content(root) == content(tmp_path / "unbroken")


def test_two_workers_write_what_one_writes(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    seen: list[str] = []

    def bar(names: Any, total: int) -> Any:
        assert total == 4
        for name in names:
            seen.append(name)
            yield name

    one, two = (prepare(toy_config, raw, tmp_path / str(n), workers=n, progress=bar) for n in (1, 2))
    assert one.data_hash == two.data_hash
    assert content(tmp_path / "1") == content(tmp_path / "2")
    assert seen[:4] == [scan.name for scan in FEW] and sorted(seen[4:]) == sorted(seen[:4])


def test_the_data_hash_does_not_depend_on_where_the_files_lie(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    first = prepare(toy_config, raw, tmp_path / "a")
    shutil.copytree(raw, tmp_path / "elsewhere")
    assert prepare(toy_config, tmp_path / "elsewhere", tmp_path / "b").data_hash == first.data_hash


def test_names_of_digits_stay_text(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    prepare(toy_config, raw, root)
    table = (root / "slices.csv").read_text()
    (root / "slices.csv").write_text(table.replace("case2,case2_day0,", "007,0010,"))
    store = Store(root)
    assert store.slices["case"].iloc[0] == "007" and store.labelled()[0] == "0010"


def test_a_scan_in_the_folder_of_another_case_is_refused(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    store = prepare(toy_config, raw, tmp_path / "store")
    path = tmp_path / "store" / "scans" / "case2_day0" / "scan.json"
    write_json(path, {**read_json(path), "case": "case7"})
    message = "scan case2_day0 belongs to case case2 by the index, but its folder says scan case2_day0 of case case7"
    with pytest.raises(DataError, match=message):
        store.records()


def test_no_raw_scans_are_an_error(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    with pytest.raises(DataError, match=r"no folder .*raw/train; wanted one that holds"):
        prepare(toy_config, tmp_path / "raw", tmp_path / "store")
