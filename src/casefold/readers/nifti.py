"""NIfTI in the Medical Segmentation Decathlon layout: dataset.json, imagesTr, labelsTr, imagesTs; exclusive labels."""

import gzip
import json
import logging
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import affines, orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from casefold.config.datasets import NiftiDataset
from casefold.core import ConfigError, DataError, Grid, Scan, nearest_word, pack_masks
from casefold.files import read_json, write_bytes
from casefold.readers import Part, RawScan, Report, refuse

log = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii")
AFFINE_TOLERANCE = 1e-3
MM_PER_UNIT = {1: 1000.0, 3: 0.001}
UNIT_BITS = 7
RAS = np.array([[0, 1], [1, 1], [2, 1]])
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    ImageFileError,
    HeaderDataError,
)


@dataclass(frozen=True)
class _File:
    """A NIfTI file whose header is read: how its axes lie, and shape (x, y, z) and affine (mm) once they are RAS."""

    path: Path
    image: Any
    orientation: NDArray[Any]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


def find(
    config: NiftiDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """The scans of a part, in the order of their names; with `folder`, every NIfTI file in it, unlabelled.

    The test part may be absent: then the list is empty. Scans of `drop_scans` are left out of the training part, and
    their slices are checked against `dropped_slices`. Raises DataError on a missing file or a name that stands twice.
    """
    if folder is not None:
        if not folder.is_dir():
            raise DataError(f"no folder {folder} to read scans from")
        return _unlabelled(config, _images_in(folder))
    if part == "test":
        return _unlabelled(config, _test_images(config, root))
    removed = dropped(config, root)
    if removed:
        log.debug("dropped %d slices: %s", sum(removed.values()), removed)
    return [raw for raw in _training(config, root) if raw.name not in config.drop_scans]


def load(config: NiftiDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan, turned to the closest RAS axes and then to (z, y, x); raises DataError on a file that is broken.

    The stored type is kept; scl_slope and scl_inter are applied only where the file sets them.
    """
    file = _open(raw.sources[0])
    image = _read(file)
    grid = Grid((image.shape[0], image.shape[1], image.shape[2]), _spacing(config, file), _as_tuples(file.affine))
    return Scan(
        case=raw.case,
        name=raw.name,
        image=image[None],
        grid=grid,
        classes=config.classes,
        slice_names=tuple(f"{raw.name}_slice_{z + 1:04d}" for z in range(grid.shape[0])),
        masks=_masks(config, raw, file) if raw.labelled else None,
    )


def dropped(config: NiftiDataset, root: Path) -> dict[str, int]:
    """Slices by dropped scan; raises DataError where a name of `drop_scans` is unknown or `dropped_slices` differs."""
    if not config.drop_scans:
        return {}
    training = {raw.name: raw for raw in _training(config, root)}
    for name in config.drop_scans:
        if name not in training:
            raise DataError(f"drop_scans: there is no scan {name!r} in {root}{nearest_word(name, list(training))}")
    slices = {name: _open(training[name].sources[0]).shape[2] for name in config.drop_scans}
    if config.dropped_slices is not None and sum(slices.values()) != config.dropped_slices:
        raise DataError(
            f"drop_scans removes {sum(slices.values())} slices ({slices}), "
            f"but dropped_slices says {config.dropped_slices}"
        )
    return slices


def label_values(config: NiftiDataset, root: Path) -> dict[str, int]:
    """The label value of each class, in the order of the config; raises DataError on a class `dataset.json` lacks."""
    names = _labels(root)
    values = {name: value for value, name in names.items() if value != 0}
    for name in config.classes:
        if name not in values:
            hint = nearest_word(name, list(values))
            raise DataError(f"class {name!r} is not in {root / 'dataset.json'}{hint}; it has {sorted(values)}")
    return {name: values[name] for name in config.classes}


def write_labels(labels: NDArray[np.uint8], source: Path, out: Path) -> None:
    """Write labels (z, y, x), on the grid `load` gives for `source`, as a uint8 file on `source`'s own voxel grid.

    Shape, affine, qform and sform with their codes are those of `source`. `out` ends with .nii or .nii.gz.
    """
    file = _open(source)
    if labels.dtype != np.uint8 or labels.shape != file.shape[::-1]:
        raise DataError(
            f"labels for {source.name} should be uint8 (z, y, x) of shape {file.shape[::-1]}, "
            f"not {labels.dtype} of shape {labels.shape}"
        )
    _stem(out)
    back = orientations.ornt_transform(RAS, file.orientation)
    voxels = np.ascontiguousarray(orientations.apply_orientation(labels.transpose(), back))
    header = file.image.header.copy()
    header.extensions.clear()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header.set_intent("none")
    header["cal_min"] = header["cal_max"] = 0
    content = type(file.image)(voxels, None, header).to_bytes()
    write_bytes(out, gzip.compress(content, mtime=0) if out.name.endswith(".gz") else content)


def _stem(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.endswith(suffix) and path.name != suffix:
            return path.name.removesuffix(suffix)
    raise DataError(f"{path} should end with one of {', '.join(SUFFIXES)}")


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith(".")]


def _test_images(config: NiftiDataset, root: Path) -> list[Path]:
    folder = root / config.test
    images = _images_in(folder) if folder.is_dir() else []
    if images or not (root / "dataset.json").is_file():
        return images
    listed = [root / entry for entry in _description(root).get("test", [])]
    there = [path for path in listed if path.is_file()]
    if there and len(there) < len(listed):
        missing = [path.name for path in listed if not path.is_file()]
        raise DataError(
            f"{root / 'dataset.json'}: {len(missing)} of {len(listed)} test files are missing: {missing[:3]}"
        )
    return there


def _description(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    try:
        content = read_json(path)
    except FileNotFoundError as e:
        raise DataError(f"no {path}; the reader nifti wants the Medical Segmentation Decathlon layout") from e
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise DataError(f"{path} is not JSON: {e}") from e
    if not isinstance(content, dict):
        raise DataError(f"{path} should be a mapping, but is a {type(content).__name__}")
    return content


def _labels(root: Path) -> dict[int, str]:
    labels = _description(root).get("labels")
    if not isinstance(labels, dict) or not all(key.isdecimal() and isinstance(labels[key], str) for key in labels):
        raise DataError(
            f'{root / "dataset.json"}: labels should map values to names, as {{"0": "background", "1": "liver"}}, '
            f"not {labels}"
        )
    return {int(value): name for value, name in labels.items()}


def _training(config: NiftiDataset, root: Path) -> list[RawScan]:
    details = {"values": label_values(config, root), "known": sorted(_labels(root))}
    try:
        pairs = [(root / entry["image"], root / entry["label"]) for entry in _description(root)["training"]]
    except (KeyError, TypeError) as e:
        raise DataError(f"{root / 'dataset.json'}: training should be a list of {{image, label}}") from e
    missing = [path.name for pair in pairs for path in pair if not path.is_file()]
    if missing:
        raise DataError(f"{root}: {len(missing)} files that dataset.json lists are missing: {missing[:3]}")
    return _once([RawScan(_case(config, image), _stem(image), (image, label), True, details) for image, label in pairs])


def _unlabelled(config: NiftiDataset, images: Sequence[Path]) -> list[RawScan]:
    return _once([RawScan(_case(config, image), _stem(image), (image,), False) for image in images])


def _once(scans: list[RawScan]) -> list[RawScan]:
    names = [raw.name for raw in scans]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{len(twice)} scan names stand twice: {twice[:3]}; a scan is named by its file, without .nii.gz"
        )
    return sorted(scans, key=lambda raw: raw.name)


def _case(config: NiftiDataset, image: Path) -> str:
    name = _stem(image)
    if config.case_pattern is None:
        return name
    try:
        match = re.search(config.case_pattern, name)
        case = match and match.group(1)
    except (re.error, IndexError) as e:
        raise ConfigError(f"case_pattern {config.case_pattern!r} is no regular expression with a group: {e}") from e
    if not case:
        raise DataError(f"case_pattern {config.case_pattern!r} finds no case in the scan name {name!r}")
    return case


def _open(path: Path) -> _File:
    """Read the header only; raises DataError on what is no single 3D volume of plain numbers."""
    try:
        image = nib.load(path)
        shape, affine = image.shape, np.asarray(image.affine, np.float64)
        units = int(image.header["xyzt_units"]) & UNIT_BITS
    except BROKEN as e:
        raise DataError(f"{path} can't be read as NIfTI, is it truncated? {type(e).__name__}: {e}") from e
    if int(np.prod(shape[3:])) > 1:
        raise DataError(
            f"{path} holds {shape[3:]} volumes of {shape[:3]}; several modalities come later, give one a file"
        )
    if len(shape) < 3 or image.get_data_dtype().names is not None:
        raise DataError(f"{path} should be one 3D volume of plain numbers, not {image.get_data_dtype()} {shape}")
    orientation = orientations.io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if np.isnan(orientation).any():
        raise DataError(
            f"{path}: its affine turns an axis into nothing, so its voxels have no place: {affine.tolist()}"
        )
    canonical = affine @ orientations.inv_ornt_aff(orientation, shape[:3])
    canonical = np.diag([MM_PER_UNIT.get(units, 1.0)] * 3 + [1.0]) @ canonical
    x, y, z = (int(shape[axis]) for axis in np.argsort(orientation[:, 0]))
    return _File(path, image, orientation, (x, y, z), canonical)


def _read(file: _File) -> NDArray[Any]:
    """The voxels (z, y, x), in the machine's byte order; of a compressed file the checksum is verified."""
    try:
        if file.path.name.endswith(".gz"):
            with gzip.open(file.path) as stream:
                while stream.read(1 << 22):
                    pass
        voxels = np.asanyarray(file.image.dataobj)
    except BROKEN as e:
        raise DataError(f"{file.path} is truncated or corrupt: {type(e).__name__}: {e}") from e
    voxels = orientations.apply_orientation(voxels.reshape(voxels.shape[:3]), file.orientation)
    return np.ascontiguousarray(voxels.transpose(), dtype=voxels.dtype.newbyteorder("="))


def _masks(config: NiftiDataset, raw: RawScan, image: _File) -> NDArray[Any]:
    file = _open(raw.sources[1])
    if file.shape != image.shape or not np.allclose(file.affine, image.affine, rtol=0, atol=AFFINE_TOLERANCE):
        raise DataError(
            f"{file.path}: the label lies on another grid than its image: shape {file.shape} for {image.shape}, "
            f"affine {file.affine.tolist()} for {image.affine.tolist()} (x, y, z)"
        )
    labels = _read(file)
    unknown = sorted(set(np.unique(labels).tolist()) - set(raw.details["known"]))
    if unknown:
        known = raw.details["known"]
        raise DataError(f"{file.path} holds the values {unknown[:5]}, but dataset.json knows only {known}")
    return pack_masks(np.stack([labels == raw.details["values"][name] for name in config.classes]))


def _spacing(config: NiftiDataset, file: _File) -> tuple[float, float, float] | None:
    if config.spacing_mm == "unknown":
        return None
    if config.spacing_mm != "from_file":
        return config.spacing_mm
    x, y, z = (float(length) for length in affines.voxel_sizes(file.affine))
    return z, y, x


def _as_tuples(affine: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(number) for number in row) for row in affine)
