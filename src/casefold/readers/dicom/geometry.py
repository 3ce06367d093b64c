"""Where the frames of a DICOM series lie: their order along the slice normal, spacing, affine, and what is amiss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casefold.core import Triple
from casefold.readers.dicom.faults import Fault
from casefold.readers.dicom.frames import Frame

Floats = NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]

SAME_PLACE_MM = 1e-3  # positions are written with three decimals or more
SAME_AXES = 1e-3  # direction cosines and pixel spacings of one series differ by rounding only
STRAY = 0.25  # of a step or a pixel: steps of 0.65 mm rounded to 0.6 and 0.7 stay within a tenth
GAP_STEPS = 1.5  # half way between no slice missing and one
LISTED = 3  # gaps that a message names
TILT = 0.005  # mm in the plane a mm along the normal: 0.3 degrees, above rounding
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Order:
    """Frames in the order of z. doubles: (z, a further frame at its place). notes: what the log should say."""

    frames: tuple[Frame, ...]
    doubles: tuple[tuple[int, Frame], ...]
    spacing_mm: Triple | None = None
    affine: Matrix | None = None
    notes: tuple[str, ...] = ()


def put_in_order(frames: Sequence[Frame], label: Callable[[Frame], str], allow_gaps: bool) -> Order:
    """Frames along z, which runs along the normal (row x column of ImageOrientationPatient) from low to high.

    (x, y, z) is right-handed that way, and an axial series goes from the feet to the head. spacing_mm in z is the
    distance along the normal, never SliceThickness; the affine (x, y, z to RAS, mm) has the shear of a tilted gantry,
    and of a single slice the normal of 1 mm. Without positions the order stays and both are None. label: names a frame
    in messages. Raises Fault on images that make no volume, and on gaps unless they are allowed: then z counts the
    slices that are there, and the affine is right up to the first gap.
    """
    if all(frame.position is None for frame in frames):
        return Order(*_once(frames, lambda frame: (frame.sop or frame.file, frame.number)))
    lost = [frame for frame in frames if frame.position is None or frame.orientation is None]
    if lost:
        raise Fault(
            "spacing", f"{len(lost)} of {len(frames)} images lack a position or an orientation, as {label(lost[0])}"
        )
    row, column = _axes(frames, label)
    normal = np.cross(row, column) / np.linalg.norm(np.cross(row, column))
    by_height = sorted(frames, key=lambda frame: float(np.dot(frame.position or (), normal)))
    kept, doubles = _once(by_height, lambda frame: tuple(np.rint(np.array(frame.position) / SAME_PLACE_MM)))
    pixel, places = _pixel(frames, label), np.array([frame.position for frame in kept])
    step, slope, notes = 1.0, normal, list[str]()
    if len(kept) > 1:
        step, gaps = _step(places @ normal, kept, label, allow_gaps)
        slope = (places[-1] - places[0]) / ((places[-1] - places[0]) @ normal)
        _check_line(places, normal, min(step, *(pixel or (step,))), kept, label)
        tilt = float(np.linalg.norm(slope - normal))
        notes += gaps
        if tilt > TILT:
            notes.append(
                f"the gantry is tilted by {np.degrees(np.arctan(tilt)):.1f} degrees; voxels stay as they are and "
                f"the affine has the shear"
            )
    if pixel is None:
        return Order(kept, doubles, notes=(*notes, "no PixelSpacing, so spacing and affine are unknown"))
    affine = np.eye(4)
    affine[:3] = np.stack([row * pixel[1], column * pixel[0], slope * step, places[0]], axis=1)
    matrix = tuple(tuple(float(number) for number in line) for line in RAS_FROM_LPS @ affine)
    return Order(kept, doubles, (step, *pixel) if len(kept) > 1 else None, matrix, tuple(notes))


def _once(
    frames: Sequence[Frame], place: Callable[[Frame], object]
) -> tuple[tuple[Frame, ...], tuple[tuple[int, Frame], ...]]:
    """The first frame of each place, and the further ones with the number of the first."""
    taken, kept, doubles = dict[object, int](), list[Frame](), list[tuple[int, Frame]]()
    for frame in frames:
        z = taken.setdefault(place(frame), len(kept))
        if z < len(kept):
            doubles.append((z, frame))
        else:
            kept.append(frame)
    return tuple(kept), tuple(doubles)


def _axes(frames: Sequence[Frame], label: Callable[[Frame], str]) -> tuple[Floats, Floats]:
    """The directions of a row and of a column, unit vectors shared by all frames."""
    axes = np.array([frame.orientation for frame in frames])
    odd = np.abs(axes - axes[0]).max(axis=1) > SAME_AXES
    if odd.any():
        names = f"{label(frames[0])} and {label(frames[int(odd.argmax())])}"
        raise Fault("spacing", f"its images lie in different directions, as {names}, and make no volume")
    row, column = axes[0, :3], axes[0, 3:]
    if not np.allclose([row @ row, column @ column, row @ column], [1, 1, 0], rtol=0, atol=1e-2):
        raise Fault("spacing", f"ImageOrientationPatient {axes[0].tolist()} is no pair of perpendicular unit vectors")
    return row / np.linalg.norm(row), column / np.linalg.norm(column)


def _pixel(frames: Sequence[Frame], label: Callable[[Frame], str]) -> tuple[float, float] | None:
    """Row to row and column to column in mm, shared by all frames; None where the first frame has none."""
    first = frames[0].spacing
    for frame in frames:
        if (frame.spacing is None) != (first is None) or not np.allclose(frame.spacing or (), first or (), SAME_AXES):
            raise Fault("spacing", f"PixelSpacing is {first} in {label(frames[0])}, {frame.spacing} in {label(frame)}")
    if first is not None and min(first) <= 0:
        raise Fault("spacing", f"PixelSpacing {first} is no pair of positive lengths")
    return None if first is None else (first[0], first[1])


def _step(
    heights: Floats, frames: Sequence[Frame], label: Callable[[Frame], str], allow_gaps: bool
) -> tuple[float, list[str]]:
    """The distance between slices along the normal, and what is to be said of gaps where they are allowed."""
    steps = np.diff(heights)
    tight = int(steps.argmin())
    if steps[tight] < SAME_PLACE_MM:
        names = f"{label(frames[tight])} and {label(frames[tight + 1])}"
        raise Fault("spacing", f"{names} lie side by side, not above each other, and make no volume")
    usual = float(np.quantile(steps, 0.5, method="lower"))
    wide = np.flatnonzero(steps > GAP_STEPS * usual)
    regular = np.linspace(heights[0], heights[-1], len(heights))
    if len(wide):
        missing = steps[wide] / usual - 1
        whole = bool((np.abs(missing - np.rint(missing)) <= STRAY).all())
        between = ", ".join(
            f"{label(frames[i])} ({heights[i]:g} mm) to {label(frames[i + 1])} ({heights[i + 1]:g} mm)"
            for i in wide[:LISTED]
        )
        what = f"missing slices: {np.rint(missing).sum():.0f}" if whole else f"gaps of an odd width: {len(wide)}"
        message = f"{what} at steps of {usual:g} mm, from {between}"
    elif np.abs(heights - regular).max() > STRAY * usual:
        whole, message = False, f"steps between slices differ, from {steps.min():g} to {steps.max():g} mm"
    else:
        return float(steps.mean()), []
    if not allow_gaps:
        advice = "find the files, or write gaps: allow" if whole else "write gaps: allow to take them as they are"
        raise Fault("missing slice" if whole else "gap", f"{message}; {advice}")
    return usual, [f"{message}; the slices that are there are stacked, so the affine is off beyond"]


def _check_line(
    places: Floats, normal: Floats, unit: float, frames: Sequence[Frame], label: Callable[[Frame], str]
) -> None:
    """Raises Fault where positions leave their line by more than a share of `unit`, the voxel's shortest side."""
    heights = (places - places[0]) @ normal
    slope = np.median(np.diff(places, axis=0) / np.diff(heights)[:, None], axis=0)  # one odd place does not turn it
    stray = np.linalg.norm(places - places[0] - np.outer(heights, slope), axis=1)
    worst = int(stray.argmax())
    if stray[worst] > STRAY * unit:
        raise Fault("spacing", f"{label(frames[worst])} lies {stray[worst]:.3g} mm off the line of the others")
