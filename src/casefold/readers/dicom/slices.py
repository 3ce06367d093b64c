"""Some slices of a scan: their stored pixels and their labels, read from their own files only."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.datasets import DicomDataset
from casefold.core import DataError
from casefold.readers import RawScan, Report, refuse
from casefold.readers.dicom.faults import note
from casefold.readers.dicom.masks import class_masks
from casefold.readers.dicom.pixels import read_planes
from casefold.readers.dicom.series import Series


def read_slices(raw: RawScan, planes: Iterable[int], report: Report = refuse) -> dict[int, NDArray[Any]]:
    """The stored pixels of some slices by z, (y, x) or (y, x, 3), each file opened once; what can't be read is not in.

    Slope and intercept stand in `raw.details["series"].frames[z]`.
    """
    series: Series = raw.details["series"]
    by_file = defaultdict[int, list[int]](list)
    for z in planes:
        by_file[series.frames[z].file].append(z)
    found = dict[int, NDArray[Any]]()
    for file, places in by_file.items():
        numbers = [series.frames[z].number for z in places]
        try:
            found.update(zip(places, read_planes(raw.sources[file], numbers, series.invert), strict=True))
        except DataError as e:
            report("unreadable", raw.name, str(e))
    return found


def read_labels(config: DicomDataset, raw: RawScan, planes: Sequence[int]) -> NDArray[np.bool_]:
    """The masks of some slices of a labelled scan, bool (class, len(planes), y, x); raises DataError."""
    return class_masks(config, raw.details["series"], raw.sources[raw.details["images"] :], planes)


def check_doubles(raw: RawScan, planes: Mapping[int, NDArray[Any]], report: Report = refuse) -> None:
    """Compare the slices that lie at the place of another with that one; planes: what `read_slices` gave."""
    series: Series = raw.details["series"]
    same = []
    for z, frame in series.doubles:
        kept, path = series.frames[z], raw.sources[frame.file]
        names = f"{raw.sources[kept.file].name} and {path.name}"
        try:
            (plane,) = read_planes(path, [frame.number], series.invert)
        except DataError as e:
            report("unreadable", raw.name, str(e))
            continue
        scales = (kept.slope, kept.intercept) == (frame.slope, frame.intercept)
        if z not in planes:
            continue
        if scales and np.array_equal(plane, planes[z]):
            same.append(names)
        else:
            report(
                "duplicate slice",
                raw.name,
                f"scan {raw.name}: {names} lie at the same place and differ; are there several volumes in one series "
                "(time points, echoes)? Move the files of all but one away, or leave the scan out by drop_scans",
            )
    if same:
        text = f"scan {raw.name}: the same slice twice, one is kept of {', '.join(same)}"
        note(report, "duplicate slice", raw.name, text)
