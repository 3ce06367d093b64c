"""NIfTI: one file a scan or one a modality, in the Medical Segmentation Decathlon layout or any other by patterns."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import affines
from numpy.typing import NDArray

from casefold.config.datasets import NiftiDataset
from casefold.config.labels import are_exclusive
from casefold.core import DataError, Grid, Masks, Scan, mask_type, nearest_word, pack_masks
from casefold.readers import Part, RawScan, Report, refuse
from casefold.readers.nifti.faults import lacking, misfit, to_raw
from casefold.readers.nifti.grid import NiftiFile, grid_difference, open_nifti, read_voxels, write_labels
from casefold.readers.nifti.labels import (
    known_values,
    label_values,
    painted_values,
    readable_values,
    strange_values,
    to_label_map,
    to_masks,
)
from casefold.readers.nifti.layout import ScanFiles, training_files, unlabelled_files

log = logging.getLogger(__name__)


def find(
    config: NiftiDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """The scans of a part, in the order of their names, or those in `folder`, unlabelled; headers are read.

    The test part may be absent: then the list is empty. Scans of `drop_scans` are left out of the training part, and
    their slices are checked against `dropped_slices`; so is a scan that lacks a modality where the config says `drop`,
    with a warning. Faulty scans are reported and left out, but one that lacks its label alone stays, unlabelled.
    """
    training = part == "train" and folder is None
    if folder is not None and not folder.is_dir():
        raise DataError(f"no folder {folder} to read scans from")
    labels: dict[str, Any] = {}
    if training and (config.image is None or config.label is not None):
        labels = {"values": label_values(config, root), "known": known_values(config, root)}
    scans = training_files(config, root) if training else unlabelled_files(config, root, folder)
    if folder is not None and not scans:
        raise DataError(f"no scans in {folder}; wanted {config.image or 'files that end with .nii.gz or .nii'}")
    removed = _dropped(config, root, scans, report) if training else {}
    if removed:
        log.debug("dropped %d slices: %s", sum(removed.values()), removed)
    raws, seen = [], dict[str, ScanFiles]()
    for scan in sorted((scan for scan in scans if scan.name not in removed), key=lambda scan: scan.name):
        other = seen.setdefault(scan.name, scan)
        if other is not scan:
            paths = [str(path) for _, path in (*other.images[:1], *scan.images[:1])]
            report("name", scan.name, f"scan {scan.name} stands twice, {' and '.join(paths)}; a scan's name is its own")
        elif raw := to_raw(config, scan, labels, report):
            raws.append(raw)
    return raws


def load(config: NiftiDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan, turned to the closest RAS axes and then to (z, y, x); raises DataError on a file that is broken.

    The modalities are in the config's order and of the type that numpy promotes theirs to. A label on another grid is
    reported and left out; label values that nobody named are reported and are background.
    """
    images = [open_nifti(path) for path in _image_paths(raw)]
    fault = misfit(config, images)
    if fault:
        raise DataError(f"scan {raw.name}: {fault}")
    image = _filled(config, raw, [read_voxels(file) for file in images])
    grid = Grid((image.shape[1], image.shape[2], image.shape[3]), _spacing(config, images[0]), _affine(images[0]))
    return Scan(
        case=raw.case,
        name=raw.name,
        image=image,
        grid=grid,
        classes=config.classes,
        slice_names=tuple(f"{raw.name}_slice_{z + 1:04d}" for z in range(grid.shape[0])),
        masks=_masks(raw, images[0], report) if raw.labelled else None,
    )


def filled(config: NiftiDataset, raw: RawScan) -> list[int]:
    """The numbers of the modalities that a scan has no file of."""
    return [config.modalities.index(name) for name in lacking(config, raw.details)]


def dropped(config: NiftiDataset, root: Path) -> dict[str, int]:
    """Slices by dropped scan; raises DataError where a name of `drop_scans` is unknown or `dropped_slices` differs.

    A scan whose headers can't be read has none: to be broken may be why it is dropped.
    """
    return _dropped(config, root, training_files(config, root), refuse) if config.drop_scans else {}


def stored_bytes(config: NiftiDataset, raw: RawScan) -> int:
    """Bytes of a scan's image and masks in the store, from headers alone."""
    images, absent = [open_nifti(path) for path in _image_paths(raw)], lacking(config, raw.details)
    types = [file.voxel_type for file in images]
    if absent and config.missing_modality == "mean":
        types.append(np.dtype(np.float32))
    volumes = sum(file.volumes for file in images) + len(absent)
    mask_bytes = np.dtype(mask_type(len(config.classes))).itemsize if raw.labelled else 0
    return int(np.prod(images[0].shape)) * (volumes * np.result_type(*types).itemsize + mask_bytes)


def exclusive_labels(config: NiftiDataset, root: Path) -> bool:
    """Whether no two classes share a value of the label map, so that a voxel has one class at most."""
    return are_exclusive(label_values(config, root))


def write(config: NiftiDataset, root: Path, raw: RawScan, masks: Masks, folder: Path) -> Path:
    """Write a scan's masks as one label map, on the own voxel grid of its first image; gives the file.

    Of exclusive classes it is `masks.labels`; else the classes are painted in the order of the config, later ones over
    earlier ones.
    """
    out = folder / result_name(config, raw)
    write_labels(to_label_map(masks, painted_values(config, root)), raw.sources[0], out)
    return out


def result_name(config: NiftiDataset, raw: RawScan) -> str:
    """The name of the file that `write` writes."""
    return f"{raw.name}.nii.gz"


def read_masks(config: NiftiDataset, root: Path, path: Path) -> NDArray[np.bool_]:
    """The masks (class, z, y, x) of a label map, a truth or what `write` wrote; raises DataError on other values."""
    values, known = readable_values(config, root), known_values(config, root)
    file = open_nifti(path)
    if file.volumes != 1:
        raise DataError(f"{path} should be one label map, but holds {file.volumes} volumes")
    labels = read_voxels(file)[0]
    every = None if known is None else sorted({*known, *(value for own in values.values() for value in own)})
    strange = strange_values(labels, every)
    if strange:
        raise DataError(f"{path} holds the values {strange[:5]}; wanted a label map of {every}")
    return to_masks(labels, values)


def _image_paths(raw: RawScan) -> tuple[Path, ...]:
    return raw.sources[: len(raw.sources) - raw.labelled]


def _filled(config: NiftiDataset, raw: RawScan, images: list[NDArray[Any]]) -> NDArray[Any]:
    """All modalities in one array (modality, z, y, x), those that lack filled in."""
    absent = lacking(config, raw.details)
    if not absent:
        return images[0] if len(images) == 1 else np.concatenate(images)
    log.warning("scan %s lacks %s: filled in %s", raw.name, ", ".join(absent), config.missing_modality)
    there = dict(zip(raw.details["modalities"], images, strict=True))
    stand_in = np.zeros_like(images[0])
    if config.missing_modality == "mean":
        stand_in = np.concatenate(images).mean(axis=0, keepdims=True).astype(np.float32)
    return np.concatenate([there.get(name, stand_in) for name in config.modalities])


def _masks(raw: RawScan, image: NiftiFile, report: Report) -> NDArray[Any] | None:
    file, known = open_nifti(raw.sources[-1]), raw.details["known"]
    difference = grid_difference([image, file])
    if file.volumes != 1:
        difference = f"{file.path} should be one label map, but holds {file.volumes} volumes"
    if difference:
        report("label grid", raw.name, f"scan {raw.name}: the label can't be laid on its image: {difference}")
        return None
    labels = read_voxels(file)[0]
    strange = strange_values(labels, known)
    if strange:
        report(
            "label value",
            raw.name,
            f"{file.path} holds the values {strange[:5]}, but dataset.json and `labels` know only {known}; mend the "
            "file, or say `other_values: background`",
        )
    return pack_masks(to_masks(labels, raw.details["values"]))


def _dropped(config: NiftiDataset, root: Path, scans: Sequence[ScanFiles], report: Report) -> dict[str, int]:
    training = {scan.name: scan for scan in scans}
    for name in config.drop_scans:
        if name not in training:
            hint = nearest_word(name, list(training))
            report("dropped scan", name, f"drop_scans: there is no scan {name!r} in {root}{hint}")
    slices = {name: _slices(training[name]) for name in config.drop_scans if name in training}
    if config.dropped_slices is not None and sum(slices.values()) != config.dropped_slices:
        told = f"drop_scans removes {sum(slices.values())} slices ({slices}), "
        report("dropped scan", "drop_scans", f"{told}but dropped_slices says {config.dropped_slices}")
    return slices


def _slices(scan: ScanFiles) -> int:
    for _, path in scan.images:
        try:
            return open_nifti(path).shape[2]
        except DataError as e:
            log.warning("dropped scan %s: %s", scan.name, e)
    return 0


def _spacing(config: NiftiDataset, file: NiftiFile) -> tuple[float, float, float] | None:
    if config.spacing_mm == "unknown":
        return None
    if config.spacing_mm != "from_file":
        return config.spacing_mm
    x, y, z = (float(length) for length in affines.voxel_sizes(file.affine))
    return z, y, x


def _affine(file: NiftiFile) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(number) for number in row) for row in file.affine)
