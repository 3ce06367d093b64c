"""Scans turned and flipped, with their masks: what a network was not shown."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from casefold.config.studies import Unlike
from casefold.core import Grid, Scan
from casefold.intensity import scan_statistics

AXES = "zyx"
Change = Callable[[Scan], Scan]


def changes(unlike: Unlike) -> Iterator[tuple[str, Change]]:
    """Each test's name, and what it makes of a scan."""
    made: list[Change] = [partial(rotated, degrees=degrees) for degrees in unlike.rotated_deg]
    made += [partial(flipped, axes=axes) for axes in unlike.flipped]
    yield from zip(unlike.names, made, strict=True)


def flipped(scan: Scan, axes: str) -> Scan:
    """A scan turned round along `z`, `y`, `x` or several of them; the names of its slices stay where they were."""
    along = tuple(AXES.index(axis) - 3 for axis in axes)

    def flip(array: NDArray[Any]) -> NDArray[Any]:
        return np.flip(array, along).copy()  # torch takes no negative strides

    return _changed(
        scan,
        flip(scan.image),
        None if scan.masks is None else flip(scan.masks),
        None if scan.ignore is None else flip(scan.ignore),
    )


def rotated(scan: Scan, degrees: float) -> Scan:
    """A scan whose axial slices are turned about their middle, clockwise as drawn, on the grid that it had.

    The angle is one in mm where the spacing is known. The image is linear between voxels and its edge repeats outside;
    masks are those of the nearest voxel; voxels that were outside are to be ignored.
    """
    spacing = np.array(scan.grid.spacing_mm[1:] if scan.grid.spacing_mm is not None else (1.0, 1.0))
    angle, high, wide = radians(degrees), *scan.grid.shape[1:]
    back = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])  # where (y, x) was before
    matrix = np.round(back * spacing / spacing[:, None], 12)  # quarter turns are exact
    middle = (np.array([high, wide]) - 1) / 2
    shift = middle - matrix @ middle
    image = np.array(
        [
            [ndimage.affine_transform(plane.astype(float), matrix, shift, order=1, mode="nearest") for plane in volume]
            for volume in scan.image
        ]
    )
    image = (image if scan.image.dtype.kind == "f" else np.rint(image)).astype(scan.image.dtype)
    places = np.arange(float(high * wide)).reshape(high, wide)
    nearest = ndimage.affine_transform(places, matrix, shift, order=0, mode="constant", cval=-1).astype(int)
    outside = np.broadcast_to(nearest < 0, scan.grid.shape)

    def look_up(array: NDArray[Any]) -> NDArray[Any]:
        return np.where(outside, array.dtype.type(0), array.reshape(len(array), -1)[:, nearest])

    masks = None if scan.masks is None else look_up(scan.masks)
    return _changed(scan, image, masks, outside.copy() if scan.ignore is None else look_up(scan.ignore) | outside)


def _changed(scan: Scan, image: NDArray[Any], masks: NDArray[Any] | None, ignore: NDArray[np.bool_] | None) -> Scan:
    """With the statistics that a new scan of these voxels would have; where it lies in the world is not kept."""
    grid = Grid(scan.grid.shape, scan.grid.spacing_mm)
    return replace(scan, image=image, masks=masks, ignore=ignore, grid=grid, statistics=scan_statistics(image))
