"""Folders of DICOM series: what names cases, and masks as label NIfTIs, segmentation objects and PNGs."""

from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pytest

import toy_dicom
from casefold.config.datasets import DicomDataset
from casefold.config.paths import Paths
from casefold.core import DataError, Masks
from casefold.readers.table import find, write_result
from casefold.starter.start import start
from toy_start import begin

SHAPE = (toy_dicom.DEPTH, toy_dicom.ROWS, toy_dicom.COLUMNS)
AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[1:3, 1, 1:3], LABELS[2, 2, 3] = 1, 2


def write_series(folder: Path, case: int, **changes: Any) -> None:
    stored = np.random.default_rng(case).integers(0, 999, SHAPE).astype(np.int16)
    toy_dicom.write_series(folder, f"s{case}", stored, **{"PatientID": f"P{case}", **changes})


def write_labels(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(LABELS.transpose(), AFFINE), path)


def dicom(**fields: Any) -> dict[str, Any]:
    folds = {"kind": "case", "count": 3, "seed": 2022}
    plain = {"classes": ["label_1", "label_2"], "train": ".", "kinds": ["CT"], "case": "PatientID"}
    return {"reader": "dicom", "spacing_mm": "from_file", **plain, "folds": folds, **fields}


def nifti(pattern: str) -> dict[str, Any]:
    return {"kind": "nifti", "pattern": pattern, "values": {"label_1": 1, "label_2": 2}}


def test_label_niftis_by_case(paths: Paths) -> None:
    root = paths.data / "ct"
    for case in range(3):
        write_series(root / "train" / f"P{case}", case)
        write_series(root / "test" / f"T{case}", case + 9)
        write_labels(root / "labels" / f"P{case}_seg.nii.gz")
    done = begin(root, paths)
    assert done.config == dicom(train="train", test="test", masks=nifti("labels/{case}_seg.nii.gz"))
    assert done.members == ["cls/start_cls", "seg25d/start_25d", "seg3d/start_3d"]
    assert "3 scans of 3 cases, 3 of them labelled; 3 scans to predict" in done.lines
    assert any(
        "4 x 3 x 5 voxels (z, y, x), int16, modalities: 1, spacing in mm: 2.5 x 0.75 x 0.5" in line
        for line in done.lines
    )


def test_label_niftis_by_series_and_files_without_an_ending(paths: Paths) -> None:
    root = paths.data / "ct"
    for case in range(3):
        write_series(root / f"P{case}", case)
        for path in (root / f"P{case}").iterdir():
            path.rename(path.with_name(f"IM_{path.stem}"))
        write_labels(root / "labels" / f"{toy_dicom.uid(f's{case}')}.nii.gz")
    assert begin(root, paths).config == dicom(masks=nifti("labels/{series}.nii.gz"))


def test_where_all_are_anonymous_the_folder_names_the_case(paths: Paths) -> None:
    root = paths.data / "ct"
    for case in range(3):
        write_series(root / f"subject{case}" / "axial", case, PatientID="anon")
        write_labels(root / f"subject{case}" / "mask.nii.gz")
    done = begin(root, paths)
    assert done.config == dicom(case="{case}/**/*", masks=nifti("{case}/mask.nii.gz"))
    assert "# PatientID is 'anon' for all 3 series, so the folder names the case\n" in done.text


def test_a_folder_of_pngs_a_case(paths: Paths) -> None:
    root = paths.data / "ct"
    for case in range(3):
        write_series(root / "images" / f"P{case}", case)
        for z, plane in enumerate(LABELS):
            path = root / "masks" / f"P{case}" / f"{z:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), 255 * (plane > 0).astype(np.uint8))
    assert begin(root, paths).config == dicom(
        classes=["foreground"], masks={"kind": "pngs", "pattern": "masks/{case}/*.png"}
    )


def test_segmentation_objects_name_the_classes(paths: Paths) -> None:
    root = paths.data / "ct"
    for case in range(3):
        write_series(root / f"P{case}", case)
    classes = ("left kidney", "right kidney")
    config = DicomDataset(reader="dicom", root="ct", classes=classes, predictions="segmentation")
    masks = np.stack([LABELS == 1, LABELS == 2])
    for raw in find(config, root, "train"):
        made = Masks(raw.case, raw.name, classes, tuple(f"{z}" for z in range(SHAPE[0])), masks)
        write_result(config, root, raw, made, root / "segmentations")
    assert begin(root, paths).config == dicom(classes=list(classes), masks={"kind": "segmentation"})


def test_several_kinds_and_descriptions_are_told(paths: Paths) -> None:
    root = paths.data / "ct"
    for case in range(3):
        write_series(root / f"P{case}", case)
        write_labels(root / "labels" / f"P{case}.nii.gz")
    write_series(root / "P0", 7, PatientID="P0", Modality="PT", SeriesDescription="whole body", SeriesNumber=9)
    done = begin(root, paths)
    assert done.config == dicom(description=None, masks=nifti("labels/{case}.nii.gz"))
    assert "# descriptions seen: 'axial 2.5', 'whole body'\n" in done.text
    assert "  kinds: also there: {'PT': 1}; are these modalities of one scan, or not wanted?" in done.lines


def test_without_masks_the_field_to_fill_in_is_named(paths: Paths) -> None:
    for case in range(3):
        write_series(paths.data / "ct" / f"P{case}", case)
    with pytest.raises(
        DataError, match=r"none of the 3 scans found is labelled(.|\n)*no masks were found; give `masks`"
    ):
        start(paths.data / "ct", paths)
