"""One NIfTI file: its header, its voxels turned to (modality, z, y, x), and labels turned back to where they belong."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.files import write_bytes

SUFFIXES = (".nii.gz", ".nii")
AFFINE_TOLERANCE = 1e-3
MM_PER_UNIT = {1: 1000.0, 3: 0.001}
UNIT_BITS = 7
COMPRESSION = 6  # of gzip; the highest, 9, takes six times as long for a tenth less
RAS = np.array([[0, 1], [1, 1], [2, 1]])
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    ImageFileError,
    HeaderDataError,
)


@dataclass(frozen=True)
class NiftiFile:
    """A file whose header is read: how its axes lie, and shape (x, y, z) and affine (mm) once they are RAS.

    volumes: how many it holds, along its fourth axis (or its fifth, as some tools write several components).
    """

    path: Path
    image: Any
    orientation: NDArray[Any]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    volumes: int

    @property
    def voxel_type(self) -> np.dtype[Any]:
        """The type of the voxels that `read_voxels` gives: the stored one, or float64 where the file scales it."""
        stored = np.dtype(self.image.get_data_dtype()).newbyteorder("=")
        plain = (self.image.dataobj.slope, self.image.dataobj.inter) == (1, 0)
        return stored if plain else np.result_type(stored, np.float64)


def stem(path: Path) -> str:
    """A file's name without .nii or .nii.gz; raises DataError for any other ending."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix) and path.name != suffix:
            return path.name.removesuffix(suffix)
    raise DataError(f"{path} should end with one of {', '.join(SUFFIXES)}")


def open_nifti(path: Path) -> NiftiFile:
    """Read the header only; raises DataError on what is no 3D volume, or several, of plain numbers."""
    stem(path)
    try:
        image = nib.load(path)
        shape, affine = image.shape, np.asarray(image.affine, np.float64)
        units = int(image.header["xyzt_units"]) & UNIT_BITS
    except BROKEN as e:
        raise DataError(f"{path} can't be read as NIfTI, is it truncated? {type(e).__name__}: {e}") from e
    if len(shape) < 3 or min(shape) < 1 or image.get_data_dtype().names is not None:
        raise DataError(f"{path} should be a 3D volume of plain numbers, not {image.get_data_dtype()} {shape}")
    if sum(length > 1 for length in shape[3:]) > 1:
        raise DataError(f"{path} should be one 3D volume a modality, (x, y, z, modality), but has the shape {shape}")
    orientation = orientations.io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if np.isnan(orientation).any():
        raise DataError(
            f"{path}: its affine turns an axis into nothing, so its voxels have no place: {affine.tolist()}"
        )
    canonical = affine @ orientations.inv_ornt_aff(orientation, shape[:3])
    canonical = np.diag([MM_PER_UNIT.get(units, 1.0)] * 3 + [1.0]) @ canonical
    x, y, z = (int(shape[axis]) for axis in np.argsort(orientation[:, 0]))
    return NiftiFile(path, image, orientation, (x, y, z), canonical, int(np.prod(shape[3:])))


def read_voxels(file: NiftiFile) -> NDArray[Any]:
    """The voxels (modality, z, y, x), turned to the closest RAS axes, in the machine's byte order.

    The stored type is kept; scl_slope and scl_inter are applied where the file sets them. Of a compressed file the
    checksum is verified. Raises DataError where the file is cut short or corrupt.
    """
    try:
        if file.path.name.endswith(".gz"):
            with gzip.open(file.path) as stream:
                while stream.read(1 << 22):
                    pass
        voxels = np.asanyarray(file.image.dataobj)
    except BROKEN as e:
        raise DataError(f"{file.path} is truncated or corrupt: {type(e).__name__}: {e}") from e
    voxels = orientations.apply_orientation(voxels.reshape(*voxels.shape[:3], file.volumes), file.orientation)
    return np.ascontiguousarray(voxels.transpose(), dtype=voxels.dtype.newbyteorder("="))


def grid_difference(files: Sequence[NiftiFile]) -> str | None:
    """How the first file that lies elsewhere than the first of all does so, or None where all lie on one grid."""
    first = files[0]
    for file in files[1:]:
        if file.shape != first.shape or not np.allclose(file.affine, first.affine, rtol=0, atol=AFFINE_TOLERANCE):
            return (
                f"{file.path} lies on another grid than {first.path.name}: shape {file.shape} for {first.shape}, "
                f"affine {file.affine.tolist()} for {first.affine.tolist()} (x, y, z)"
            )
    return None


def write_labels(labels: NDArray[np.unsignedinteger[Any]], source: Path, out: Path) -> None:
    """Write labels (z, y, x), on the grid `read_voxels` gives for `source`, on `source`'s own voxel grid.

    labels: uint8 or uint16. Affine, qform and sform with their codes are those of `source`. `out` ends with .nii or
    .nii.gz.
    """
    file = open_nifti(source)
    if labels.dtype not in (np.uint8, np.uint16) or labels.shape != file.shape[::-1]:
        raise DataError(
            f"labels for {source.name} should be uint8 or uint16 (z, y, x) of shape {file.shape[::-1]}, "
            f"not {labels.dtype} of shape {labels.shape}"
        )
    stem(out)
    back = orientations.ornt_transform(RAS, file.orientation)
    voxels = np.ascontiguousarray(orientations.apply_orientation(labels.transpose(), back))
    header = file.image.header.copy()
    header.extensions.clear()
    header.set_data_dtype(labels.dtype)
    header.set_slope_inter(1, 0)
    header.set_intent("none")
    header["cal_min"] = header["cal_max"] = 0
    content = type(file.image)(voxels, None, header).to_bytes()
    write_bytes(out, gzip.compress(content, COMPRESSION, mtime=0) if out.name.endswith(".gz") else content)
