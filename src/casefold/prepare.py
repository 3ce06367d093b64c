"""Raw scans into the store, a folder each, side by side; killed and called again it goes on where it stopped."""

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.base import Dataset
from casefold.core import CasefoldError, ConfigError, DataError, Scan, nearest_word
from casefold.files import atomic, hash_bytes, hash_value, read_record, write_json
from casefold.filters import STORED_GROWTH
from casefold.intensity import scan_statistics
from casefold.processes import end_with_parent
from casefold.readers import RawScan
from casefold.readers.table import find, load, stored_bytes
from casefold.store import LAYOUT, Store

logger = logging.getLogger(__name__)
RECORD_BYTES = 1 << 16  # room for a scan's headers and scan.json


def prepare(
    config: Dataset,
    raw_root: Path,
    store_root: Path,
    workers: int = 1,
    progress: Callable[[Iterator[str], int], Iterator[str]] = lambda names, total: names,
    limit: int | None = None,
    cases: Sequence[str] = (),
    stay_partial: bool = False,
    folder: Path | None = None,
) -> Store:
    """Read the training scans into the store; scans whose source did not change are left alone.

    folder: read the scans there instead, which are not labelled.
    progress: wraps the names of the scans as they are done, for a bar. limit, cases: only the first so many scans,
    only those of these cases, beside what the store holds already; the rest is recorded as left out.
    stay_partial: what an earlier call left out stays out. Raises DataError where the disk has too little room, before
    anything is written, and, after all others are prepared, where scans can't be read.
    """
    raws = find(config, raw_root, "train") if folder is None else find(config, raw_root, "test", folder)
    if not raws:
        raise DataError(f"no scans below {folder or raw_root}; check `root` in the data set's config and CASEFOLD_DATA")
    form = hash_value([LAYOUT, config.model_dump(mode="json", exclude=set(config.OUTSIDE_STORE))])
    index = _read_index(store_root)
    chosen = _chosen(raws, limit, cases, index["left_out"] if stay_partial else {})
    current = {raw.name for raw in raws if _is_current(raw, store_root, form)}
    waiting = [raw for raw in raws if raw.name in chosen - current]
    failed: dict[str, str] = {}
    if waiting:
        _refuse_full_disk(config, waiting, store_root)
        if any(raw.name in index["scans"] for raw in waiting):
            (store_root / "store.json").unlink()  # until it says what lies there again
        for _ in progress(_prepare_all(config, waiting, store_root, form, workers, failed), len(waiting)):
            pass
    names = {raw.name for raw in raws}
    for folder in sorted((store_root / "scans").glob("*")):
        if folder.name not in names:
            logger.info("removing %s from the store: it is no longer among the raw scans", folder.name)
            shutil.rmtree(folder)
    held = {raw.name: raw.case for raw in raws if raw.name in (chosen | current) - failed.keys()}
    left_out = {raw.name: raw.case for raw in raws if raw.name not in chosen | current}
    if held and (waiting or (index["scans"], index["left_out"]) != (held, left_out)):
        write_index(config.classes, list(held), left_out, store_root)
    if failed:
        lines = "\n".join(f"  {name}: {reason}" for name, reason in failed.items())
        raise DataError(
            f"{len(failed)} of {len(raws)} scans can't be read; the others are in the store and stay there. Mend the "
            f"files, or name these scans in drop_scans; the same command then does only what is missing:\n{lines}"
        )
    return Store(store_root)


def _chosen(raws: list[RawScan], limit: int | None, cases: Sequence[str], left_out: Mapping[str, str]) -> set[str]:
    known = list(dict.fromkeys(raw.case for raw in raws))
    for case in cases:
        if case not in known:
            raise ConfigError(f"there is no case {case!r} among the {len(known)} to prepare{nearest_word(case, known)}")
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit of scans to prepare should be 1 or more, not {limit}")
    names = [raw.name for raw in raws if not cases or raw.case in cases][:limit]
    return set(names) - left_out.keys() or set(names)


def _refuse_full_disk(config: Dataset, waiting: list[RawScan], root: Path) -> None:
    """Say how much will be written, and raise DataError where the disk has less room than that."""
    needed = max(0, sum(_bytes_to_write(config, raw) - _bytes_of(root / "scans" / raw.name) for raw in waiting))
    place = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    logger.info("%d scans to prepare: %s, into %s with %s free", len(waiting), _size(needed), root, _size(free))
    if needed > free:
        raise DataError(
            f"the store needs {_size(needed)} more in {root}, where {_size(free)} are free; make room, or set "
            "CASEFOLD_STORE to a folder on a larger disk. Nothing was written"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"


def _bytes_to_write(config: Dataset, raw: RawScan) -> int:
    try:
        size = stored_bytes(config, raw)
    except (CasefoldError, OSError):
        return 0  # reading it will say why
    for each in config.filters:
        size *= STORED_GROWTH.get(each.name, 1)
    return size + RECORD_BYTES


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))


def _prepare_all(
    config: Dataset, raws: list[RawScan], root: Path, form: str, workers: int, failed: dict[str, str]
) -> Iterator[str]:
    """The names of the scans as they are done; those that can't be read go to `failed` with the reason."""

    def told(name: str, reason: str | None) -> str:
        if reason is not None:
            failed[name] = reason
        return name

    if workers <= 1 or len(raws) == 1:
        for raw in raws:
            yield told(raw.name, _prepare_one(config, raw, root, form))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(raws)), mp_context=spawn, initializer=end_with_parent) as pool:
        jobs = {pool.submit(_prepare_one, config, raw, root, form): raw.name for raw in raws}
        try:
            for job in as_completed(jobs):
                yield told(jobs[job], job.result())
        except BrokenProcessPool as e:
            raise DataError(
                "a process that prepared a scan ended abruptly, most likely killed for want of memory; what is done "
                "stays, call again with fewer --jobs"
            ) from e
        finally:
            for job in jobs:
                job.cancel()


def _prepare_one(config: Dataset, raw: RawScan, root: Path, form: str) -> str | None:
    """Read one scan and write its folder; gives the reason where it can't be read, raises where it can't be written."""
    try:
        source = {"form": form, "signature": raw.signature()}
        scan = load(config, raw)
        record = {**_record(scan), "source": source}
    except (CasefoldError, OSError, MemoryError) as e:
        return f"{type(e).__name__}: {e}"
    _write_folder(scan, record, root / "scans" / raw.name)
    return None


def write_scan(scan: Scan, source: dict[str, Any], folder: Path, image: Path) -> None:
    """Write one scan's folder of a store anew. source: what it was made from, kept in its record.

    image: a file of another store that holds the scan's image; it is linked, or copied where files can't be.
    """
    _write_folder(scan, {**_record(scan), "source": source}, folder, image)


def _write_folder(scan: Scan, record: dict[str, Any], folder: Path, image: Path | None = None) -> None:
    try:
        (folder / "scan.json").unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)  # with what a killed run left half written
        folder.mkdir(parents=True)
        for what, array in _arrays(scan).items():
            if what == "image" and image is not None:
                _link(image, folder / "image.npy")
            else:
                _write_array(folder / f"{what}.npy", array)
        write_json(folder / "scan.json", record)
    except OSError as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(
            f"{folder} can't be written: {e.strerror or e}. Make room there, or set CASEFOLD_STORE to another folder; "
            "the scans that are done stay, and the same command does only the rest"
        ) from e


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, other)


def _arrays(scan: Scan) -> dict[str, NDArray[Any]]:
    arrays = {"image": scan.image, "masks": scan.masks, "ignore": scan.ignore}
    return {what: np.ascontiguousarray(array) for what, array in arrays.items() if array is not None}


def _record(scan: Scan) -> dict[str, Any]:
    hashes = {
        what: hash_bytes(str((array.shape, array.dtype)).encode(), _bytes_in(array))
        for what, array in _arrays(scan).items()
    }
    pixels = None
    if scan.masks is not None:
        bits = [scan.masks.dtype.type(1 << index) for index in range(len(scan.classes))]
        pixels = [[int(np.count_nonzero(plane & bit)) for plane in scan.masks] for bit in bits]
    return {
        "case": scan.case,
        "scan": scan.name,
        "classes": scan.classes,
        "shape": scan.grid.shape,
        "spacing_mm": scan.grid.spacing_mm,
        "affine": scan.grid.affine,
        "slice_names": scan.slice_names,
        "statistics": scan_statistics(scan.image),
        "pixels": pixels,
        "hashes": hashes,
    }


def _write_array(path: Path, array: NDArray[Any]) -> None:
    """As np.save, whose own writing forgets why it failed."""
    with atomic(path) as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(_bytes_in(array))


def _bytes_in(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _is_current(raw: RawScan, root: Path, form: str) -> bool:
    folder = root / "scans" / raw.name
    if not (folder / "scan.json").is_file():
        return False
    record = read_record(folder / "scan.json")
    whole = all((folder / f"{what}.npy").is_file() for what in record["hashes"])
    return whole and record["source"] == {"form": form, "signature": raw.signature()}


def _read_index(root: Path) -> dict[str, Any]:
    """What store.json says; an absent one, or one of another layout, holds nothing."""
    index = read_record(root / "store.json") if (root / "store.json").is_file() else {}
    return index if index.get("layout") == LAYOUT else {"scans": {}, "left_out": {}}


def write_index(classes: Sequence[str], names: Sequence[str], left_out: Mapping[str, str], root: Path) -> None:
    """Write what a store holds, by the records in these scans' folders; left_out: scan to case."""
    for path in root.glob(".*.part"):  # half written by a killed run
        path.unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    cases, content = {}, []
    for name in names:
        record = read_record(root / "scans" / name / "scan.json")
        cases[name] = record["case"]
        content.append([name, record["case"], record["hashes"]])
        for z, slice_name in enumerate(record["slice_names"]):
            row = {"case": record["case"], "scan": name, "z": z, "slice": slice_name, "height": record["shape"][1],
                   "width": record["shape"][2], "labelled": record["pixels"] is not None}  # fmt: skip
            for index, class_name in enumerate(classes):
                row[class_name] = 0 if record["pixels"] is None else record["pixels"][index][z]
            rows.append(row)
    with atomic(root / "slices.csv") as stream:
        stream.write(pd.DataFrame(rows).to_csv(index=False).encode())
        stream.flush()  # the disk has room for it before the index that is there goes
        (root / "store.json").unlink(missing_ok=True)
    header = {"layout": LAYOUT, "classes": classes, "data_hash": hash_value([classes, content]),
              "scans": cases, "left_out": left_out}  # fmt: skip
    write_json(root / "store.json", header)
