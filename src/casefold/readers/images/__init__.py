"""Grey or RGB images found by a pattern, each a slice of a scan or a scan of one slice.

This is the contract of readers; how paths make scans is in `scans`, one file in `files`, truths in `rle_table`,
`mask_files` and `polygons`, results in `results`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.datasets import ImagesDataset
from casefold.config.masks import FileMasks, PolygonMasks, RleMasks
from casefold.core import ConfigError, DataError, Grid, Scan, Triple, mask_type
from casefold.readers import Part, RawScan, Report, refuse, rle_table
from casefold.readers.images import mask_files, polygons
from casefold.readers.images.files import as_grey, read_header, read_image
from casefold.readers.images.results import read_masks, result_name, write
from casefold.readers.images.scans import (
    ImageScan,
    Truth,
    check_ids,
    dropped_slices,
    find_in_folder,
    find_scans,
    in_order,
    no_images,
)

__all__ = ["dropped", "find", "load", "read_masks", "result_name", "stored_bytes", "write"]


def find(
    config: ImagesDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """The scans of a part, or those in `folder` (never labelled), in the order of their names as numbers.

    Train: dropped scans are left out, and images that are another image's mask are none. Test: without a pattern or a
    file there are no scans. Raises DataError on images and labels that do not agree.
    """
    if folder is not None:
        return _unlabelled(config, find_in_folder(config, folder, report), report)
    if part == "test":
        return [] if config.test is None else _unlabelled(config, find_scans(config, root, config.test, report), report)
    scans = _training(config, root, report)
    removed = dropped_slices(config, scans, report)
    gone = [scan for scan in scans if scan.name in removed]
    left = [in_order(scan, report) for scan in scans if scan.name not in removed]
    check_ids(left, report)
    truths = _find_truth(config, root, left, gone, report)
    return [_raw(config, scan, truths.get(scan.name), report) for scan in left]


def load(config: ImagesDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan, grey (1, z, y, x) or colour (3, z, y, x) as R, G, B, of the files' own type; masks where labelled.

    Where `report` returns, a slice that can't be used is left out, and one whose truth can't be read is `ignore`.
    Raises DataError where no slice is left.
    """
    images = raw.sources[: len(raw.details["ids"])]
    planes = {
        z: plane for z, path in enumerate(images) if (plane := _read_plane(config, raw, z, path, report)) is not None
    }
    planes = _alike(raw, images, planes, report)
    if not planes:
        raise DataError(f"scan {raw.name} has no slice that can be read, of {len(images)}")
    kept, first = list(planes), next(iter(planes.values()))
    image = np.empty((1 if first.ndim == 2 else 3, len(kept), *first.shape[:2]), first.dtype)
    for z, number in enumerate(kept):
        plane = planes.pop(number)
        image[:, z] = plane if plane.ndim == 2 else plane.transpose(2, 0, 1)
    grid = Grid((len(kept), first.shape[0], first.shape[1]), raw.details["spacing_mm"])
    masks, ignore = _read_truth(config, raw, kept, grid.shape, report) if raw.labelled else (None, None)
    names = tuple(raw.details["ids"][number] for number in kept)
    return Scan(raw.case, raw.name, image, grid, config.classes, names, masks, ignore)


def dropped(config: ImagesDataset, root: Path) -> dict[str, int]:
    """How many slices each of `drop_scans` takes away; raises DataError if that is not what the config says."""
    return dropped_slices(config, _training(config, root, refuse), refuse)


def stored_bytes(config: ImagesDataset, raw: RawScan) -> int:
    """Size of image and masks, all slices taken to be as the first one's header says."""
    header = read_header(raw.sources[0])
    channels = 1 if config.colour == "grey" else 3
    a_pixel = channels * np.dtype(header.type).itemsize
    if raw.labelled:
        a_pixel += np.dtype(mask_type(len(config.classes))).itemsize
    return len(raw.details["ids"]) * header.height * header.width * a_pixel


def _training(config: ImagesDataset, root: Path, report: Report) -> list[ImageScan]:
    scans = find_scans(config, root, config.image, report)
    if isinstance(config.masks, FileMasks):
        every = [image for scan in scans for image in scan.slices]
        masks = {
            path for image in every for _, path in mask_files.mask_files(config.masks, config.classes, root, image)
        }
        left = (scan._replace(slices=tuple(i for i in scan.slices if i.path not in masks)) for scan in scans)
        scans = [scan for scan in left if scan.slices]
    if not scans:
        raise no_images(root, config.image)
    return scans


def _unlabelled(config: ImagesDataset, scans: Sequence[ImageScan], report: Report) -> list[RawScan]:
    ordered = [in_order(scan, report) for scan in scans]
    check_ids(ordered, report)
    return [_raw(config, scan, None, report) for scan in ordered]


def _raw(config: ImagesDataset, scan: ImageScan, truth: Truth | None, report: Report) -> RawScan:
    spacings = [_spacing(config, image.parts) for image in scan.slices]
    if len(set(spacings)) > 1:
        report("spacing", scan.name, f"scan {scan.name}: its files' names say different spacings, {set(spacings)}")
    details: dict[str, Any] = {
        "ids": tuple(image.id for image in scan.slices),
        "numbers": tuple(image.parts.get("slice", "") for image in scan.slices),
        "sizes": tuple((image.parts.get("width"), image.parts.get("height")) for image in scan.slices),
        "spacing_mm": spacings[0],
    }
    images = tuple(image.path for image in scan.slices)
    if truth is None:
        return RawScan(scan.case, scan.name, images, False, details)
    return RawScan(scan.case, scan.name, images + truth.files, True, {**details, "truth": truth.slices})


def _spacing(config: ImagesDataset, parts: Mapping[str, str]) -> Triple | None:
    if config.spacing_mm == "unknown":
        return None
    lengths = []
    for axis, length in zip("zyx", config.spacing_mm, strict=True):
        if length == "from_name" and f"spacing_{axis}" not in parts:
            raise ConfigError(f"spacing_mm says from_name, but the pattern has no {{spacing_{axis}}}: {config.image!r}")
        lengths.append(float(parts[f"spacing_{axis}"] if length == "from_name" else length))
    return lengths[0], lengths[1], lengths[2]


def _find_truth(
    config: ImagesDataset, root: Path, scans: Sequence[ImageScan], gone: Sequence[ImageScan], report: Report
) -> dict[str, Truth]:
    match config.masks:
        case RleMasks() as form:
            return rle_table.find_truth(form, config.classes, root, scans, gone, report)
        case FileMasks() as form:
            return mask_files.find_truth(form, config.classes, root, scans, gone, report)
        case PolygonMasks() as form:
            return polygons.find_truth(form, config.classes, root, scans, gone, report)
    return {}


def _read_plane(config: ImagesDataset, raw: RawScan, z: int, path: Path, report: Report) -> NDArray[Any] | None:
    """One slice, (y, x) or (y, x, 3) as the config says; None where it can't be used."""
    try:
        pixels = read_image(path)
    except DataError as e:
        report("unreadable", str(path), f"{e}; replace the file, or list {raw.name!r} in drop_scans")
        return None
    width, height = raw.details["sizes"][z]
    if int(width or pixels.shape[1]) != pixels.shape[1] or int(height or pixels.shape[0]) != pixels.shape[0]:
        found = f"is {pixels.shape[1]} x {pixels.shape[0]} (width x height)"
        told = f"{path} {found}, but its name says {width or '?'} x {height or '?'}"
        report("size", str(path), f"{told}; rename it, or take the size out of the pattern")
        return None
    if config.colour == "rgb":
        return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    grey = as_grey(pixels)
    if grey is None:
        report("type", str(path), f"{path} is a colour image; write `colour: rgb` in the data set's config")
    return grey


def _alike(
    raw: RawScan, images: Sequence[Path], planes: Mapping[int, NDArray[Any]], report: Report
) -> dict[int, NDArray[Any]]:
    """The slices of the size and the type that most have; the others are reported."""
    kept: dict[int, NDArray[Any]] = {}
    if not planes:
        return kept
    size = Counter(plane.shape for plane in planes.values()).most_common(1)[0][0]
    kind = Counter(plane.dtype.name for plane in planes.values()).most_common(1)[0][0]
    for z, plane in planes.items():
        if plane.shape != size:
            told = f"{images[z]} is {plane.shape[1]} x {plane.shape[0]} (width x height)"
            told = f"scan {raw.name}: {told}, but most of its slices are {size[1]} x {size[0]}"
            report("size", str(images[z]), f"{told}; crop it, or list the scan in drop_scans")
        elif plane.dtype.name != kind:
            told = f"scan {raw.name}: {images[z]} is {plane.dtype.name}, but most of its slices are {kind}"
            report("type", str(images[z]), f"{told}; write them alike, or list the scan in drop_scans")
        else:
            kept[z] = plane
    return kept


def _read_truth(
    config: ImagesDataset, raw: RawScan, slices: Sequence[int], shape: tuple[int, int, int], report: Report
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """The masks as a bitfield, and what is to be ignored, None where that is nothing."""
    kind = mask_type(len(config.classes))
    packed, ignore = np.zeros(shape, kind), np.zeros(shape, np.bool_)
    for z, number in enumerate(slices):
        for label, mask in _slice_truth(config, raw, number, (shape[1], shape[2]), report):
            if label is None:
                ignore[z] |= mask
            else:
                packed[z] |= mask.astype(kind) << kind(config.classes.index(label))
    return packed, ignore if ignore.any() else None


def _slice_truth(
    config: ImagesDataset, raw: RawScan, z: int, shape: tuple[int, int], report: Report
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    truth, where, files = raw.details["truth"][z], raw.details["ids"][z], raw.sources[len(raw.details["ids"]) :]
    match config.masks:
        case RleMasks() as form:
            yield from rle_table.read_slice(form, truth, shape, where, report)
        case FileMasks() as form:
            named = [(label, None if number is None else files[number]) for label, number in truth]
            yield from mask_files.read_slice(form, config.classes, named, shape, report)
        case PolygonMasks() as form:
            entry = files[truth] if isinstance(truth, int) else truth
            yield from polygons.read_slice(form, config.classes, entry, shape, where, report)
