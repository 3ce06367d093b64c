"""Scans come back from the store as they were read, mapped, and only from a store that is whole."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import toy
from casefold import prepare as prepare_module
from casefold import store as store_module
from casefold.config.datasets import UwmgiDataset
from casefold.core import DataError, Grid, Scan
from casefold.files import read_json, write_json
from casefold.intensity import scan_statistics
from casefold.prepare import prepare
from casefold.readers import RawScan
from casefold.store import Store
from toy import ToyScan

FEW = (ToyScan("case2_day0"), ToyScan("case7_day1", slices=6), ToyScan("case7_day13"), ToyScan("case10_day3"))
UNLABELLED = ToyScan("case11_day0", slices=6, labelled=False)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Four scans that a test may change."""
    return toy.write_raw(tmp_path / "raw", FEW)


@pytest.fixture
def copied(toy_store: Store, tmp_path: Path) -> Path:
    """A copy of the toy store that a test may spoil."""
    shutil.copytree(toy_store.root, tmp_path / "store")
    return tmp_path / "store"


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

    real = prepare_module.load
    monkeypatch.setattr(prepare_module, "load", load)
    store = prepare(toy_config, raw, tmp_path / "store")
    kept = store.scan("case2_day0").ignore
    assert isinstance(kept, np.memmap) and np.argwhere(kept).tolist() == [[2, 3, 4]]
    assert [path.parent.name for path in (tmp_path / "store").rglob("ignore.npy")] == ["case2_day0"]


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


def test_a_store_of_another_version_is_refused(copied: Path) -> None:
    index = read_json(copied / "store.json")
    del index["layout"]
    write_json(copied / "store.json", index)
    with pytest.raises(DataError, match="was made by another version of casefold; run `prepare` again"):
        Store(copied)


def test_a_spoiled_scan_is_named(copied: Path) -> None:
    image = copied / "scans" / "case2_day0" / "image.npy"
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(
        DataError, match=r"case2_day0/image\.npy can't be read .*; remove its folder and run `prepare` ag"
    ):
        Store(copied).scan("case2_day0")
    (copied / "scans" / "case7_day1" / "scan.json").unlink()
    with pytest.raises(DataError, match=r"case7_day1 has no scan\.json; run `prepare` again"):
        Store(copied).scan("case7_day1")


def test_the_scans_asked_for_last_stay_open(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "OPEN_SCANS", 2)
    store = Store(toy_store.root)
    first, second = store.scan("case2_day0"), store.scan("case7_day1")
    assert store.scan("case2_day0") is first
    store.scan("case10_day3")  # the second was asked for longest ago
    assert list(store._open) == ["case2_day0", "case10_day3"]
    assert store.scan("case2_day0") is first and store.scan("case7_day1") is not second
    np.testing.assert_array_equal(second.image, store.scan("case7_day1").image)


def test_a_worker_is_sent_no_array(toy_store: Store) -> None:
    """A pickled map would be the whole image; a worker opens its own."""
    store = Store(toy_store.root)
    closed = len(pickle.dumps(store))
    for name in store.case_of:
        store.scan(name)
    content = pickle.dumps(store)
    assert len(content) == closed
    np.testing.assert_array_equal(pickle.loads(content).scan("case2_day0").image, store.scan("case2_day0").image)
