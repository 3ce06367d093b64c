"""Masks as image files: label images by value or colour, and one file a class."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.masks import FileMasks
from casefold.core import DataError
from casefold.readers import Report
from casefold.readers.images.files import read_image, read_labels
from casefold.readers.images.scans import ImageScan, ImageSlice, Truth, first_few, report_each
from casefold.readers.patterns import find_files, part_names

JPEG = (".jpg", ".jpeg")
JPEG_LEVEL = 128  # what JPEG makes of a mask is not all 0 and 255
ALL = ""  # in place of a class: the file says it


def find_truth(
    form: FileMasks,
    classes: Sequence[str],
    root: Path,
    scans: Sequence[ImageScan],
    gone: Sequence[ImageScan],
    report: Report,
) -> dict[str, Truth]:
    """The mask files of every labelled scan, for each slice as (class, number of the file or None where it lacks).

    With `missing: unlabelled` a scan without any file is unlabelled, one that lacks some is labelled in part, which is
    reported; with `missing: empty` every scan is labelled.
    """
    found: dict[str, Truth] = {}
    claimed = {path for scan in gone for image in scan.slices for _, path in mask_files(form, classes, root, image)}
    for scan in scans:
        files: list[Path] = []
        slices: list[tuple[tuple[str, int | None], ...]] = []
        gaps: list[str] = []
        for image in scan.slices:
            masks = mask_files(form, classes, root, image)
            lacking = [label for label in _labels(form, classes) if label not in dict(masks)]
            numbered: list[tuple[str, int | None]] = [(label, len(files) + n) for n, (label, _) in enumerate(masks)]
            files += [path for _, path in masks]
            if form.missing == "unlabelled":
                gaps += [f"{image.id} {label}".strip() for label in lacking]
                numbered += [(label, None) for label in lacking]
            slices.append(tuple(numbered))
        claimed |= set(files)
        if gaps and not files:
            continue
        if gaps:
            told = f"scan {scan.name} is labelled in part; {len(gaps)} mask files are missing: {first_few(gaps)}"
            told = f"{told}; add them, or write `missing: empty` if no file means an empty mask"
            report("partly labelled", scan.name, told)
        found[scan.name] = Truth(tuple(slices), tuple(files))
    strangers = [str(mask.path) for mask in find_files(root, form.pattern) if mask.path not in claimed]
    report_each(
        report, "label without image", strangers, "masks without an image (check `masks.pattern`, or remove them): "
    )
    return found


def mask_files(form: FileMasks, classes: Sequence[str], root: Path, image: ImageSlice) -> list[tuple[str, Path]]:
    """The mask files of one image, each with its class (ALL where the pattern has none)."""
    found = []
    for label in _labels(form, classes):
        known = {**image.parts, "class": form.class_names.get(label, label)}
        found += [(label, mask.path) for mask in find_files(root, form.pattern, known)]
    return found


def read_slice(
    form: FileMasks,
    classes: Sequence[str],
    files: Sequence[tuple[str, Path | None]],
    shape: tuple[int, int],
    report: Report,
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    """Class and mask of each file's classes on a slice; None and what is to be ignored."""
    for label, path in files:
        masks = None if path is None else read_mask_file(form, classes, label, path, shape, report)
        if masks is None:
            yield None, np.ones(shape, np.bool_)
        else:
            yield from masks


def read_mask_file(
    form: FileMasks, classes: Sequence[str], label: str, path: Path, shape: tuple[int, int] | None, report: Report
) -> Iterator[tuple[str | None, NDArray[np.bool_]]] | None:
    """What one file says of `label` (ALL: of every class); None where it can't be read. shape: None takes any size."""
    by_value = label == ALL and bool(form.values)
    try:
        pixels = read_labels(path) if by_value else read_image(path)
    except DataError as e:
        report("unreadable", str(path), f"{e}; replace it, or list its scan in drop_scans")
        return None
    if shape is not None and pixels.shape[:2] != shape:
        sizes = " for an image of ".join(f"{width} x {height}" for height, width in (pixels.shape[:2], shape))
        report("label grid", str(path), f"{path} is a mask of {sizes} (width x height); make them fit")
        return None
    if by_value:
        return _by_value(form, path, pixels, report)
    if label == ALL and form.colours:
        return _by_colour(form, path, pixels, report)
    if pixels.ndim == 3:
        pixels = pixels.max(axis=2)
    return iter([(label or classes[0], np.asarray(pixels >= JPEG_LEVEL if _is_jpeg(path) else pixels != 0))])


def _is_jpeg(path: Path) -> bool:
    return path.suffix.lower() in JPEG


def _labels(form: FileMasks, classes: Sequence[str]) -> Sequence[str]:
    return classes if "class" in part_names(form.pattern) else (ALL,)


def _by_value(
    form: FileMasks, path: Path, pixels: NDArray[Any], report: Report
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    if pixels.ndim == 3:
        report("type", str(path), f"{path} is a coloured label image; give the classes' colours in masks.colours")
        yield None, np.ones(pixels.shape[:2], np.bool_)
        return
    known = {*form.values.values(), *form.background, *form.ignore}
    unknown = [value for value in np.unique(pixels).tolist() if value not in known]
    if unknown:
        told = f"{path} holds the values {first_few(unknown)}, which are no class's; "
        report("label value", str(path), f"{told}put them into masks.values, masks.background or masks.ignore")
    for label, value in form.values.items():
        yield label, pixels == value
    ignored = [*form.ignore, *unknown]
    if ignored:
        yield None, np.isin(pixels, ignored)


def _by_colour(
    form: FileMasks, path: Path, pixels: NDArray[Any], report: Report
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    coloured = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    known = (coloured == 0).all(axis=2)  # black is no class
    for label, colour in form.colours.items():
        mask = (coloured == np.array(colour)).all(axis=2)
        known |= mask
        yield label, mask
    if not known.all():
        colours = np.unique(coloured[~known], axis=0).tolist()
        told = f"{path} holds the colours {first_few(map(tuple, colours))}, which are neither a class's nor black"
        report("label value", str(path), f"{told}; put them into masks.colours")
        yield None, ~known
