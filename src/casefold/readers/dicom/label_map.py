"""Label maps on the grid of a DICOM series: NIfTI files turned to its axes, and values to masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from casefold.core import Grid
from casefold.readers.dicom.faults import Fault, in_one_line

CLOSE_VOXELS = 0.1  # how far a corner of a label's grid may lie from the same corner of the series


def label_map_masks(
    path: Path, values: Mapping[str, int], known: set[int] | None, grid: Grid, planes: Sequence[int]
) -> NDArray[np.bool_]:
    """Masks of some slices from a label NIfTI, turned to the series' axes; only these slices are read.

    known: all values that may occur, None for any. A grid without an affine takes the file's axes as they are. Raises
    Fault where the file lies on another grid, and on other values.
    """
    image = _open(path)
    turn = _turn(path, image, grid)
    axis = int(np.flatnonzero(turn[:, 0] == 2)[0])  # the file's axis along z
    own = [z if turn[axis, 1] > 0 else grid.shape[0] - 1 - z for z in planes]
    block = tuple(slice(min(own), max(own) + 1) if index == axis else slice(None) for index in range(3))
    try:
        voxels = np.asanyarray(image.dataobj.reshape(image.shape[:3])[block])
    except Exception as e:  # nibabel and gzip raise anything at all on broken bytes
        raise Fault("unreadable", f"its label {path} is cut short or corrupt: {in_one_line(e)}") from e
    labels = orientations.apply_orientation(voxels, turn).transpose()
    return masks_by_value(path, labels[[z - min(planes) for z in planes]], values, known)


def own_grid(path: Path) -> Grid:
    """The grid of a label NIfTI on its own axes; raises Fault where it can't be read."""
    x, y, z = _open(path).shape[:3]
    return Grid((z, y, x))


def _open(path: Path) -> Any:
    try:
        image = nib.load(path)
        if len(image.shape) < 3 or int(np.prod(image.shape[3:])) != 1:
            raise Fault("label grid", f"its label {path} should be one 3D volume, not one of shape {image.shape}")
        return image
    except Fault:
        raise
    except Exception as e:  # nibabel and gzip raise anything at all on broken bytes
        raise Fault("unreadable", f"its label {path} can't be read: {in_one_line(e)}; copy it again") from e


def _turn(path: Path, image: Any, grid: Grid) -> NDArray[np.float64]:
    """How the file's axes become the series' (x, y, z); raises Fault where turning and flipping does not do it."""
    shape, wanted = image.shape[:3], grid.shape[::-1]
    turn, off = orientations.axcodes2ornt("RAS"), 0.0
    if grid.affine is not None:
        between = np.linalg.inv(np.array(grid.affine)) @ image.affine
        turn = orientations.io_orientation(between) if np.isfinite(between).all() else np.full((3, 2), np.nan)
        if not np.isnan(turn).any():
            corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]).T
            corners[:3] *= np.array(wanted)[:, None] - 1
            off = float(np.abs((between @ orientations.inv_ornt_aff(turn, shape) - np.eye(4)) @ corners).max())
    if np.isnan(turn).any() or tuple(shape[int(i)] for i in np.argsort(turn[:, 0])) != wanted or off > CLOSE_VOXELS:
        raise Fault(
            "label grid",
            f"its label {path} lies on another grid, {off:.3g} voxels off: shape {shape} for {wanted} (x, y, z), "
            f"affine {np.round(image.affine, 3).tolist()} for {grid.affine}; resample it to the series",
        )
    return np.asarray(turn)


def masks_by_value(
    path: Path, labels: NDArray[Any], values: Mapping[str, int], known: set[int] | None
) -> NDArray[np.bool_]:
    """Labels (z, y, x) to bool (class, z, y, x); known: all values that may occur, None for any. Raises Fault."""
    strange = [] if known is None else np.unique(labels[~np.isin(labels, list(known))]).tolist()
    if strange:
        raise Fault(
            "label value",
            f"its label {path} holds the values {strange[:5]}, wanted are {sorted(known or ())}; "
            "give the classes' values in masks.values",
        )
    return np.stack([labels == value for value in values.values()])
