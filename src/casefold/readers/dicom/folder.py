"""A folder of DICOM files as a config wants it read: which files are taken, for which scan, and what is passed over."""

import dataclasses
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from casefold.config.datasets import DicomDataset
from casefold.config.masks import SegmentationLabels
from casefold.core import ConfigError, nearest_word
from casefold.readers import Report, refuse
from casefold.readers.dicom.faults import listed
from casefold.readers.dicom.files import SEGMENTATION, Image, read_headers
from casefold.readers.dicom.series import group_images, safe_name
from casefold.readers.patterns import compile_pattern, find_files, part_names

log = logging.getLogger(__name__)

KEYWORDS = ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "ClinicalTrialSubjectID")

Groups = dict[str, list[Image]]


def read_folder(
    config: DicomDataset, root: Path, where: Path, training: bool, report: Report
) -> tuple[Groups, dict[str, list[Path]]]:
    """The images of each scan in a folder, by name, and the segmentation objects by the UIDs they refer to.

    training: the test folder is left out where it lies within. Reported: files that can't be read, images without case
    or series, and a folder of other things only. What is passed over is named in the log.
    """
    keyword = None if "case" in part_names(config.case) else config.case
    if keyword and tag_for_keyword(keyword) is None:
        hint = nearest_word(keyword, KEYWORDS)
        raise ConfigError(f"case: {keyword!r} is no DICOM keyword{hint}, and no pattern with {{case}}")
    images, others = read_headers(_paths(config, root, where, training), keyword, report)
    _tell_others(others, report)
    objects, taken, left = defaultdict[str, list[Path]](list), list[Image](), dict[Path, str]()
    for image in images:
        reason = _not_wanted(config, image)
        if image.kind == SEGMENTATION and isinstance(config.masks, SegmentationLabels):
            for uid in image.refers_to:
                objects[uid].append(image.path)
        elif reason:
            left[image.path] = reason
        else:
            taken.append(image)
    if left:
        counts = ", ".join(f"{count} of {reason}" for reason, count in Counter(left.values()).most_common())
        log.info("%s: %d images are passed over: %s", where, len(left), counts)
    known = {**others, **left}
    if (known or objects) and not taken:
        what = listed([f"{path.name}: {reason}" for path, reason in known.items()]) or "segmentation objects"
        advice = "check `kinds`, `description` and the folder"
        report("missing file", str(where), f"{where} has no series to read, only {what}; {advice}")
    return group_images(_with_cases(config, where, taken, report)), dict(objects)


def _paths(config: DicomDataset, root: Path, where: Path, training: bool) -> Iterator[Path]:
    """The files in a folder, without label files and, for training, without those of the test part."""
    test, labels = root / config.test, None
    if config.masks is not None and not isinstance(config.masks, SegmentationLabels):
        labels = compile_pattern(config.masks.pattern)
    for path, _ in find_files(where, "**/*"):
        is_test = training and where != test and test.is_relative_to(where) and path.is_relative_to(test)
        is_label = labels and path.is_relative_to(root) and labels.fullmatch(path.relative_to(root).as_posix())
        if not is_test and not is_label:
            yield path


def _not_wanted(config: DicomDataset, image: Image) -> str | None:
    if image.kind not in config.kinds:
        return f"the Modality {image.kind or 'is not given'}, which `kinds` has not"
    if image.localizer:
        return "localizers"
    if config.description is not None and not re.search(config.description, image.description):
        return f"the SeriesDescription {image.description!r}"
    return None


def _with_cases(config: DicomDataset, where: Path, images: Iterable[Image], report: Report) -> Iterator[Image]:
    """Images with their case; those without one, or without a series, are left out, and the first of each is told."""
    pattern = compile_pattern(config.case) if "case" in part_names(config.case) else None
    told = set[str]()
    for image in images:
        case = image.case
        if pattern is not None:
            match = pattern.fullmatch(image.path.relative_to(where).as_posix())
            case = match["case"] if match else ""
        what = "" if case.strip() else f"no case: {config.case!r} says nothing of it; name another keyword or a pattern"
        if not image.series:
            what = "no SeriesInstanceUID, so it belongs to no series; mend it or move it away"
        if not what:
            yield dataclasses.replace(image, case=safe_name(case))
        elif image.series not in told:
            told.add(image.series)
            report("name", str(image.path), f"{image.path} has {what}")


def _tell_others(others: Mapping[Path, str], report: Report) -> None:
    if report is refuse and others:
        named = listed([f"{path} ({what})" for path, what in others.items()])
        log.warning("%d files are no images and are passed over: %s", len(others), named)
    elif report is not refuse:
        for path, what in others.items():
            report("not an image", str(path), f"{path} is no image ({what}) and is passed over")
