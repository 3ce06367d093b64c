"""UW-Madison layout: `caseN/caseN_dayM/scans/slice_NNNN_WIDTH_HEIGHT_sx_sy.png`, labels as RLE in a CSV."""

import logging
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold import rle
from casefold.config.datasets import UwmgiDataset
from casefold.core import DataError, Grid, Scan, Triple, mask_type, nearest_word
from casefold.readers import FaultKind, Part, RawScan, Report, refuse

log = logging.getLogger(__name__)

SCAN = re.compile(r"(case(\d+))_day(\d+)")
SLICE = re.compile(r"(slice_(\d+))_(\d+)_(\d+)_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)\.png")
START = re.compile(r"slice_\d+")
COLUMNS = ["id", "class", "segmentation"]
SHOWN = 5  # as many examples as a message names
Rows = dict[str, dict[str, str]]  # slice name -> class -> RLE


def find(
    config: UwmgiDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """The scans of a part, or those in `folder` (never labelled), by case and day as numbers.

    Train: dropped scans are left out; one with label rows for no slice is unlabelled. Test: never labelled; where the
    folder is absent or holds no PNG there are no scans, but a `folder` that was asked for must hold some.
    Raises DataError on images and labels that do not agree. Where `report` returns, the file, the slice or the row is
    left out; a scan of which nothing is left is none.
    """
    if folder is not None or part == "test":
        base = root / config.test if folder is None else folder
        return _raws(config, _scan_folders(base, folder is not None, report), {}, report)
    labels = root / config.labels
    paths = _scan_folders(root / config.train, True, report)
    dropped_slices = _dropped(config, paths, report)
    if dropped_slices:
        log.debug("dropped %d slices: %s", sum(dropped_slices.values()), dropped_slices)
    rows = _read_labels(config, labels, report)
    scans = _raws(config, [path for path in paths if path.name not in dropped_slices], rows, report)
    known = {f"{path.name}_{start[0]}" for path in paths for file in _files(path) if (start := START.match(file.name))}
    strangers = [name for name in rows if name not in known and _scan_of(name) not in dropped_slices]
    told = f"{labels} has rows for slices without an image: "
    _report_by_scan("label without image", strangers, report, told)
    return scans


def dropped(config: UwmgiDataset, root: Path) -> dict[str, int]:
    """How many slices each of `drop_scans` takes away; raises DataError if that is not what the config says."""
    return _dropped(config, _scan_folders(root / config.train, True, refuse), refuse)


def load(config: UwmgiDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan: image (1, z, y, x) of the files' own type, z in order of slice number, masks where labelled.

    Where `report` returns, a slice that can't be read is left out, and one whose rows can't is `ignore`.
    Raises DataError where no slice is left.
    """
    images = {z: image for z, path in enumerate(raw.sources) if (image := _read_image(path, report)) is not None}
    kinds = Counter(str(image.dtype) for image in images.values())
    if len(kinds) > 1:
        message = f"scan {raw.name}: slices of different types, {sorted(kinds)}, in {raw.sources[0].parent}"
        report("type", raw.name, message)
        images = {z: image for z, image in images.items() if str(image.dtype) == kinds.most_common(1)[0][0]}
    if not images:
        raise DataError(f"scan {raw.name} has no slice that can be read, of {len(raw.sources)}")
    image = np.stack(list(images.values()))[np.newaxis]
    grid = Grid((image.shape[1], image.shape[2], image.shape[3]), raw.details["spacing_mm"])
    all_names = slice_names(raw)
    names = tuple(all_names[z] for z in images)
    masks, unsure = None, np.zeros(len(names), bool)
    if raw.labelled:
        rows = {label: [texts[z] for z in images] for label, texts in raw.details["rle"].items()}
        masks, unsure = _masks(config, rows, names, grid.shape, report)
    ignore = np.broadcast_to(unsure[:, None, None], grid.shape) if unsure.any() else None
    return Scan(raw.case, raw.name, image, grid, config.classes, names, masks, ignore)


def slice_names(raw: RawScan) -> tuple[str, ...]:
    """The ids of a submission, one a slice: `case7_day0_slice_0001`."""
    return tuple(f"{raw.name}_{_parse(path)[1]}" for path in raw.sources)


def stored_bytes(config: UwmgiDataset, raw: RawScan) -> int:
    """Size of image and masks: width and height as the files are named, the type from the first PNG's header."""
    with raw.sources[0].open("rb") as stream:
        header = stream.read(25)
    if len(header) < 25 or not header.startswith(b"\x89PNG"):
        raise DataError(f"{raw.sources[0]} can't be read as a PNG")
    _, _, width, height, _, _ = _parse(raw.sources[0])
    bits = header[24]
    masks = mask_type(len(config.classes))().itemsize if raw.labelled else 0
    return width * height * len(raw.sources) * ((2 if bits == 16 else 1) + masks)


def _scan_folders(base: Path, required: bool, report: Report) -> list[Path]:
    """Every folder `caseN_dayM` at or up to two levels below `base`, by numbers; none where no PNG is below them."""
    if not base.is_dir():
        if required:
            raise DataError(f"no folder {base}; wanted one that holds caseN/caseN_dayM/scans/slice_*.png")
        return []
    found = [path for path in (base, *base.glob("*"), *base.glob("*/*")) if SCAN.fullmatch(path.name) and path.is_dir()]
    by_name = {path.name: path for path in found}
    if len(by_name) < len(found):
        twice = sorted({str(path) for path in found if by_name[path.name] != path})
        report("name", twice[0], f"{base} holds a scan twice: {_some(twice)} and elsewhere")
        found = list(by_name.values())
    for path in found:
        case = path.name.partition("_")[0]
        if re.fullmatch(r"case\d+", path.parent.name) and path.parent.name != case:
            report("name", str(path), f"{path} lies in the folder of another case, {path.parent.name}")
    empty = [path for path in found if not _files(path)]
    if len(empty) == len(found):
        if required:
            raise DataError(f"no scans in {base}; wanted caseN/caseN_dayM/scans/slice_*.png")
        return []
    if empty:
        report("missing file", str(empty[0]), f"scan folders without a PNG: {_some(map(str, empty))}")
    return sorted((path for path in found if path not in empty), key=lambda path: _numbers(path.name))


def _files(scan: Path) -> list[Path]:
    return list((scan / "scans" if (scan / "scans").is_dir() else scan).glob("*.png"))


def _numbers(scan: str) -> tuple[int, int]:
    match = SCAN.fullmatch(scan)
    if match is None:
        raise DataError(f"{scan!r} is not the name of a scan; wanted caseN_dayM")
    return int(match[2]), int(match[3])


def _scan_of(slice_name: str) -> str:
    return slice_name.partition("_slice_")[0]


def _dropped(config: UwmgiDataset, paths: list[Path], report: Report) -> dict[str, int]:
    by_name = {path.name: path for path in paths}
    for name in config.drop_scans:
        if name not in by_name:
            hint = nearest_word(name, list(by_name))
            report("dropped scan", name, f"drop_scans: no scan {name!r} among {len(paths)}{hint}")
    counts = {name: len(_files(by_name[name])) for name in config.drop_scans if name in by_name}
    if config.dropped_slices is not None and sum(counts.values()) != config.dropped_slices:
        report(
            "dropped scan",
            "drop_scans",
            f"drop_scans removes {sum(counts.values())} slices ({counts}), "
            f"but dropped_slices says {config.dropped_slices}",
        )
    return counts


def _parse(path: Path) -> tuple[int, str, int, int, float, float]:
    """Slice number, its name, width, height, spacing x, spacing y, as the file name says."""
    match = SLICE.fullmatch(path.name)
    if match is None:
        raise DataError(f"{path} is not named slice_NUMBER_WIDTH_HEIGHT_SPACINGX_SPACINGY.png")
    return int(match[2]), match[1], int(match[3]), int(match[4]), float(match[5]), float(match[6])


def _raws(config: UwmgiDataset, paths: list[Path], rows: Rows, report: Report) -> list[RawScan]:
    raws = (_raw(config, path, rows, report) for path in paths)
    return [raw for raw in raws if raw is not None]


def _raw(config: UwmgiDataset, folder: Path, rows: Rows, report: Report) -> RawScan | None:
    """One scan by the names of its files; None where no file is left."""
    files = _files(folder)
    for path in sorted(files):
        if not SLICE.fullmatch(path.name):
            report("name", str(path), f"{path} is not named slice_NUMBER_WIDTH_HEIGHT_SPACINGX_SPACINGY.png")
    parsed = {path: _parse(path) for path in sorted((p for p in files if SLICE.fullmatch(p.name)), key=_parse)}
    if not parsed:
        return None
    numbers = Counter(entry[0] for entry in parsed.values())
    twice = [number for number, count in numbers.items() if count > 1]
    if twice:
        report(
            "duplicate slice",
            folder.name,
            f"scan {folder.name} has a slice number twice: {twice[:SHOWN]} in {files[0].parent}",
        )
    usual = Counter(entry[2:] for entry in parsed.values()).most_common(1)[0][0]
    like = next(path for path, entry in parsed.items() if entry[2:] == usual)
    sources: dict[int, Path] = {}
    for path, entry in parsed.items():
        if entry[2:] != usual:
            what: FaultKind = "size" if entry[2:4] != usual[:2] else "spacing"
            report(what, str(path), f"scan {folder.name}: {path} differs from {like.name} in size or spacing")
        if entry[2:4] == usual[:2]:
            sources.setdefault(entry[0], path)
    missing = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
    if missing and report is refuse:
        log.warning("scan %s lacks the slices %s", folder.name, missing)
    elif missing:
        report("missing slice", folder.name, f"scan {folder.name} lacks the slices {missing}")
    names = [f"{folder.name}_{parsed[path][1]}" for path in sources.values()]
    labelled = any(name in rows for name in names)
    return RawScan(
        case=folder.name.partition("_")[0],
        name=folder.name,
        sources=tuple(sources.values()),
        labelled=labelled,
        details={
            "spacing_mm": _spacing(config, x_mm=usual[2], y_mm=usual[3]),
            "rle": _rle_by_class(config.classes, names, rows, report) if labelled else {},
        },
    )


def _spacing(config: UwmgiDataset, *, x_mm: float, y_mm: float) -> Triple | None:
    if config.spacing_mm == "unknown":
        return None
    from_name = (0.0, y_mm, x_mm)  # the schema sees to it that z is a number
    z, y, x = (
        named if entry == "from_name" else float(entry)
        for entry, named in zip(config.spacing_mm, from_name, strict=True)
    )
    return z, y, x


def _read_labels(config: UwmgiDataset, path: Path, report: Report) -> Rows:
    if not path.is_file():
        report("missing file", str(path), f"no label file {path}; wanted a CSV of {','.join(COLUMNS)}")
        return {}
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as e:  # pandas' own errors are ValueErrors, and so is text that is no UTF-8
        told = f"{path} can't be read as a CSV of {','.join(COLUMNS)}: {e}; save it as CSV in UTF-8"
        report("unreadable", str(path), told)
        return {}
    if not set(COLUMNS) <= set(table.columns):
        report("unreadable", str(path), f"{path} has the columns {list(table.columns)}; wanted {COLUMNS}")
        return {}
    for name, of_class in table.groupby("class", sort=False):
        if name not in config.classes:
            hint = nearest_word(str(name), config.classes)
            known = list(config.classes)
            message = f"{path}: unknown class {name!r}{hint}; mend the rows, or the config, which has {known}"
            scans = {_scan_of(slice_name) for slice_name in of_class["id"]}
            report("unknown class", _some(of_class["id"]) if len(scans) == 1 else str(path), message)
    table = table[table["class"].isin(config.classes)]
    again = table.duplicated(["id", "class"])
    doubled = [f"{name} {label}" for name, label in table.loc[again, COLUMNS[:2]].itertuples(index=False)]
    _report_by_scan("doubled label", doubled, report, f"{path} has a row of id and class twice: ")
    rows: Rows = {}
    for name, label, text in table.loc[~again, COLUMNS].itertuples(index=False):
        rows.setdefault(name, {})[label] = text
    return rows


def _rle_by_class(
    classes: tuple[str, ...], names: list[str], rows: Rows, report: Report
) -> dict[str, tuple[str | None, ...]]:
    """Class to the RLE of every slice; a scan that has rows must have all of them, for missing (None) is not empty."""
    gaps = [f"{name} {label}" for name in names for label in classes if label not in rows.get(name, {})]
    if gaps:
        scan = _scan_of(names[0])
        message = f"scan {scan} is labelled in part; {len(gaps)} rows are missing: {_some(gaps)}"
        report("partly labelled", scan, message)
    return {label: tuple(rows.get(name, {}).get(label) for name in names) for label in classes}


def _read_image(path: Path, report: Report) -> NDArray[Any] | None:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        report("unreadable", str(path), f"{path} can't be read as a PNG; put a sound copy in its place")
        return None
    _, _, width, height, _, _ = _parse(path)
    if image.shape != (height, width):
        report(
            "size",
            str(path),
            f"{path} should be one grey image of {width} x {height} (width x height) as its name says, "
            f"but its array has shape {image.shape}",
        )
        return None
    return np.asarray(image)


def _masks(
    config: UwmgiDataset,
    rows: dict[str, list[str | None]],
    names: tuple[str, ...],
    shape: tuple[int, int, int],
    report: Report,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The masks as a bitfield, and the slices (z) where a row is missing or can't be read."""
    kind = mask_type(len(config.classes))
    packed, unsure = np.zeros(shape, kind), np.zeros(len(names), bool)
    for bit, label in enumerate(config.classes):
        for z, text in enumerate(rows[label]):
            if text is None:
                unsure[z] = True
                continue
            try:
                mask = rle.decode(text, (shape[1], shape[2]))
            except DataError as e:
                report("rle", f"{names[z]} {label}", f"{config.labels}: {names[z]} {label}: {e}; mend that row")
                unsure[z] = True
            else:
                packed[z] |= mask.astype(kind) << kind(bit)
    return packed, unsure


def _report_by_scan(kind: FaultKind, names: list[str], report: Report, told: str) -> None:
    """A report a scan; one of them all where the first ends the reading."""
    if names and report is refuse:
        report(kind, names[0], told + _some(names))
    scans: dict[str, list[str]] = {}
    for name in names:
        scans.setdefault(_scan_of(name), []).append(name)
    for scan, of_scan in scans.items():
        report(kind, scan, told + _some(of_scan))


def _some(names: Iterable[str]) -> str:
    """The first few of many names, and how many there are."""
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
