"""The frames of a DICOM file: where each lies and how its values are rescaled, from the header alone."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydicom import Dataset

Point = tuple[float, ...]

OF_FRAME = (
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing"),
    ("PixelValueTransformationSequence", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept"),
)
PLACES = ("ImagePositionPatient", "ImageOrientationPatient")  # of a multi-frame file: those of its first frame alone


class Frame(NamedTuple):
    """One frame of one file. position, orientation, spacing (row to row, column to column): mm, or None."""

    file: int
    number: int
    sop: str
    position: Point | None
    orientation: Point | None
    spacing: Point | None
    slope: float
    intercept: float


def frames_of(dataset: Dataset) -> Iterator[Frame]:
    """The frames of a file; those of a multi-frame file have a place only where its functional groups give it."""
    count, sop = int(dataset.get("NumberOfFrames") or 1), str(dataset.get("SOPInstanceUID") or "")
    has_table = bool(dataset.get("ModalityLUTSequence"))  # it takes the place of slope and intercept
    for number in range(count):
        found = [in_groups(dataset, number, sequence, keyword) for sequence, keyword in OF_FRAME]
        for index, (_, keyword) in enumerate(OF_FRAME):
            if found[index] is None and (count == 1 or keyword not in PLACES):
                found[index] = dataset.get(keyword)
        position, orientation, spacing, slope, intercept = found
        yield Frame(
            file=0,
            number=number,
            sop=sop,
            position=numbers(position, 3),
            orientation=numbers(orientation, 6),
            spacing=numbers(spacing, 2),
            slope=1.0 if has_table or slope is None else _finite(slope),
            intercept=0.0 if has_table or intercept is None else _finite(intercept),
        )


def in_groups(dataset: Dataset, frame: int, sequence: str, keyword: str) -> Any:
    """An element of a frame, from its own functional groups or from those that all frames share; None where absent."""
    for groups, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(groups) or ()
        if place < len(items) and items[place].get(sequence):
            return items[place].get(sequence)[0].get(keyword)
    return None


def numbers(value: Any, count: int) -> Point | None:
    """A multi-valued element as floats; None where it is absent, empty or of another length."""
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        return None
    return tuple(_finite(number) for number in value)


def _finite(value: Any) -> float:
    """Raises ValueError on what is no number, and on those that are not finite."""
    if not math.isfinite(float(value)):
        raise ValueError(f"{value} is not finite")
    return float(value)
