"""The prepared scans, a folder each on disk and memory-mapped: random access to any slice or patch."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.core import DataError, Grid, Scan, nearest_word
from casefold.files import read_record

LAYOUT = 2
OPEN_SCANS = 2048  # three maps each at most, of the 65530 that Linux gives a process


class Store:
    """The prepared scans of one data set: `scan(name)` maps arrays, `slices` is one row a slice.

    slices: case, scan, z, slice, height, width, labelled, and a column of pixel counts for each class.
    left_out: scan to case, of the raw scans that `prepare` was told to leave out.
    """

    def __init__(self, root: Path) -> None:
        if not (root / "store.json").is_file():
            raise DataError(f"no store in {root}; run `prepare` first")
        index = read_record(root / "store.json")
        if index.get("layout") != LAYOUT:
            raise DataError(f"the store {root} was made by another version of casefold; run `prepare` again")
        self.root = root
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.data_hash: str = index["data_hash"]
        self.case_of: dict[str, str] = index["scans"]
        self.left_out: dict[str, str] = index["left_out"]
        names = dict.fromkeys(("case", "scan", "slice"), str)  # a case called 007 is no number
        try:
            self.slices = pd.read_csv(root / "slices.csv", dtype=names, keep_default_na=False)
        except (OSError, ValueError) as e:
            what = f"remove {root / 'store.json'} and run `prepare`, which lists the scans again"
            raise DataError(f"{root / 'slices.csv'} can't be read ({e}); {what}") from e
        self._open: dict[str, Scan] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: without the open scans, whose maps would be sent as whole arrays."""
        return self.__dict__ | {"_open": {}}

    def records(self) -> dict[str, dict[str, Any]]:
        """What `scan.json` holds of each scan, in order; raises DataError where a scan's case is not the index's."""
        records = {name: read_record(self.root / "scans" / name / "scan.json") for name in self.case_of}
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
        """One scan with memory-mapped arrays; raises DataError for a name the store does not hold.

        The scans asked for last stay open, up to OPEN_SCANS.
        """
        if name not in self.case_of:
            raise DataError(f"the store {self.root} holds no scan {name}{nearest_word(name, list(self.case_of))}")
        scan = self._open.pop(name, None) or _read_scan(self.root / "scans" / name)
        self._open[name] = scan
        if len(self._open) > OPEN_SCANS:
            del self._open[next(iter(self._open))]
        return scan


def _read_scan(folder: Path) -> Scan:
    if not (folder / "scan.json").is_file():
        raise DataError(f"{folder} has no scan.json; run `prepare` again")
    record = read_record(folder / "scan.json")
    spacing, affine = record["spacing_mm"], record["affine"]
    return Scan(
        case=record["case"],
        name=record["scan"],
        image=_map(folder / "image.npy"),
        grid=Grid(tuple(record["shape"]), spacing and tuple(spacing), affine and tuple(tuple(row) for row in affine)),
        classes=tuple(record["classes"]),
        slice_names=tuple(record["slice_names"]),
        masks=_map(folder / "masks.npy") if "masks" in record["hashes"] else None,
        ignore=_map(folder / "ignore.npy") if "ignore" in record["hashes"] else None,
        statistics=tuple(record["statistics"]),
    )


def _map(path: Path) -> NDArray[Any]:
    try:
        return np.asanyarray(np.lib.format.open_memmap(path, mode="r"))
    except (OSError, ValueError, EOFError) as e:
        raise DataError(f"{path} can't be read ({e}); remove its folder and run `prepare` again") from e
