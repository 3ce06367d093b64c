"""Reading scans as well as can be: what a step that trains refuses costs a slice here, and is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from casefold.config.base import Dataset
from casefold.config.datasets import ImagesDataset, UwmgiDataset
from casefold.core import Scan
from casefold.intensity import scan_statistics
from casefold.readers import Part, RawScan, uwmgi
from casefold.readers.table import find, load


def find_tolerantly(dataset: Dataset, root: Path, part: Part) -> tuple[list[RawScan], list[str]]:
    """The scans of a part without what is faulty in them, and what that is; files of other names or sizes are left out.

    Raises DataError on a folder that holds nothing of the layout at all.
    """
    told: list[str] = []
    raws = find(dataset, root, part, None, lambda _kind, _where, message: told.append(message))
    return raws, told


def load_tolerantly(dataset: Dataset, raw: RawScan) -> tuple[Scan, list[str]]:
    """A scan in which the nearest slice that can be read stands for one that can't, and what was wrong.

    Its statistics are those of the slices that can be read. Raises DataError where there is none.
    """
    told: list[str] = []
    scan = load(dataset, raw, lambda _kind, _where, message: told.append(message))
    names = slice_names(dataset, raw)
    if len(scan.slice_names) >= len(names):
        return scan, told
    place = {name: index for index, name in enumerate(scan.slice_names)}
    there = [z for z, name in enumerate(names) if name in place]
    stand_in = [place[names[min(there, key=lambda other: abs(other - z))]] for z in range(len(names))]
    told.append(f"scan {raw.name}: the nearest slices stand for {[name for name in names if name not in place]}")
    filled = replace(
        scan,
        image=scan.image[:, stand_in],
        grid=replace(scan.grid, shape=(len(names), *scan.grid.shape[1:])),
        slice_names=tuple(names),
        masks=None,
        ignore=None,
        statistics=scan_statistics(scan.image),
    )
    return filled, told


def slice_names(dataset: Dataset, raw: RawScan) -> Sequence[str]:
    """The ids of a scan's slices by its files' names; empty where one file holds them all."""
    if isinstance(dataset, UwmgiDataset):
        return uwmgi.slice_names(raw)
    return tuple(raw.details["ids"]) if isinstance(dataset, ImagesDataset) else ()
