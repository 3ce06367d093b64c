"""DICOM series: images grouped into scans, named, and arranged along z."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from casefold.core import Grid
from casefold.readers import Report
from casefold.readers.dicom.faults import Fault
from casefold.readers.dicom.files import Image
from casefold.readers.dicom.frames import Frame
from casefold.readers.dicom.geometry import put_in_order
from casefold.readers.dicom.pixels import CHANNELS, undecodable

# Kinds whose series is no volume: each file is a scan of its own.
SINGLES = frozenset({"CR", "DX", "MG", "US", "XA", "RF", "OT"})
TAIL = 8


@dataclass(frozen=True)
class Series:
    """A scan's frames in the order of z, with what reading them takes; `Frame.file` counts the scan's sources.

    uid: of the series, of a single image its own. doubles: (z, a frame at the same place as that of z). invert: its
    MONOCHROME1 has no unit. notes: for the log.
    """

    uid: str
    frames: tuple[Frame, ...]
    doubles: tuple[tuple[int, Frame], ...]
    channels: int
    item_bytes: int
    invert: bool
    grid: Grid
    notes: tuple[str, ...]


def group_images(images: Iterable[Image]) -> dict[str, list[Image]]:
    """Images by the scan they belong to, a series or a single image of SINGLES, under the scan's name.

    A name is case, date and series number (of a single image its own number too), with the end of the UID where two
    would be equal. The images of a scan stand in the order of their instance numbers.
    """
    groups = defaultdict[tuple[str, str], list[Image]](list)
    for image in images:
        groups[image.series, image.sop if image.kind in SINGLES else ""].append(image)
    alike = defaultdict[str, dict[str, list[Image]]](dict)
    for (series, sop), group in groups.items():
        group.sort(key=lambda image: (image.instance, image.path))
        first = group[0]
        parts = (first.case, first.date, first.number, str(first.instance) if sop else "")
        alike[safe_name("_".join(part for part in parts if part))][f"{series}.{sop}" if sop else series] = group
    result = {}
    for name, by_uid in alike.items():
        unique = len({uid[-TAIL:] for uid in by_uid}) == len(by_uid)
        for uid, group in by_uid.items():
            result[name if len(by_uid) == 1 else f"{name}_{uid[-TAIL:] if unique else uid}"] = group
    return dict(sorted(result.items()))


def safe_name(text: str) -> str:
    """A text as the name of a folder: Unicode and spaces stay, separators and control characters become `_`."""
    return re.sub(r"^[.]|[/\\\x00-\x1f\x7f]", "_", text.strip())


def arrange(name: str, images: Sequence[Image], allow_gaps: bool, report: Report) -> Series | None:
    """A scan's images as a series in the order of z; None where they make none, after that was reported."""
    folder = images[0].path.parent
    try:
        return _arranged(name, images, allow_gaps)
    except Fault as fault:
        report(
            fault.kind,
            str(folder),
            f"scan {name} in {folder}: {fault}; to go on without the scan, name it in drop_scans",
        )
        return None


def _arranged(name: str, images: Sequence[Image], allow_gaps: bool) -> Series:
    _check_alike(images)
    first, paths = images[0], [image.path for image in images]
    frames = [frame._replace(file=index) for index, image in enumerate(images) for frame in image.frames]

    def label(frame: Frame) -> str:
        own = paths[frame.file].name
        return own if len(images[frame.file].frames) == 1 else f"{own} (frame {frame.number + 1})"

    order = put_in_order(frames, label, allow_gaps)
    scales = {(frame.slope, frame.intercept) for frame in frames}
    whole = all(number.is_integer() for scale in scales for number in scale)
    return Series(
        uid=first.sop if first.kind in SINGLES else first.series,
        frames=order.frames,
        doubles=order.doubles,
        channels=first.channels,
        item_bytes=(first.bits + 7) // 8 if whole else 4,
        invert=first.photometric == "MONOCHROME1" and scales == {(1, 0)},
        grid=Grid((len(order.frames), first.rows, first.columns), order.spacing_mm, order.affine),
        notes=tuple(f"scan {name}: {text}" for text in order.notes),
    )


def _check_alike(images: Sequence[Image]) -> None:
    """Raises Fault on images of different cases or sizes, and on those whose pixels can't be read here."""
    cases = {image.case: image.path.name for image in images}
    if len(cases) > 1:
        raise Fault("name", f"one series holds several cases, {cases}; mend the files, or take another `case`")
    sizes = Counter((image.rows, image.columns, image.channels) for image in images)
    if len(sizes) > 1:
        *_, (rare, _) = sizes.most_common()
        odd = next(image.path.name for image in images if (image.rows, image.columns, image.channels) == rare)
        listed = ", ".join(f"{y} x {x} x {c} in {count} files" for (y, x, c), count in sizes.most_common())
        raise Fault(
            "size", f"its images differ in rows x columns x channels: {listed}, as {odd}; move the odd ones away"
        )
    for image in images:
        if CHANNELS.get(image.photometric) != image.channels:
            what = f"{image.photometric or 'no PhotometricInterpretation'} of {image.channels} channels"
            raise Fault("type", f"{image.path.name} is {what}, known are {CHANNELS}; convert it")
        reason = undecodable(image.syntax)
        if reason:
            raise Fault("unreadable", f"{image.path.name}: {reason}")
