"""The header of a DICOM segmentation object: its segments, and what each of its frames shows of which and where."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydicom import Dataset, dcmread

from casefold.readers.dicom.faults import Fault, in_one_line
from casefold.readers.dicom.frames import Point, in_groups, numbers


class Piece(NamedTuple):
    """A frame of a segmentation: its segment (None in a label map), its place in mm, and the image it was drawn on."""

    segment: int | None
    position: Point | None
    source: tuple[str, int] | None


@dataclass(frozen=True)
class Segmentation:
    """What the header of a segmentation object says. full: the value that stands for certainty."""

    form: str
    full: int
    shape: tuple[int, int]
    orientation: Point | None
    spacing: Point | None
    segments: dict[int, str]
    pieces: tuple[Piece, ...]


@lru_cache(maxsize=64)
def read_segments(path: Path, time_ns: int) -> Segmentation:
    """The header of a segmentation object; time_ns: when it was changed, so that the cache notices."""
    try:
        dataset = dcmread(path, stop_before_pixels=True)
        form = str(dataset.SegmentationType)
        count = int(dataset.get("NumberOfFrames") or 1)
        return Segmentation(
            form=form,
            full=int(dataset.MaximumFractionalValue) if form == "FRACTIONAL" else 1,
            shape=(int(dataset.Rows), int(dataset.Columns)),
            orientation=numbers(in_groups(dataset, 0, "PlaneOrientationSequence", "ImageOrientationPatient"), 6),
            spacing=numbers(in_groups(dataset, 0, "PixelMeasuresSequence", "PixelSpacing"), 2),
            segments={int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.SegmentSequence},
            pieces=tuple(_piece(dataset, index, form) for index in range(count)),
        )
    except Exception as e:  # pydicom raises anything at all on broken bytes
        raise Fault("unreadable", f"its segmentation {path} can't be read: {in_one_line(e)}") from e


def _piece(dataset: Dataset, index: int, form: str) -> Piece:
    segment = in_groups(dataset, index, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    source = None
    for item in in_groups(dataset, index, "DerivationImageSequence", "SourceImageSequence") or ():
        number = item.get("ReferencedFrameNumber")
        source = str(item.ReferencedSOPInstanceUID), int(number) - 1 if isinstance(number, int) else 0
    position = numbers(in_groups(dataset, index, "PlanePositionSequence", "ImagePositionPatient"), 3)
    return Piece(None if form == "LABELMAP" else int(segment), position, source)
