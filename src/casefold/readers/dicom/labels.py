"""The labels of DICOM series: which files they are, what they call the classes, and which belong to no series."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from casefold.config.datasets import DicomDataset
from casefold.config.masks import NiftiLabels, PngLabels, SegmentationLabels
from casefold.readers import RawScan, Report, refuse
from casefold.readers.dicom.faults import Fault, listed, note
from casefold.readers.dicom.files import Image
from casefold.readers.dicom.series import Series
from casefold.readers.patterns import find_files, natural_key, part_names

log = logging.getLogger(__name__)


def label_values(config: DicomDataset) -> dict[str, int]:
    """The value of each class in a label map, read or written."""
    given = config.masks.values if isinstance(config.masks, NiftiLabels | PngLabels) else {}
    return {name: given.get(name, index + 1) for index, name in enumerate(config.classes)}


def known_values(config: DicomDataset) -> set[int] | None:
    """Every value that a label map may hold; None: any, where the config names those of its classes."""
    given = isinstance(config.masks, NiftiLabels | PngLabels) and config.masks.values
    return None if given else {0, *label_values(config).values()}


def segment_labels(config: DicomDataset) -> dict[str, str]:
    """The SegmentLabel of each class, read or written."""
    given = config.masks.labels if isinstance(config.masks, SegmentationLabels) else {}
    return {name: given.get(name, name) for name in config.classes}


def find_labels(
    config: DicomDataset, root: Path, known: Mapping[str, str], series: Series, objects: Mapping[str, Sequence[Path]]
) -> tuple[Path, ...]:
    """The files with a series' labels, none where it has none; raises Fault on files that do not fit its slices.

    known: case, scan and series, the parts a pattern may have. objects: segmentation objects by the series' UID.
    """
    masks = config.masks
    if masks is None:
        return ()
    if isinstance(masks, SegmentationLabels):
        return tuple(objects.get(series.uid, ()))
    if isinstance(masks, NiftiLabels):
        paths = [found.path for found in find_files(root, masks.pattern, known)]
        if len(paths) > 1:
            raise Fault("doubled label", f"{len(paths)} label files fit it, {[path.name for path in paths]}; keep one")
        return tuple(paths)
    words = [{**known, "class": name} for name in config.classes] if "class" in part_names(masks.pattern) else [known]
    folders = [[found.path for found in find_files(root, masks.pattern, word)] for word in words]
    if not any(folders):
        return ()
    wanted, counts = series.grid.shape[0], [len(paths) for paths in folders]
    if set(counts) != {wanted}:
        raise Fault(
            "label grid", f"it has {wanted} slices, but {masks.pattern} finds {counts} PNGs; wanted one a slice"
        )
    return tuple(path for paths in folders for path in sorted(paths, key=lambda path: natural_key(path.as_posix())))


def tell_labels(
    config: DicomDataset,
    root: Path,
    groups: Mapping[str, Sequence[Image]],
    objects: Mapping[str, Sequence[Path]],
    raws: Sequence[RawScan],
    report: Report,
) -> None:
    """Report labels of no series here, and scans without labels: a fault only where none has any."""
    bare = [raw.name for raw in raws if not raw.labelled]
    if raws and len(bare) == len(raws):
        message = f"none of the {len(raws)} scans below {root} has labels; check `masks`. The first is {bare[0]}"
        report("image without label", bare[0], message)
    elif report is refuse and bare:
        log.info("%d of %d scans have no labels: %s", len(bare), len(raws), listed(bare))
    else:
        for name in bare:
            report("image without label", name, f"scan {name} has no labels")
    for path in _stray_labels(config, root, groups, objects):
        note(report, "label without image", str(path), f"the label {path} belongs to no series here")


def _stray_labels(
    config: DicomDataset, root: Path, groups: Mapping[str, Sequence[Image]], objects: Mapping[str, Sequence[Path]]
) -> Iterator[Path]:
    images = [image for group in groups.values() for image in group]
    uids = {uid for image in images for uid in (image.series, image.sop)}
    if config.masks is None:
        return
    if isinstance(config.masks, SegmentationLabels):
        known = {path for uid in uids for path in objects.get(uid, ())}
        yield from sorted({path for paths in objects.values() for path in paths} - known)
        return
    words = {"scan": set(groups), "case": {image.case for image in images}, "series": uids}
    for found in find_files(root, config.masks.pattern):
        if any(found.parts[part] not in known for part, known in words.items() if part in found.parts):
            yield found.path
