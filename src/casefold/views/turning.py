"""A scan seen through a view, whose arrays are views of its own, and maps of the view brought back to the scan."""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from casefold.config.inputs import Plane
from casefold.core import DataError, Grid, Scan
from casefold.views.box import Box, Shape, whole_box

# The scan's axes (z, y, x) in the order in which the view has them: along its slices, their height, their width.
TURNS: dict[Plane, tuple[int, int, int]] = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
Number = TypeVar("Number", bound=np.generic)


def view_scan(scan: Scan, box: Box, plane: Plane) -> Scan:
    """The part of a scan in a box, then cut in a plane; all of it in the axial plane is the scan itself."""
    return turn_scan(crop_scan(scan, box), plane)


def crop_scan(scan: Scan, box: Box) -> Scan:
    """The part of a scan in a box; `statistics` stay those of the whole. Raises DataError where it holds less."""
    if box == whole_box(scan.grid.shape):
        return scan
    ends = (box.z[1], box.y[1], box.x[1])
    if any(end > size for end, size in zip(ends, scan.grid.shape, strict=True)):
        raise DataError(f"scan {scan.name} of shape {scan.grid.shape} does not hold the box {box}")
    z, y, x = box.slices
    affine = None
    if scan.grid.affine is not None:
        moved = np.array(scan.grid.affine)
        moved[:3, 3] += moved[:3, :3] @ (box.x[0], box.y[0], box.z[0])
        affine = _rows(moved)
    return replace(
        scan,
        image=scan.image[:, z, y, x],
        grid=Grid(box.shape, scan.grid.spacing_mm, affine),
        slice_names=scan.slice_names[z],
        masks=None if scan.masks is None else scan.masks[z, y, x],
        ignore=None if scan.ignore is None else scan.ignore[z, y, x],
    )


def turn_scan(scan: Scan, plane: Plane) -> Scan:
    """A scan whose slices lie in a plane: coronal ones along y, (y, z, x), sagittal ones along x, (x, z, y)."""
    turn = TURNS[plane]
    if turn == TURNS["axial"]:
        return scan
    along, high, wide = (scan.grid.shape[axis] for axis in turn)
    spacing, affine = scan.grid.spacing_mm, None
    if scan.grid.affine is not None:
        columns = [2 - axis for axis in reversed(turn)]  # an affine counts x, y, z
        affine = _rows(np.array(scan.grid.affine)[:, [*columns, 3]])
    return replace(
        scan,
        image=scan.image.transpose(0, *(1 + axis for axis in turn)),
        grid=Grid((along, high, wide), spacing and (spacing[turn[0]], spacing[turn[1]], spacing[turn[2]]), affine),
        slice_names=tuple(f"{scan.name}_{plane}_{number:04d}" for number in range(1, along + 1)),
        masks=None if scan.masks is None else scan.masks.transpose(turn),
        ignore=None if scan.ignore is None else scan.ignore.transpose(turn),
    )


def put_back(maps: NDArray[Number], box: Box, plane: Plane, shape: Shape) -> NDArray[Number]:
    """Maps (class, *view) of a box and plane on the whole grid (class, z, y, x); outside the box 0.

    Of all of a scan in the axial plane they are given back as they are.
    """
    turn = TURNS[plane]
    upright = maps.transpose(0, *(1 + axis for axis in np.argsort(turn)))
    if upright.shape[1:] != box.shape:
        raise DataError(f"maps of shape {maps.shape[1:]} are not of a {plane} view of {box}")
    if box == whole_box(shape) and plane == "axial":
        return maps
    whole = np.zeros((len(maps), *shape), maps.dtype)
    whole[:, *box.slices] = upright
    return whole


def _rows(affine: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in affine)
