"""DICOM segmentation objects: which frame is which segment on which slice of the source series, and its masks."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import pixel_array

from casefold.core import DataError
from casefold.readers.dicom.faults import Fault, in_one_line
from casefold.readers.dicom.pixels import read_planes
from casefold.readers.dicom.segments import Segmentation, read_segments
from casefold.readers.dicom.series import Series

log = logging.getLogger(__name__)

CLOSE = 0.1  # of the voxel's shortest side: how far a frame may lie from its slice
SAME_AXES = 1e-3
NOT_HERE = -1


def segmented_masks(
    paths: Sequence[Path], labels: Mapping[str, str], series: Series, planes: Sequence[int]
) -> NDArray[np.bool_]:
    """Masks of some slices of a series, bool (class, len(planes), y, x), from its segmentation objects.

    labels: the SegmentLabel of each class; several segments of one label are one mask. A class without a segment is
    empty, as the log says once, but one class must be there. A fractional segmentation is cut at one half. Only the
    frames of these slices are decoded. Raises Fault.
    """
    row = {z: index for index, z in enumerate(planes)}
    masks = np.zeros((len(labels), len(planes), *series.grid.shape[1:]), np.bool_)
    objects = {path: read_segments(path, path.stat().st_mtime_ns) for path in paths}
    held = [label for path in paths for label in sorted(set(objects[path].segments.values()))]
    for label in labels.values():
        if held.count(label) > 1:
            raise Fault(
                "doubled label", f"the segment {label!r} is there twice, in {', '.join(map(str, paths))}; keep one"
            )
    if not set(held) & set(labels.values()):
        raise Fault(
            "unknown class",
            f"its segmentation {paths[0]} has the segments {held}, none of {list(labels.values())}; "
            "give their names in masks.labels",
        )
    for label in sorted(set(labels.values()) - set(held)):
        _tell_missing(tuple(paths), label)
    for path, known in objects.items():
        place_of = {label: c for c, label in enumerate(labels.values())}
        wanted = {number: place_of[label] for number, label in known.segments.items() if label in place_of}
        _check_grid(path, known, series)
        slices = _slices(path, known, series)
        places = {
            index: row[z]
            for index, (piece, z) in enumerate(zip(known.pieces, slices, strict=True))
            if z in row and (piece.segment is None or piece.segment in wanted)
        }
        for (index, place), plane in zip(places.items(), _planes(path, known, list(places)), strict=True):
            segment = known.pieces[index].segment
            if segment is not None:
                masks[wanted[segment], place] |= plane >= known.full / 2
            else:
                for value, c in wanted.items():
                    masks[c, place] |= plane == value
    return masks


@cache
def _tell_missing(paths: tuple[Path, ...], label: str) -> None:
    log.info("no segment %r in %s: that class is empty there", label, ", ".join(map(str, paths)))


def _planes(path: Path, known: Segmentation, frames: list[int]) -> Iterator[NDArray[Any]]:
    if not frames:
        return
    rows, columns = known.shape
    if known.form != "BINARY" or rows * columns % 8 == 0:
        try:
            yield from read_planes(path, frames)
        except DataError as e:
            raise Fault("unreadable", str(e)) from e
        return
    try:  # frames of one bit a pixel that start within a byte: pydicom 3.0 finds them only all together
        yield from pixel_array(path).reshape(-1, rows, columns)[frames]
    except Exception as e:  # pydicom raises anything at all on broken bytes
        raise Fault("unreadable", f"its segmentation {path} can't be decoded: {in_one_line(e)}") from e


def _check_grid(path: Path, known: Segmentation, series: Series) -> None:
    mine, first = series.grid.shape[1:], series.frames[0]
    pairs = (known.orientation, first.orientation), (known.spacing, first.spacing)
    odd = [(one, two) for one, two in pairs if one and two and not np.allclose(one, two, rtol=0, atol=SAME_AXES)]
    if known.shape != mine or odd:
        raise Fault(
            "label grid",
            f"its segmentation {path} lies on another grid than its images: {known.shape} for {mine} rows and columns"
            + "".join(f", {theirs} for {ours}" for theirs, ours in odd)
            + "; resample it to the series",
        )


def _slices(path: Path, known: Segmentation, series: Series) -> list[int]:
    """The z of each frame: where its slice lies, else that of the image it refers to, NOT_HERE for another scan's."""
    places = [frame.position for frame in series.frames]
    if all(piece.position for piece in known.pieces) and all(places):
        between = np.array([piece.position for piece in known.pieces])[:, None] - np.array(places)
        off = np.linalg.norm(between, axis=2)
        nearest, least = off.argmin(axis=1), off.min(axis=1)
        sides = [*(series.frames[0].spacing or ()), *(series.grid.spacing_mm or ())]
        worst = int(least.argmax())
        if least[worst] > CLOSE * min(sides, default=1.0):
            raise Fault(
                "label grid",
                f"frame {worst + 1} of its segmentation {path}, at {known.pieces[worst].position} mm, lies on none of "
                f"its slices, {least[worst]:.3g} mm from the nearest; was it drawn on another series?",
            )
        return [int(z) for z in nearest]
    by_source = {(frame.sop, frame.number): z for z, frame in enumerate(series.frames)}
    slices = [by_source.get(piece.source or ("", 0), NOT_HERE) for piece in known.pieces]
    if set(slices) == {NOT_HERE}:
        raise Fault("label grid", f"no frame of its segmentation {path} says on which of its images it was drawn")
    return slices
