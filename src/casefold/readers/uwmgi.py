"""UW-Madison layout: `caseN/caseN_dayM/scans/slice_NNNN_WIDTH_HEIGHT_sx_sy.png`, labels as RLE in a CSV."""

import logging
import re
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
from casefold.readers import Part, RawScan, Report, refuse

log = logging.getLogger(__name__)

SCAN = re.compile(r"(case(\d+))_day(\d+)")
SLICE = re.compile(r"(slice_(\d+))_(\d+)_(\d+)_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)\.png")
COLUMNS = ["id", "class", "segmentation"]
SHOWN = 5  # as many examples as a message names
Rows = dict[str, dict[str, str]]  # slice name -> class -> RLE


def find(
    config: UwmgiDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """The scans of a part, or those in `folder` (never labelled), by case and day as numbers.

    Train: dropped scans are left out; one with label rows for no slice is unlabelled. Test: never labelled; where the
    folder is absent or holds no PNG there are no scans, but a `folder` that was asked for must hold some.
    Raises DataError on images and labels that do not agree.
    """
    if folder is not None or part == "test":
        base = root / config.test if folder is None else folder
        return [_raw(config, path, {}) for path in _scan_folders(base, required=folder is not None)]
    paths = _scan_folders(root / config.train, required=True)
    dropped_slices = _dropped(config, paths)
    if dropped_slices:
        log.debug("dropped %d slices: %s", sum(dropped_slices.values()), dropped_slices)
    rows = _read_labels(config, root / config.labels)
    scans = [_raw(config, path, rows) for path in paths if path.name not in dropped_slices]
    known = {name for scan in scans for name in slice_names(scan)}
    strangers = [name for name in rows if name not in known and _scan_of(name) not in dropped_slices]
    if strangers:
        raise DataError(f"{root / config.labels} has rows for slices without an image: {_some(strangers)}")
    return scans


def dropped(config: UwmgiDataset, root: Path) -> dict[str, int]:
    """How many slices each of `drop_scans` takes away; raises DataError if that is not what the config says."""
    return _dropped(config, _scan_folders(root / config.train, required=True))


def load(config: UwmgiDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan: image (1, z, y, x) of the files' own type, z in order of slice number, masks where labelled."""
    slices = [_read_image(path) for path in raw.sources]
    kinds = sorted({str(image.dtype) for image in slices})
    if len(kinds) > 1:
        raise DataError(f"scan {raw.name}: slices of different types, {kinds}, in {raw.sources[0].parent}")
    image = np.stack(slices)[np.newaxis]
    names = slice_names(raw)
    return Scan(
        case=raw.case,
        name=raw.name,
        image=image,
        grid=Grid((image.shape[1], image.shape[2], image.shape[3]), raw.details["spacing_mm"]),
        classes=config.classes,
        slice_names=names,
        masks=_masks(config.classes, raw, names, slices[0].shape) if raw.labelled else None,
    )


def slice_names(raw: RawScan) -> tuple[str, ...]:
    """The ids of a submission, one a slice: `case7_day0_slice_0001`."""
    return tuple(f"{raw.name}_{_parse(path)[1]}" for path in raw.sources)


def _scan_folders(base: Path, required: bool) -> list[Path]:
    """Every folder `caseN_dayM` at or up to two levels below `base`, by numbers; none where no PNG is below them."""
    if not base.is_dir():
        if required:
            raise DataError(f"no folder {base}; wanted one that holds caseN/caseN_dayM/scans/slice_*.png")
        return []
    found = [path for path in (base, *base.glob("*"), *base.glob("*/*")) if SCAN.fullmatch(path.name) and path.is_dir()]
    by_name = {path.name: path for path in found}
    if len(by_name) < len(found):
        twice = sorted({str(path) for path in found if by_name[path.name] != path})
        raise DataError(f"{base} holds a scan twice: {_some(twice)} and elsewhere")
    for path in found:
        case = path.name.partition("_")[0]
        if re.fullmatch(r"case\d+", path.parent.name) and path.parent.name != case:
            raise DataError(f"{path} lies in the folder of another case, {path.parent.name}")
    empty = [path for path in found if not any(_slice_folder(path).glob("*.png"))]
    if len(empty) == len(found):
        if required:
            raise DataError(f"no scans in {base}; wanted caseN/caseN_dayM/scans/slice_*.png")
        return []
    if empty:
        raise DataError(f"scan folders without a PNG: {_some(map(str, empty))}")
    return sorted(found, key=lambda path: _numbers(path.name))


def _slice_folder(scan: Path) -> Path:
    return scan / "scans" if (scan / "scans").is_dir() else scan


def _numbers(scan: str) -> tuple[int, int]:
    match = SCAN.fullmatch(scan)
    if match is None:
        raise DataError(f"{scan!r} is not the name of a scan; wanted caseN_dayM")
    return int(match[2]), int(match[3])


def _scan_of(slice_name: str) -> str:
    return slice_name.partition("_slice_")[0]


def _dropped(config: UwmgiDataset, paths: list[Path]) -> dict[str, int]:
    by_name = {path.name: path for path in paths}
    for name in config.drop_scans:
        if name not in by_name:
            raise DataError(f"drop_scans: no scan {name!r} among {len(paths)}{nearest_word(name, list(by_name))}")
    counts = {name: len(list(_slice_folder(by_name[name]).glob("*.png"))) for name in config.drop_scans}
    if config.dropped_slices is not None and sum(counts.values()) != config.dropped_slices:
        raise DataError(
            f"drop_scans removes {sum(counts.values())} slices ({counts}), "
            f"but dropped_slices says {config.dropped_slices}"
        )
    return counts


def _parse(path: Path) -> tuple[int, str, int, int, float, float]:
    """Slice number, its name, width, height, spacing x, spacing y, as the file name says."""
    match = SLICE.fullmatch(path.name)
    if match is None:
        raise DataError(f"{path} is not named slice_NUMBER_WIDTH_HEIGHT_SPACINGX_SPACINGY.png")
    return int(match[2]), match[1], int(match[3]), int(match[4]), float(match[5]), float(match[6])


def _raw(config: UwmgiDataset, folder: Path, rows: Rows) -> RawScan:
    sources = sorted(_slice_folder(folder).glob("*.png"), key=_parse)
    parsed = [_parse(path) for path in sources]
    numbers = [entry[0] for entry in parsed]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise DataError(f"scan {folder.name} has a slice number twice: {twice[:SHOWN]} in {sources[0].parent}")
    for path, entry in zip(sources, parsed, strict=True):
        if entry[2:] != parsed[0][2:]:
            raise DataError(f"scan {folder.name}: {path} differs from {sources[0].name} in size or spacing")
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    if missing:
        log.warning("scan %s lacks the slices %s", folder.name, missing)
    names = [f"{folder.name}_{entry[1]}" for entry in parsed]
    labelled = any(name in rows for name in names)
    return RawScan(
        case=folder.name.partition("_")[0],
        name=folder.name,
        sources=tuple(sources),
        labelled=labelled,
        details={
            "spacing_mm": _spacing(config, x_mm=parsed[0][4], y_mm=parsed[0][5]),
            "rle": _rle_by_class(config.classes, names, rows) if labelled else {},
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


def _read_labels(config: UwmgiDataset, path: Path) -> Rows:
    if not path.is_file():
        raise DataError(f"no label file {path}; wanted a CSV of {','.join(COLUMNS)}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not set(COLUMNS) <= set(table.columns):
        raise DataError(f"{path} has the columns {list(table.columns)}; wanted {COLUMNS}")
    for name in table["class"].unique():
        if name not in config.classes:
            hint = nearest_word(name, config.classes)
            raise DataError(f"{path}: unknown class {name!r}{hint}; the config has {list(config.classes)}")
    twice = table[table.duplicated(["id", "class"])]
    if len(twice):
        pairs = (f"{name} {label}" for name, label in zip(twice["id"], twice["class"], strict=True))
        raise DataError(f"{path} has a row of id and class twice: {_some(pairs)}")
    rows: Rows = {}
    for name, label, text in zip(table["id"], table["class"], table["segmentation"], strict=True):
        rows.setdefault(name, {})[label] = text
    return rows


def _rle_by_class(classes: tuple[str, ...], names: list[str], rows: Rows) -> dict[str, tuple[str, ...]]:
    """Class to the RLE of every slice; a scan that has rows must have all of them, for missing is not empty."""
    gaps = [f"{name} {label}" for name in names for label in classes if label not in rows.get(name, {})]
    if gaps:
        raise DataError(f"scan {_scan_of(names[0])} is labelled in part; {len(gaps)} rows are missing: {_some(gaps)}")
    return {label: tuple(rows[name][label] for name in names) for label in classes}


def _read_image(path: Path) -> NDArray[Any]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"{path} can't be read as a PNG")
    _, _, width, height, _, _ = _parse(path)
    if image.shape != (height, width):
        raise DataError(
            f"{path} should be one grey image of {width} x {height} (width x height) as its name says, "
            f"but its array has shape {image.shape}"
        )
    return np.asarray(image)


def _masks(classes: tuple[str, ...], raw: RawScan, names: tuple[str, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    kind = mask_type(len(classes))
    packed = np.zeros((len(names), *shape), kind)
    for bit, label in enumerate(classes):
        for z, text in enumerate(raw.details["rle"][label]):
            try:
                mask = rle.decode(text, (shape[0], shape[1]))
            except DataError as e:
                raise DataError(f"{names[z]} {label}: {e}") from e
            packed[z] |= mask.astype(kind) << kind(bit)
    return packed


def _some(names: Iterable[str]) -> str:
    """The first few of many names, and how many there are."""
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
