"""Image files to scans by what a pattern says of their paths: slices in order, ids, cases, and every fault of names."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from casefold.config.datasets import ImagesDataset
from casefold.core import ConfigError, DataError, nearest_word
from casefold.readers import FaultKind, Report, refuse
from casefold.readers.patterns import NUMBERS, Found, fill, find_files, natural_key, part_names, tails

log = logging.getLogger(__name__)
LISTED = 5


class ImageSlice(NamedTuple):
    """One image file: its id in a CSV, and the parts of its path, `scan` and `case` always among them."""

    path: Path
    id: str
    parts: Mapping[str, str]


class ImageScan(NamedTuple):
    """The images of one scan, from the first slice to the last."""

    case: str
    name: str
    slices: tuple[ImageSlice, ...]


class Truth(NamedTuple):
    """The truth of one scan: for each slice what a truth's module reads it from, and the files it is read from."""

    slices: tuple[Any, ...]
    files: tuple[Path, ...] = ()


def find_scans(config: ImagesDataset, root: Path, pattern: str, report: Report) -> list[ImageScan]:
    """The scans whose images a pattern finds, by name; slices may still be doubled, see `in_order`."""
    stacked = _check_parts(config, pattern)
    groups: dict[str, list[ImageSlice]] = {}
    cases: dict[str, str] = {}
    for found in find_files(root, pattern):
        parts = _named(found)
        name, case = parts["scan"], fill(config.case or "{case}", parts)
        if cases.setdefault(name, case) != case:
            other = groups[name][0].path
            message = (
                f"{found.path} and {other} give the scan name {name!r} for two cases, {case!r} and {cases[name]!r}"
            )
            report("name", str(found.path), f"{message}; without {{scan}} in the pattern all its parts name the scan")
            continue
        identity = fill(config.id or ("{scan}_{slice}" if stacked else "{scan}"), parts)
        groups.setdefault(name, []).append(ImageSlice(found.path, identity, parts))
    scans = (ImageScan(cases[name], name, tuple(slices)) for name, slices in groups.items())
    return sorted(scans, key=lambda scan: natural_key(scan.name))


def find_in_folder(config: ImagesDataset, folder: Path, report: Report) -> list[ImageScan]:
    """The scans in a folder that was handed over; raises DataError where there are none.

    The test pattern (else the image pattern) is looked for below it whole, then without its first folder, then without
    the second, as long as the parts that name scans, slices and ids are in it; the first that finds a file counts.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder} to read images from")
    whole = config.test or config.image
    fitting = [tail for tail in tails(whole) if _needed(config, whole) <= part_names(tail)]
    for tail in fitting:
        scans = find_scans(config, folder, tail, report)
        if scans:
            return scans
    raise no_images(folder, " or ".join(fitting))


def in_order(scan: ImageScan, report: Report) -> ImageScan:
    """A scan with its slices in the order of their numbers; a doubled slice is reported, and the first file kept."""
    numbered = "slice" in scan.slices[0].parts
    by_number: dict[tuple[tuple[int, str], ...], list[ImageSlice]] = {}
    for image in scan.slices:
        by_number.setdefault(tuple(natural_key(image.parts.get("slice", ""))), []).append(image)
    for doubled in (images for images in by_number.values() if len(images) > 1):
        paths = " and ".join(str(image.path) for image in doubled)
        if numbered:
            report("duplicate slice", scan.name, f"scan {scan.name} has a slice number twice: {paths}; remove one")
        else:
            told = "remove one, name the scans by more parts, or add {slice} to the pattern"
            report("name", scan.name, f"{paths} are both scan {scan.name}; {told}")
    order = sorted(by_number)
    texts = [by_number[key][0].parts.get("slice", "") for key in order]
    if numbered and all(text.isdecimal() for text in texts):
        there = [int(text) for text in texts]
        missing = sorted(set(range(there[0], there[-1] + 1)) - set(there))
        if missing:
            _warn(report, scan.name, f"scan {scan.name} lacks the slices {first_few(missing)}")
    return scan._replace(slices=tuple(by_number[key][0] for key in order))


def check_ids(scans: Sequence[ImageScan], report: Report) -> None:
    """Report an id that two images have; a CSV could not tell them apart."""
    paths: dict[str, Path] = {}
    for image in (image for scan in scans for image in scan.slices):
        if paths.setdefault(image.id, image.path) != image.path:
            told = f"{image.path} and {paths[image.id]} have the same id, {image.id!r}; put more parts into `id`"
            report("name", image.id, told)


def dropped_slices(config: ImagesDataset, scans: Sequence[ImageScan], report: Report) -> dict[str, int]:
    """How many slices each of `drop_scans` takes away; reports what is not as the config says."""
    slices = {scan.name: len(scan.slices) for scan in scans}
    for name in config.drop_scans:
        if name not in slices:
            told = f"drop_scans: no scan {name!r} among {len(slices)}{nearest_word(name, list(slices))}"
            report("dropped scan", name, told)
    counts = {name: slices[name] for name in config.drop_scans if name in slices}
    if config.dropped_slices is not None and sum(counts.values()) != config.dropped_slices:
        told = f"drop_scans removes {sum(counts.values())} slices ({counts}), "
        report("dropped scan", "drop_scans", f"{told}but dropped_slices says {config.dropped_slices}")
    return counts


def no_images(root: Path, pattern: str) -> DataError:
    """The error for a pattern that finds nothing, with a few of the files that are there."""
    return DataError(f"{root} holds no image of the pattern {pattern}; it holds {_glance(root)}")


def report_each(report: Report, kind: FaultKind, names: Sequence[str], told: str) -> None:
    """A report a name; one of the first few where the first report ends the reading."""
    if names and report is refuse:
        report(kind, names[0], told + first_few(names))
    for name in names:
        report(kind, name, told + name)


def first_few(found: Iterable[object]) -> str:
    """The first few of many things, for a message."""
    every = list(found)
    shown = ", ".join(str(entry) for entry in every[:LISTED])
    return shown if len(every) <= LISTED else f"{shown}, ..."


def _needed(config: ImagesDataset, pattern: str) -> frozenset[str]:
    """The parts without which a path does not say what its scan, slice and id are."""
    parts = part_names(pattern)
    names = frozenset({"scan"}) if "scan" in parts else parts - set(NUMBERS)
    templates = part_names(f"{config.id or ''}{config.case or ''}") - {"scan", "case"}
    return (names | (parts & {"slice"}) | templates) & parts


def _check_parts(config: ImagesDataset, pattern: str) -> bool:
    """Whether scans have several slices; raises ConfigError on a pattern that can't name scans."""
    parts = part_names(pattern)
    if not parts - set(NUMBERS):
        raise ConfigError(f"the pattern {pattern!r} names no scan; put {{scan}} in it, or names of your own")
    stacked = "slice" in part_names(config.image)
    if stacked != ("slice" in parts):
        raise ConfigError(f"`image` and `test` should both have {{slice}}, or neither: {config.image!r}, {pattern!r}")
    return stacked


def _named(found: Found) -> dict[str, str]:
    """The parts of a path; without {scan} all names together are the scan, without {case} the scan is its own case."""
    parts = {"scan": "_".join(text for name, text in found.parts.items() if name not in NUMBERS), **found.parts}
    return {"case": parts["scan"], **parts}


def _warn(report: Report, scan: str, message: str) -> None:
    """What only `check` calls a fault; every other step logs it and goes on."""
    if report is refuse:
        log.warning(message)
    else:
        report("missing slice", scan, message)


def _glance(folder: Path) -> str:
    shown = [found.path.relative_to(folder).as_posix() for found in islice(find_files(folder, "**/*"), 3)]
    return ", ".join(shown) or "no files at all"
