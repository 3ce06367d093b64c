"""What is wrong with a scan's files, as far as names and headers tell; a sound scan becomes what `load` needs."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from casefold.config.datasets import NiftiDataset
from casefold.core import DataError
from casefold.readers import FaultKind, RawScan, Report
from casefold.readers.nifti.grid import NiftiFile, grid_difference, open_nifti
from casefold.readers.nifti.layout import ScanFiles

log = logging.getLogger(__name__)
Note = Callable[[FaultKind, str], None]


def to_raw(config: NiftiDataset, scan: ScanFiles, labels: Mapping[str, Any], report: Report) -> RawScan | None:
    """The scan to be read, or None where it is faulty (reported), or lacks a modality and the config says `drop`.

    labels: what `load` needs to read a label map; empty where none is wanted. A scan that lacks its label alone stays.
    """
    details = {"modalities": tuple(name for name in config.modalities if name in dict(scan.images))}
    absent = lacking(config, details)
    if scan.images and absent and config.missing_modality == "drop":
        log.warning("scan %s is left out: it lacks %s", scan.name, ", ".join(absent))
        return None
    kinds: list[FaultKind] = []

    def note(kind: FaultKind, message: str) -> None:
        kinds.append(kind)
        report(kind, scan.name, message)

    _check_names(config, scan, absent, bool(labels), note)
    _check_headers(config, scan, note)
    case = _case(config, scan)
    if case is None:
        note("name", f"case_pattern {config.case_pattern!r} finds no case in the scan name {scan.name!r}")
    if case is None or set(kinds) - {"image without label"}:
        return None
    sources = (*(path for _, path in scan.images), *scan.labels)
    labelled = bool(scan.labels)
    return RawScan(case, scan.name, sources, labelled, {**details, **(labels if labelled else {})})


def lacking(config: NiftiDataset, details: Mapping[str, Any]) -> list[str]:
    """The modalities that a scan has no file of, where each is a file of its own."""
    return [name for name in config.modalities if config.file_a_modality and name not in details["modalities"]]


def misfit(config: NiftiDataset, images: Sequence[NiftiFile]) -> str | None:
    """Why image files do not make one scan, or None: volumes that the config does not have, or several grids."""
    wanted = 1 if config.file_a_modality else len(config.modalities)
    for file in images:
        if wanted and file.volumes != wanted:
            what = "one modality a file" if config.file_a_modality else f"the modalities {list(config.modalities)}"
            return f"{file.path} holds {file.volumes} volumes, but the config has {what}"
    return grid_difference(images)


def _check_names(config: NiftiDataset, scan: ScanFiles, absent: Sequence[str], wants_label: bool, note: Note) -> None:
    if not scan.images:
        note("label without image", f"{scan.labels[0]} is a label without image; add it, or name it in drop_scans")
        return
    if len(scan.images) > len(dict(scan.images)):
        paths = " and ".join(str(path) for _, path in scan.images)
        note("name", f"scan {scan.name} has an image twice among {paths}; remove one, or make the pattern narrower")
    if len(scan.labels) > 1:
        note("doubled label", f"scan {scan.name} has several labels, {' and '.join(map(str, scan.labels))}; keep one")
    if wants_label and not scan.labels:
        path = scan.images[0][1]
        note("image without label", f"{path} is an image without label; add it, or name {scan.name} in drop_scans")
    if absent and config.missing_modality == "refuse":
        note(
            "missing modality",
            f"scan {scan.name} lacks {', '.join(absent)}; add the file, or let `missing_modality` drop the scan or "
            "fill in zeros or the mean of the others",
        )


def _check_headers(config: NiftiDataset, scan: ScanFiles, note: Note) -> None:
    images = []
    for path in (*(path for _, path in scan.images), *scan.labels):
        if not path.is_file():
            note("missing file", f"{path} is missing, though dataset.json lists it; fetch it again")
            continue
        try:
            file = open_nifti(path)
        except DataError as e:
            note("unreadable", str(e))
            continue
        if path not in scan.labels:
            images.append(file)
    fault = misfit(config, images) if images else None
    if fault:
        note("size", f"scan {scan.name}: {fault}")


def _case(config: NiftiDataset, scan: ScanFiles) -> str | None:
    if scan.case is not None or config.case_pattern is None:
        return scan.case or scan.name
    match = re.search(config.case_pattern, scan.name)
    return match[1] or None if match else None
