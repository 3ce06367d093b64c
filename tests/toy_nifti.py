"""NIfTI files for tests: arrays stored along any axes, and tiny made-up brain scans in the BraTS layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

AFFINE = np.array([[0.5, 0, 0, -7], [0, 0.75, 0, 11], [0, 0, 3, 5], [0, 0, 0, 1]], float)
MODALITIES = ("t1", "t1ce", "t2", "flair")
SHAPE = (20, 22, 18)  # x, y, z
RADII = {2: 6, 1: 4, 4: 2}  # of the balls that oedema, core and enhancing tumour reach to, one in the other
BRIGHTNESS = {
    "t1": {2: -20, 1: -40, 4: -30},
    "t1ce": {4: 120},
    "t2": {2: 60, 1: 90, 4: 80},
    "flair": {2: 100, 1: 80, 4: 90},
}


def save(path: Path, array: NDArray[Any], affine: NDArray[Any] = AFFINE, codes: str = "RAS") -> Path:
    """Save an array given on RAS axes (x, y, z, ...), stored with its axes in the order and direction `codes` says."""
    turn = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(codes))
    stored = orientations.apply_orientation(array, turn)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(stored, affine @ orientations.inv_ornt_aff(turn, array.shape[:3])), path)
    return path


def tilted(degrees: float) -> NDArray[np.float64]:
    """AFFINE turned about z, so that no axis lies along the world's."""
    angle, affine = np.deg2rad(degrees), AFFINE.copy()
    affine[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ AFFINE[:2, :2]
    return affine


def brain(seed: int) -> tuple[dict[str, NDArray[np.int16]], NDArray[np.uint8]]:
    """The modalities int16 (x, y, z) of a made-up brain with a tumour of three balls, and its label map 0, 1, 2, 4."""
    random = np.random.default_rng(seed)
    centre = random.integers((7, 7, 7), (13, 15, 11))
    distance = np.sqrt(sum((axis - middle) ** 2 for axis, middle in zip(np.indices(SHAPE), centre, strict=True)))
    labels = np.zeros(SHAPE, np.uint8)
    for value, radius in RADII.items():
        labels[distance <= radius] = value
    images = {}
    for name in MODALITIES:
        image = random.normal(200, 10, SHAPE)
        for value, change in BRIGHTNESS[name].items():
            image[labels == value] += change
        images[name] = image.astype(np.int16)
    return images, labels


def write_brain(
    folder: Path,
    name: str,
    seed: int,
    modalities: Sequence[str] = MODALITIES,
    labelled: bool = True,
    codes: str = "RAS",
    affine: NDArray[Any] = AFFINE,
) -> None:
    """Write a scan as BraTS does: `NAME/NAME_t1.nii.gz` and its like, `NAME/NAME_seg.nii.gz` where it is labelled."""
    images, labels = brain(seed)
    for modality in modalities:
        save(folder / name / f"{name}_{modality}.nii.gz", images[modality], affine, codes)
    if labelled:
        save(folder / name / f"{name}_seg.nii.gz", labels, affine, codes)


def brats(**changes: Any) -> dict[str, Any]:
    """A data set's config for such scans below `train` and `test`, as YAML would give it."""
    content = {
        "reader": "nifti",
        "root": "brats",
        "classes": ["whole", "core", "enhancing"],
        "image": "train/{case}/{case}_{modality}.nii.gz",
        "label": "train/{case}/{case}_seg.nii.gz",
        "modalities": list(MODALITIES),
        "labels": {"whole": [1, 2, 4], "core": [1, 4], "enhancing": [4]},
        "test": "test",
    }
    return {**content, **changes}
