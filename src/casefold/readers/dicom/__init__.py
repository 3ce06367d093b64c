"""DICOM: folders of series at any depth, each series a scan; masks from NIfTI, segmentation objects or PNGs."""

import logging
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casefold.config.datasets import DicomDataset
from casefold.core import DataError, Grid, Masks, Scan, Triple, mask_type, nearest_word, pack_masks
from casefold.readers import Part, RawScan, Report, refuse
from casefold.readers.dicom.faults import Fault, pass_over, quiet
from casefold.readers.dicom.files import Image, read_headers
from casefold.readers.dicom.folder import read_folder
from casefold.readers.dicom.label_map import label_map_masks, own_grid
from casefold.readers.dicom.labels import find_labels, known_values, label_values, segment_labels, tell_labels
from casefold.readers.dicom.rescale import stack
from casefold.readers.dicom.segmentation import segmented_masks
from casefold.readers.dicom.series import Series, arrange
from casefold.readers.dicom.slices import check_doubles, read_labels, read_slices
from casefold.readers.dicom.write import write_label_nifti, write_segmentation
from casefold.readers.nifti.labels import to_label_map

log = logging.getLogger(__name__)

NIFTI = (".nii.gz", ".nii")
SUFFIXES = {"nifti": ".nii.gz", "segmentation": ".dcm"}


def find(
    config: DicomDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """The scans of a part, in the order of their names, or those in `folder`, never labelled; headers are read.

    The test part may be absent: then the list is empty. Scans of `drop_scans` are left out of the training part before
    they are looked at, and their slices are checked against `dropped_slices`. Faulty scans are reported and left out.
    """
    training = part == "train" and folder is None
    where = folder or root / (config.train if training else config.test)
    if not where.is_dir():
        if part == "test" and folder is None:
            return []
        raise DataError(f"no folder {where} to read DICOM series from; check `root` and `train` in the config")
    with quiet(str(where)):
        groups, objects = read_folder(config, root, where, training, report)
    removed = _dropped(config, where, groups, report) if training else {}
    if removed:
        log.debug("dropped %d slices: %s", sum(removed.values()), removed)
    raws = []
    for name, images in groups.items():
        series = None if name in removed else arrange(name, images, config.gaps == "allow", report)
        if series is not None:
            labels = _labels(config, root, name, images[0], series, objects, report) if training else ()
            details = {"series": series, "images": len(images)}
            sources = (*(image.path for image in images), *labels)
            raws.append(RawScan(images[0].case, name, sources, bool(labels), details))
    if training and config.masks is not None:
        tell_labels(config, root, groups, objects, raws, report)
    return raws


def load(config: DicomDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan, rescaled, its slices as the file's rows and columns, z as `dicom_geometry` says.

    A slice that can't be read is reported and left out, and so are labels that do not fit. One at the same place as
    another is left out with a warning where the pixels are the same, and reported where they are not.
    """
    series: Series = raw.details["series"]
    for text in series.notes:
        log.warning("%s", text)
    with quiet(raw.name):
        planes = read_slices(raw, range(len(series.frames)), report)
        check_doubles(raw, planes, report)
        if not planes:
            raise DataError(f"scan {raw.name}: none of its {len(series.frames)} slices can be read")
        masks = _masks(config, raw, sorted(planes), report) if raw.labelled else None
    frames = [series.frames[z] for z in sorted(planes)]
    names = tuple(f"{raw.name}_slice_{z + 1:04d}" for z in sorted(planes))
    image = stack([planes.pop(z) for z in sorted(planes)], [(frame.slope, frame.intercept) for frame in frames])
    return Scan(
        case=raw.case,
        name=raw.name,
        image=image,
        grid=Grid((len(frames), *series.grid.shape[1:]), _spacing(config, series), series.grid.affine),
        classes=config.classes,
        slice_names=names,
        masks=None if masks is None else pack_masks(masks),
    )


def dropped(config: DicomDataset, root: Path) -> dict[str, int]:
    """Slices by dropped scan; raises DataError where a name of `drop_scans` is unknown or `dropped_slices` differs."""
    if not config.drop_scans:
        return {}
    with quiet(str(root)):
        groups, _ = read_folder(config, root, root / config.train, True, pass_over)
    return _dropped(config, root / config.train, groups, refuse)


def stored_bytes(config: DicomDataset, raw: RawScan) -> int:
    """Bytes of a scan's image and masks in the store, from headers alone; of integers the width stored in the file."""
    series: Series = raw.details["series"]
    mask_bytes = np.dtype(mask_type(len(config.classes))).itemsize if raw.labelled else 0
    return int(np.prod(series.grid.shape)) * (series.channels * series.item_bytes + mask_bytes)


def exclusive_labels(config: DicomDataset, root: Path) -> bool:
    """Whether predictions go back as a label map, where a voxel has one class at most."""
    return config.predictions == "nifti"


def write(config: DicomDataset, root: Path, raw: RawScan, masks: Masks, folder: Path) -> Path:
    """Write a scan's masks as a label NIfTI on the series' grid, or as a segmentation object; gives the file."""
    series: Series = raw.details["series"]
    if masks.masks.shape[1:] != series.grid.shape or set(masks.classes) != set(config.classes):
        raise DataError(
            f"masks of scan {raw.name} should be of {list(config.classes)} on {series.grid.shape} (z, y, x), "
            f"not of {list(masks.classes)} on {masks.masks.shape[1:]}"
        )
    out = folder / result_name(config, raw)
    if config.predictions == "nifti":
        write_label_nifti(to_label_map(masks, label_values(config)), series.grid, out)
    else:
        by_name = dict(zip(masks.classes, masks.masks, strict=True))
        ordered = np.stack([by_name[name] for name in config.classes])
        write_segmentation(ordered, list(segment_labels(config).values()), series, raw.sources, out)
    return out


def result_name(config: DicomDataset, raw: RawScan) -> str:
    """The name of the file that `write` writes."""
    return raw.name + SUFFIXES[config.predictions]


def read_masks(config: DicomDataset, root: Path, path: Path) -> NDArray[np.bool_]:
    """The masks (class, z, y, x) in a truth or in what `write` wrote, on the grid of their series.

    The series is looked up below the root: that of the file's name for NIfTI, that which a segmentation object refers
    to. A NIfTI of no series there is taken on its own axes, with a warning. Raises DataError on another grid.
    """
    by_name, by_uid = _known_series(config.model_dump_json(), root)
    try:
        if not path.name.endswith(NIFTI):
            with quiet(path.name):
                return _object_masks(config, path, by_uid)
        name, values = re.sub(r"[.]nii([.]gz)?$", "", path.name), label_values(config)
        if name not in by_name:
            log.warning("%s: no series below %s is called %s, so it is taken on its own axes", path, root, name)
        grid = by_name[name].grid if name in by_name else own_grid(path)
        return label_map_masks(path, values, known_values(config), grid, range(grid.shape[0]))
    except Fault as fault:
        raise DataError(f"{path.name}: {fault}") from fault


@lru_cache(maxsize=1)
def _known_series(config_json: str, root: Path) -> tuple[dict[str, Series], dict[str, Series]]:
    """The sound series of both parts below the root, by scan and by UID."""
    config = DicomDataset.model_validate_json(config_json)
    parts: tuple[Part, ...] = ("train", "test") if (root / config.train).is_dir() else ("test",)
    found = {raw.name: raw.details["series"] for part in parts for raw in find(config, root, part, report=pass_over)}
    return found, {series.uid: series for series in found.values()}


def _object_masks(config: DicomDataset, path: Path, by_uid: dict[str, Series]) -> NDArray[np.bool_]:
    images, _ = read_headers([path], None, refuse)
    known = [by_uid[uid] for image in images for uid in image.refers_to if uid in by_uid]
    if not known:
        raise DataError(f"{path} is no segmentation object of a series below the data set's root; it can't be scored")
    return segmented_masks([path], segment_labels(config), known[0], range(known[0].grid.shape[0]))


def _dropped(config: DicomDataset, where: Path, groups: dict[str, list[Image]], report: Report) -> dict[str, int]:
    for name in config.drop_scans:
        if name not in groups:
            hint = nearest_word(name, list(groups))
            report("dropped scan", name, f"drop_scans: there is no scan {name!r} in {where}{hint}")
    slices = {}
    for name in config.drop_scans:
        if name in groups:
            series = arrange(name, groups[name], True, pass_over)
            slices[name] = series.grid.shape[0] if series else sum(len(image.frames) for image in groups[name])
    if config.dropped_slices is not None and sum(slices.values()) != config.dropped_slices:
        told = f"drop_scans removes {sum(slices.values())} slices ({slices}), "
        report("dropped scan", "drop_scans", f"{told}but dropped_slices says {config.dropped_slices}")
    return slices


def _labels(
    config: DicomDataset,
    root: Path,
    name: str,
    image: Image,
    series: Series,
    objects: dict[str, list[Path]],
    report: Report,
) -> tuple[Path, ...]:
    try:
        return find_labels(config, root, {"case": image.case, "scan": name, "series": series.uid}, series, objects)
    except Fault as fault:
        report(fault.kind, name, f"scan {name}: {fault}")
        return ()


def _masks(config: DicomDataset, raw: RawScan, planes: list[int], report: Report) -> NDArray[np.bool_] | None:
    try:
        return read_labels(config, raw, planes)
    except Fault as fault:
        report(fault.kind, raw.name, f"scan {raw.name}: {fault}")
        return None


def _spacing(config: DicomDataset, series: Series) -> Triple | None:
    if config.spacing_mm == "unknown":
        return None
    return series.grid.spacing_mm if config.spacing_mm == "from_file" else config.spacing_mm
