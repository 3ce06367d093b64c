"""Raw scans to one folder each on disk, memory-mapped afterwards: random access to any slice or patch."""

import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.base import Dataset
from casefold.core import DataError, Grid, Scan, nearest_word, unpack_masks
from casefold.files import atomic, hash_bytes, hash_value, read_json, write_json, write_text
from casefold.intensity import scan_statistics
from casefold.readers import RawScan
from casefold.readers.table import find, load

logger = logging.getLogger(__name__)
LAYOUT = 1


class Store:
    """The prepared scans of one data set: `scan(name)` maps arrays, `slices` is one row a slice.

    slices: case, scan, z, slice, height, width, labelled, and a column of pixel counts for each class.
    """

    def __init__(self, root: Path) -> None:
        if not (root / "store.json").is_file():
            raise DataError(f"no store in {root}; run `prepare` first")
        index = read_json(root / "store.json")
        self.root = root
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.data_hash: str = index["data_hash"]
        self.case_of: dict[str, str] = index["scans"]
        names = dict.fromkeys(("case", "scan", "slice"), str)  # a case called 007 is no number
        self.slices = pd.read_csv(root / "slices.csv", dtype=names, keep_default_na=False)
        self._open: dict[str, Scan] = {}

    def records(self) -> dict[str, dict[str, Any]]:
        """What `scan.json` holds of each scan, in order; raises DataError where a scan's case is not the index's."""
        records = {name: read_json(self.root / "scans" / name / "scan.json") for name in self.case_of}
        for name, record in records.items():
            if record["case"] != self.case_of[name] or record["scan"] != name:
                raise DataError(
                    f"store {self.root}: scan {name} belongs to case {self.case_of[name]} by the index, but its folder "
                    f"says scan {record['scan']} of case {record['case']}; run `prepare` again"
                )
        return records

    def labelled(self) -> list[str]:
        """The names of the scans that have labels, in order."""
        return list(dict.fromkeys(self.slices.loc[self.slices["labelled"], "scan"]))

    def scan(self, name: str) -> Scan:
        """One scan with memory-mapped arrays; raises DataError for a name the store does not hold."""
        if name not in self._open:
            if name not in self.case_of:
                raise DataError(f"the store {self.root} holds no scan {name}{nearest_word(name, list(self.case_of))}")
            self._open[name] = _read_scan(self.root / "scans" / name)
        return self._open[name]


def prepare(
    config: Dataset,
    raw_root: Path,
    store_root: Path,
    workers: int = 1,
    progress: Callable[[Iterator[str], int], Iterator[str]] = lambda names, total: names,
) -> Store:
    """Read every training scan into the store; scans whose source did not change are left alone.

    progress: wraps the names of the scans as they are done, for a bar. Killed and called again it goes on.
    """
    raws = find(config, raw_root, "train")
    if not raws:
        raise DataError(f"no scans below {raw_root}; check `root` in the data set's config and CASEFOLD_DATA")
    form = hash_value([LAYOUT, config.model_dump(mode="json", exclude=set(config.OUTSIDE_STORE))])
    waiting = [raw for raw in raws if not _is_current(raw, store_root, form)]
    if waiting:
        (store_root / "store.json").unlink(missing_ok=True)
        for _ in progress(_prepare_all(config, waiting, store_root, form, workers), len(waiting)):
            pass
    wanted = {raw.name for raw in raws}
    for folder in sorted((store_root / "scans").iterdir()):
        if folder.name not in wanted:
            logger.info("removing %s from the store: it is no longer among the raw scans", folder.name)
            shutil.rmtree(folder)
    if waiting or not (store_root / "store.json").is_file() or len(Store(store_root).case_of) != len(raws):
        _write_index(config, [raw.name for raw in raws], store_root)
    return Store(store_root)


def _prepare_all(config: Dataset, raws: list[RawScan], root: Path, form: str, workers: int) -> Iterator[str]:
    if workers <= 1 or len(raws) == 1:
        for raw in raws:
            yield _prepare_one(config, raw, root, form)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_prepare_one, config, raw, root, form) for raw in raws]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            for job in jobs:
                job.cancel()


def _prepare_one(config: Dataset, raw: RawScan, root: Path, form: str) -> str:
    scan, folder = load(config, raw), root / "scans" / raw.name
    (folder / "scan.json").unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)  # with what a killed run left half written
    folder.mkdir(parents=True)
    arrays = {"image": scan.image, "masks": scan.masks, "ignore": scan.ignore}
    hashes = {}
    for what, array in arrays.items():
        if array is not None:
            array = np.ascontiguousarray(array)
            hashes[what] = hash_bytes(str((array.shape, array.dtype)).encode(), array.tobytes())
            with atomic(folder / f"{what}.npy") as stream:
                np.save(stream, array)
    counts = None
    if scan.masks is not None:
        counts = unpack_masks(scan.masks, len(scan.classes)).sum(axis=(2, 3)).tolist()
    record = {
        "case": scan.case,
        "scan": scan.name,
        "classes": scan.classes,
        "shape": scan.grid.shape,
        "spacing_mm": scan.grid.spacing_mm,
        "affine": scan.grid.affine,
        "slice_names": scan.slice_names,
        "statistics": scan_statistics(scan.image),
        "pixels": counts,
        "hashes": hashes,
        "source": {"form": form, "signature": raw.signature()},
    }
    write_json(folder / "scan.json", record)
    return raw.name


def _is_current(raw: RawScan, root: Path, form: str) -> bool:
    path = root / "scans" / raw.name / "scan.json"
    return path.is_file() and read_json(path)["source"] == {"form": form, "signature": raw.signature()}


def _write_index(config: Dataset, names: list[str], root: Path) -> None:
    rows: list[dict[str, Any]] = []
    cases, content = {}, []
    for name in names:
        record = read_json(root / "scans" / name / "scan.json")
        cases[name] = record["case"]
        content.append([name, record["case"], record["hashes"]])
        for z, slice_name in enumerate(record["slice_names"]):
            row = {"case": record["case"], "scan": name, "z": z, "slice": slice_name, "height": record["shape"][1],
                   "width": record["shape"][2], "labelled": record["pixels"] is not None}  # fmt: skip
            for index, class_name in enumerate(config.classes):
                row[class_name] = 0 if record["pixels"] is None else record["pixels"][index][z]
            rows.append(row)
    write_text(root / "slices.csv", pd.DataFrame(rows).to_csv(index=False))
    header = {"classes": config.classes, "data_hash": hash_value([config.classes, content]), "scans": cases}
    write_json(root / "store.json", header)


def _read_scan(folder: Path) -> Scan:
    record = read_json(folder / "scan.json")

    def array(what: str) -> NDArray[Any] | None:
        path = folder / f"{what}.npy"
        return np.load(path, mmap_mode="r") if path.is_file() else None

    image = array("image")
    if image is None:
        raise DataError(f"{folder} has no image.npy; run `prepare` again")
    spacing, affine = record["spacing_mm"], record["affine"]
    return Scan(
        case=record["case"],
        name=record["scan"],
        image=image,
        grid=Grid(tuple(record["shape"]), spacing and tuple(spacing), affine and tuple(tuple(row) for row in affine)),
        classes=tuple(record["classes"]),
        slice_names=tuple(record["slice_names"]),
        masks=array("masks"),
        ignore=array("ignore"),
        statistics=tuple(record["statistics"]),
    )
