"""Label maps where they belong: held-out NIfTI cases as they are, with flipped and swapped axes, and with thick slices.

CASEFOLD_DATA=... python benchmarks/nifti_orientation.py [ENSEMBLE] [--cases N]; the ensemble must be tuned on fold 0
alone (`./run.sh tune ENSEMBLE --fold 0`), whose cases are the held-out ones. Prints the mean 3D Dice of each copy.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from casefold.config.paths import Paths
from casefold.core import DataError
from casefold.pipeline.project import open_project
from casefold.pipeline.submitting import score_step, submit_step
from casefold.pipeline.tuning import recipe_path
from casefold.recipe import load_recipe

FLIPPED = np.array([[1, -1], [0, -1], [2, 1]])  # first axis to the second, reversed; second to the first, reversed


def flipped(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """The same voxels in the same place of the world, stored along other axes."""
    return image.as_reoriented(FLIPPED)


def thick(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Every second plane along the last axis, with the affine that belongs to it."""
    return image.slicer[:, :, ::2]


def main() -> None:
    """Submit on the copies and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ensemble", nargs="?", default="hippocampus")
    parser.add_argument("--cases", type=int, default=10)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    project = open_project(Paths.from_environment(), arguments.ensemble)
    if load_recipe(recipe_path(project)).folds != (0,):
        raise DataError("the held-out cases are those of fold 0: run `tune --fold 0` first")
    store = project.store()
    held = project.table(store).split(store, 0)[1][: arguments.cases]
    rows, written = [], {}
    for name, change in {"as it is": lambda image: image, "flipped": flipped, "thick": thick}.items():
        with tempfile.TemporaryDirectory() as folder:
            images, labels, out = (Path(folder) / part for part in ("images", "labels", "out"))
            for scan in held:
                for source, target in ((project.raw / "imagesTr", images), (project.raw / "labelsTr", labels)):
                    target.mkdir(exist_ok=True)
                    nib.save(change(nib.load(source / f"{scan}.nii.gz")), target / f"{scan}.nii.gz")
            scores = score_step(project, submit_step(project, images, out, None), labels).set_index("scan")
            written[name] = {scan: nib.load(out / f"{scan}.nii.gz") for scan in held}
            same_grid = all(
                np.allclose(written[name][scan].affine, nib.load(images / f"{scan}.nii.gz").affine) for scan in held
            )
            written[name] = {scan: np.asarray(image.dataobj) for scan, image in written[name].items()}
            rows.append({"copy": name, "own affine": same_grid, **scores.loc["all"].dropna()})
    alike = all(
        np.array_equal(np.asarray(flipped(nib.Nifti1Image(written["as it is"][scan], np.eye(4))).dataobj), map_)
        for scan, map_ in written["flipped"].items()
    )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(f"the flipped copies' maps are the others', flipped, voxel for voxel: {alike}")


if __name__ == "__main__":
    main()
