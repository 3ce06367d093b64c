"""Raw scans reach the store whole, once, and as far as asked; kills, faults and full disks cost only what they hit."""

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pytest

import toy
from casefold import files
from casefold import prepare as prepare_module
from casefold.config.datasets import NiftiDataset, UwmgiDataset
from casefold.core import ConfigError, DataError, Grid, Scan
from casefold.files import read_json
from casefold.prepare import prepare
from casefold.readers import RawScan
from casefold.readers.table import find, stored_bytes
from casefold.store import Store
from toy import ToyScan

FEW = (ToyScan("case2_day0"), ToyScan("case7_day1", slices=6), ToyScan("case7_day13"), ToyScan("case10_day3"))
NAMES = [scan.name for scan in FEW]
Usage = namedtuple("Usage", "total used free")


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


def add(raw: Path, scan: ToyScan) -> None:
    """One more scan, the others' files left alone."""
    toy.write_scan(raw / "train", scan)
    with (raw / "train.csv").open("a") as stream:
        stream.write("\n".join(toy.label_rows(scan)) + "\n")


def slice_of(raw: Path, scan: str, z: int = 2) -> Path:
    (path,) = (raw / "train").glob(f"*/{scan}/scans/slice_{z:04d}_*.png")
    return path


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


def test_no_raw_scans_are_an_error(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    with pytest.raises(DataError, match=r"no folder .*raw/train; wanted one that holds"):
        prepare(toy_config, tmp_path / "raw", tmp_path / "store")


def test_the_data_hash_is_that_of_the_first_release(tmp_path: Path, toy_store: Store) -> None:
    """Runs trained on a store stay valid as long as its content hashes the same."""
    assert toy_store.data_hash == "95dcc45ba24b2aed"


def kill_at(sync: int, config: UwmgiDataset, raw: Path, root: Path) -> None:
    """Prepare in a process of its own, which is killed when it is to flush its n-th file: written, not named yet."""
    child = os.fork()
    if child == 0:
        counted = iter(range(1, sync + 1))

        def flush(descriptor: int) -> None:
            if next(counted) == sync:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            files.os.fsync = flush  # type: ignore[attr-defined]
            prepare(config, raw, root)
        finally:
            os._exit(1)  # not killed: the caller sees it
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def test_killed_anywhere_and_called_again_equals_an_unbroken_run(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    """Image, masks and scan.json of four scans, then slices.csv and store.json: 14 files, a kill within each."""
    prepare(toy_config, raw, tmp_path / "unbroken")
    wanted = content(tmp_path / "unbroken")
    for sync in range(1, 15):
        root = tmp_path / f"killed {sync}"
        kill_at(sync, toy_config, raw, root)
        with pytest.raises(DataError, match="no store in"):
            Store(root)
        before = times(root)
        assert set(before) == set(NAMES[: (sync - 1) // 3])
        prepare(toy_config, raw, root)
        assert rewritten(before, times(root)) == set(NAMES) - set(before)
        assert content(root) == wanted


def test_killed_while_a_changed_scan_is_redone(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    for sync in range(1, 6):
        root = tmp_path / f"killed {sync}"
        prepare(toy_config, raw, root)
        cv2.imwrite(str(slice_of(raw, "case7_day1")), np.full((28, 36), sync, np.uint16))
        kill_at(sync, toy_config, raw, root)
        prepare(toy_config, raw, root)
        prepare(toy_config, raw, tmp_path / f"unbroken {sync}")
        assert content(root) == content(tmp_path / f"unbroken {sync}")


KILLED_WITH_WORKERS = """
import json, sys, time
from pathlib import Path
from casefold.config.datasets import UwmgiDataset
from casefold.prepare import prepare

def stop(names, total):
    for name in names:
        print(name, flush=True)
        time.sleep(600)

prepare(UwmgiDataset(**json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]), 2, stop)
"""


def test_the_workers_of_a_killed_call_end_with_it(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    """They hold the other end of the pipe too, so it closes when they are gone: none writes beside the next call."""
    root = tmp_path / "store"
    words = [sys.executable, "-c", KILLED_WITH_WORKERS, json.dumps(toy.content()), str(raw), str(root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().strip() in NAMES
        process.kill()
        process.communicate(timeout=60)
    prepare(toy_config, raw, root)
    prepare(toy_config, raw, tmp_path / "unbroken")
    assert content(root) == content(tmp_path / "unbroken")


def test_what_is_said_beforehand_is_what_is_written(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset, caplog: pytest.LogCaptureFixture
) -> None:
    """8 and 6 slices of 28 x 36 in 16 bits, and a byte of masks for two classes: 3 bytes a voxel."""
    sizes = [stored_bytes(toy_config, scan) for scan in find(toy_config, raw, "train")]
    assert sizes == [28 * 36 * slices * 3 for slices in (8, 6, 8, 8)]
    with caplog.at_level(logging.INFO):
        prepare(toy_config, raw, tmp_path / "store")
    assert "4 scans to prepare: 0.35 MB, into" in caplog.text  # 90720 bytes, and 64 KB a scan for what describes it
    arrays = [np.load(path) for path in (tmp_path / "store").rglob("*.npy")]
    assert sum(array.nbytes for array in arrays) == sum(sizes)


def test_the_type_is_that_of_the_first_png(raw: Path, toy_config: UwmgiDataset) -> None:
    for z in range(1, 9):
        cv2.imwrite(str(slice_of(raw, "case2_day0", z)), np.zeros((28, 36), np.uint8))
    first = find(toy_config, raw, "train")[0]
    assert stored_bytes(toy_config, first) == 28 * 36 * 8 * 2
    assert stored_bytes(toy_config, replace(first, labelled=False)) == 28 * 36 * 8
    slice_of(raw, "case2_day0", 1).write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"slice_0001_36_28_1\.50_1\.25\.png can't be read as a PNG"):
        stored_bytes(toy_config, first)


def test_a_scan_is_written_without_a_copy(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image and masks of 16 MB each, 30 classes: what is made beside them stays below 8 MB."""
    shape = (128, 256, 128)
    image = np.random.default_rng(0).integers(0, 3000, (1, *shape), np.int32)
    masks = np.random.default_rng(1).integers(0, 1 << 30, shape, np.uint32)
    names, classes = tuple(map(str, range(128))), tuple(f"class {c}" for c in range(30))
    scan = Scan("case2", "case2_day0", image, Grid(shape), classes, names, masks)
    monkeypatch.setattr(prepare_module, "load", lambda config, raw: scan)
    (first, *_) = find(toy_config, raw, "train")
    tracemalloc.start()
    prepare_module._prepare_one(toy_config, first, tmp_path / "store", "form")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
    np.testing.assert_array_equal(np.load(tmp_path / "store" / "scans" / "case2_day0" / "masks.npy"), masks)


def test_a_disk_without_room_is_refused_before_anything_is_written(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 9 * 10**5, 10**5))
    message = (
        r"the store needs 0\.35 MB more in .*store, where 0\.10 MB are free; make room, or set CASEFOLD_STORE to a "
        r"folder on a larger disk\. Nothing was written"
    )
    with pytest.raises(DataError, match=message):
        prepare(toy_config, raw, tmp_path / "new" / "store")
    assert not (tmp_path / "new").exists()
    prepare(toy_config, raw, tmp_path / "small", cases=["case2"])  # 89.7 KB do fit
    filtered = UwmgiDataset(**toy.content(filters=[{"name": "n4"}]))  # gives float32: twice the size
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 9 * 10**5, 7 * 10**4))
    with pytest.raises(DataError, match=r"needs 0\.09 MB more in .*other, where 0\.07 MB are free"):
        prepare(toy_config, raw, tmp_path / "other", cases=["case2"])
    with pytest.raises(DataError, match=r"needs 0\.11 MB more in .*other, where 0\.07 MB are free"):
        prepare(filtered, raw, tmp_path / "other", cases=["case2"])


def test_scans_that_are_redone_want_no_more_room(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_config: UwmgiDataset
) -> None:
    prepare(toy_config, raw, tmp_path / "store")
    monkeypatch.setattr(prepare_module, "RECORD_BYTES", 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 10**6, 0))
    store = prepare(UwmgiDataset(**toy.content(spacing_mm="unknown")), raw, tmp_path / "store")
    assert store.scan("case2_day0").grid.spacing_mm is None


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The system refuses to write files any further, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_costs_only_the_scan_that_hit_it(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    root = tmp_path / "store"
    add(raw, ToyScan("case11_day0", width=99, height=99))
    message = (
        r"scans/case11_day0 can't be written: File too large\. Make room there, or set CASEFOLD_STORE to another "
        r"folder; the scans that are done stay, and the same command does only the rest"
    )
    with no_file_above(20_000), pytest.raises(DataError, match=message):
        prepare(toy_config, raw, root)
    before = times(root)
    assert set(before) == set(NAMES) and not (root / "scans" / "case11_day0").exists()
    prepare(toy_config, raw, root)
    assert rewritten(before, times(root)) == {"case11_day0"}
    prepare(toy_config, raw, tmp_path / "unbroken")
    assert content(root) == content(tmp_path / "unbroken")


def test_a_store_is_usable_while_scans_are_added(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    old = prepare(toy_config, raw, root)
    add(raw, ToyScan("case11_day0", width=99, height=99))
    with no_file_above(20_000), pytest.raises(DataError, match="case11_day0 can't be written: File too large"):
        prepare(toy_config, raw, root)
    assert Store(root).data_hash == old.data_hash and list(Store(root).case_of) == NAMES


def test_a_store_that_can_not_be_written_is_named(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "scans").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"store/scans/case2_day0 can't be written: Not a directory\. Make room there"):
        prepare(toy_config, raw, tmp_path / "store")


def test_scans_that_can_not_be_read_are_named_together_and_the_others_are_prepared(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    root = tmp_path / "store"
    cut_short, text = slice_of(raw, "case2_day0"), slice_of(raw, "case7_day13", 1)
    sound = cut_short.read_bytes(), text.read_bytes()
    cut_short.write_bytes(sound[0][:100])
    text.write_text("no image")
    with pytest.raises(DataError) as error:
        prepare(toy_config, raw, root)
    head, *lines = str(error.value).splitlines()
    assert head == (
        "2 of 4 scans can't be read; the others are in the store and stay there. Mend the files, or name these scans "
        "in drop_scans; the same command then does only what is missing:"
    )
    assert [line.split(":")[0].strip() for line in lines] == ["case2_day0", "case7_day13"]
    assert str(cut_short) in lines[0] and str(text) in lines[1]
    store, before = Store(root), times(root)
    assert list(store.case_of) == ["case7_day1", "case10_day3"] and store.left_out == {}
    np.testing.assert_array_equal(store.scan("case7_day1").image[0], toy.draw(FEW[1])[0])

    cut_short.write_bytes(sound[0])
    with pytest.raises(DataError, match=r"^1 of 4 scans can't be read;(.|\n)*\n  case7_day13: DataError: "):
        prepare(toy_config, raw, root, stay_partial=True)  # what failed was not left out
    assert rewritten(before, times(root)) == {"case2_day0"}
    dropping = UwmgiDataset(**toy.content(drop_scans=["case7_day13"]))
    assert list(prepare(dropping, raw, root).case_of) == ["case2_day0", "case7_day1", "case10_day3"]
    text.write_bytes(sound[1])
    assert prepare(toy_config, raw, root).data_hash == prepare(toy_config, raw, tmp_path / "unbroken").data_hash
    assert content(root) == content(tmp_path / "unbroken")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("Unable to allocate 30 TiB"), "MemoryError: Unable to allocate 30 TiB"),
        (PermissionError(13, "Permission denied", "slice.png"), "PermissionError: .*Permission denied: 'slice.png'"),
    ],
)
def test_a_file_that_the_system_can_not_read_stops_no_other(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def load(config: UwmgiDataset, scan: RawScan) -> Scan:
        if scan.name == "case7_day1":
            raise error
        return real(config, scan)

    real = prepare_module.load
    monkeypatch.setattr(prepare_module, "load", load)
    with pytest.raises(DataError, match=rf"^1 of 4 scans can't be read(.|\n)*  case7_day1: {reason}$"):
        prepare(toy_config, raw, tmp_path / "store")
    assert list(Store(tmp_path / "store").case_of) == ["case2_day0", "case7_day13", "case10_day3"]


def test_where_no_scan_can_be_read_there_is_no_store(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    for name in NAMES:
        slice_of(raw, name).write_bytes(b"")
    with pytest.raises(DataError, match="4 of 4 scans can't be read"):
        prepare(toy_config, raw, tmp_path / "store")
    with pytest.raises(DataError, match="no store in"):
        Store(tmp_path / "store")


def test_an_array_that_was_lost_is_made_again(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    prepare(toy_config, raw, root)
    first = content(root)
    (root / "scans" / "case7_day1" / "masks.npy").unlink()
    prepare(toy_config, raw, root)
    assert content(root) == first


def test_a_limit_takes_the_first_scans_and_a_full_call_the_rest(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    root = tmp_path / "store"
    store = prepare(toy_config, raw, root, limit=2)
    assert list(store.case_of) == ["case2_day0", "case7_day1"] == sorted(times(root))
    assert store.left_out == {"case7_day13": "case7", "case10_day3": "case10"}
    assert read_json(root / "store.json")["left_out"] == store.left_out
    before = times(root)
    whole = prepare(toy_config, raw, root)
    assert list(whole.case_of) == NAMES and whole.left_out == {}
    assert rewritten(before, times(root)) == {"case7_day13", "case10_day3"}
    prepare(toy_config, raw, tmp_path / "unbroken")
    assert content(root) == content(tmp_path / "unbroken")


def test_cases_are_added_to_what_is_there(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    root = tmp_path / "store"
    assert list(prepare(toy_config, raw, root, cases=["case7"]).case_of) == ["case7_day1", "case7_day13"]
    before = times(root)
    store = prepare(toy_config, raw, root, cases=["case10", "case7"], limit=1)
    assert list(store.case_of) == ["case7_day1", "case7_day13"]
    store = prepare(toy_config, raw, root, cases=["case10"])
    assert list(store.case_of) == ["case7_day1", "case7_day13", "case10_day3"]
    assert store.left_out == {"case2_day0": "case2"}
    assert rewritten(before, times(root)) == {"case10_day3"}
    store = prepare(toy_config, raw, root)
    assert list(prepare(toy_config, raw, root, limit=1).case_of) == list(store.case_of) == NAMES


def test_a_partial_store_stays_so_for_the_steps_that_ask_for_no_more(
    raw: Path, tmp_path: Path, toy_config: UwmgiDataset
) -> None:
    root = tmp_path / "store"
    prepare(toy_config, raw, root, limit=2)
    cv2.imwrite(str(slice_of(raw, "case2_day0")), np.full((28, 36), 7, np.uint16))
    add(raw, ToyScan("case11_day0"))
    before = times(root)
    store = prepare(toy_config, raw, root, stay_partial=True)
    assert list(store.case_of) == ["case2_day0", "case7_day1", "case11_day0"]  # a new scan was never left out
    assert store.left_out == {"case7_day13": "case7", "case10_day3": "case10"}
    assert rewritten(before, times(root)) == {"case2_day0", "case11_day0"}
    assert list(prepare(toy_config, raw, tmp_path / "new", stay_partial=True).case_of) == [*NAMES, "case11_day0"]


def test_unknown_cases_and_limits_are_refused(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    with pytest.raises(ConfigError, match=r"no case 'case71' among the 3 to prepare \(did you mean 'case7'\?\)"):
        prepare(toy_config, raw, tmp_path / "store", cases=["case2", "case71"])
    with pytest.raises(ConfigError, match="the limit of scans to prepare should be 1 or more, not 0"):
        prepare(toy_config, raw, tmp_path / "store", limit=0)
    assert not (tmp_path / "store").exists()


def test_sources_are_only_read(raw: Path, tmp_path: Path, toy_config: UwmgiDataset) -> None:
    entries = [raw, *raw.rglob("*")]
    for path in entries:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in entries}
    prepare(toy_config, raw, tmp_path / "store")
    assert {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in raw.rglob("*")} | {
        raw: before[raw]
    } == before


def test_names_may_hold_spaces_and_any_letters(tmp_path: Path) -> None:
    names = ["Fall 7, größer", "スキャン 3", 'a "quoted" one']
    root = tmp_path / "raw data ü"
    pairs = []
    for index, name in enumerate(names):
        for folder, array in (("imagesTr", np.full((3, 4, 5), 10 * index)), ("labelsTr", np.arange(60) % 2)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            voxels = array.reshape(3, 4, 5).astype(np.int16)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / folder / f"{name}.nii.gz")
        pairs.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    described = {"labels": {"0": "background", "1": "läsion"}, "training": pairs, "test": []}
    (root / "dataset.json").write_text(json.dumps(described))
    config = NiftiDataset(reader="nifti", root="raw data ü", classes=("läsion",))
    prepare(config, root, tmp_path / "störe 1")
    store = prepare(config, root, tmp_path / "störe 1")
    assert sorted(store.case_of) == sorted(names) == sorted(store.labelled())
    for index, name in enumerate(names):
        assert set(np.unique(store.scan(name).image)) == {10 * index}
        assert store.scan(name).class_masks().sum() == 30
    assert store.slices.loc[store.slices["scan"] == names[0], "läsion"].sum() == 30
