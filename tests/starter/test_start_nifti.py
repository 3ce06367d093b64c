"""NIfTI folders of several layouts: the patterns, modalities and labels that are guessed, exactly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toy_nifti
from casefold.config.paths import Paths
from casefold.core import DataError
from casefold.files import write_json
from casefold.starter.start import start
from toy_start import begin

FOLDS_4 = {"kind": "case", "count": 4, "seed": 2022}
ONE_CLASS = {"classes": ["foreground"], "labels": {"foreground": [1]}}


def write_pair(image: Path, label: Path | None, seed: int) -> None:
    """A scan and its label map of one value."""
    images, labels = toy_nifti.brain(seed)
    toy_nifti.save(image, images["t1"])
    if label is not None:
        toy_nifti.save(label, (labels > 0).astype(np.uint8))


def plain(**fields: Any) -> dict[str, Any]:
    return {"reader": "nifti", "spacing_mm": "from_file", **ONE_CLASS, "folds": FOLDS_4, **fields}


def test_a_file_a_modality_as_in_brats(paths: Paths) -> None:
    root = paths.data / "brats"
    for case in range(4):
        lacking = ("t1", "t2", "flair") if case == 1 else toy_nifti.MODALITIES
        toy_nifti.write_brain(root / "train", f"BraTS20_Training_{case:03d}", case, lacking)
    toy_nifti.write_brain(root / "test", "BraTS20_Validation_001", 9, labelled=False)
    done = begin(root, paths)
    assert done.config == plain(
        classes=["whole_tumour", "tumour_core", "enhancing"],
        image="train/{scan}/{scan}_{modality}.nii.gz",
        label="train/{scan}/{scan}_seg.nii.gz",
        modalities=["flair", "t1", "t1ce", "t2"],
        missing_modality="drop",
        labels={"whole_tumour": [1, 2, 4], "tumour_core": [1, 4], "enhancing": [4]},
        test="test/{scan}/{scan}_{modality}.nii.gz",
        folds={"kind": "case", "count": 3, "seed": 2022},
    )
    assert "# 1 scans lack one: BraTS20_Training_001\n" in done.text
    assert "# mm (z, y, x) seen: 3 x 0.75 x 0.5\n" in done.text
    assert done.members == ["seg25d/start_25d", "seg3d/start_3d"]


def test_a_folder_a_modality(paths: Paths) -> None:
    root = paths.data / "folders"
    for case in range(4):
        images, labels = toy_nifti.brain(case)
        for modality in ("t1", "flair"):
            toy_nifti.save(root / modality.upper() / f"s{case}.nii.gz", images[modality])
        toy_nifti.save(root / "masks" / f"s{case}.nii.gz", labels)
    assert begin(root, paths).config == plain(
        classes=["label_1", "label_2", "label_4"],
        image="{modality}/{scan}.nii.gz",
        label="masks/{scan}.nii.gz",
        modalities=["FLAIR", "T1"],
        labels={"label_1": [1], "label_2": [2], "label_4": [4]},
    )


def test_nnunets_layout_with_the_names_of_its_dataset_json(paths: Paths) -> None:
    root = paths.data / "nnunet"
    for case in range(4):
        for part in ("imagesTr", "imagesTs"):
            for channel in ("0000", "0001"):
                write_pair(root / part / f"heart_{case}_{channel}.nii.gz", None, case)
        toy_nifti.save(root / "labelsTr" / f"heart_{case}.nii.gz", toy_nifti.brain(case)[1])
    named = {"background": 0, "wall": [1, 2], "blood": 4}
    write_json(root / "dataset.json", {"channel_names": {"0": "T1", "1": "T2"}, "labels": named, "numTraining": 4})
    assert begin(root, paths).config == plain(
        classes=["wall", "blood"],
        image="imagesTr/{scan}_{modality}.nii.gz",
        label="labelsTr/{scan}.nii.gz",
        modalities=["0000", "0001"],
        labels={"wall": [1, 2], "blood": [4]},
        test="imagesTs/{scan}_{modality}.nii.gz",
    )


@pytest.mark.parametrize(
    ("image", "label", "patterns"),
    [
        ("images/s{}.nii.gz", "labels/s{}.nii.gz", ("images/{scan}.nii.gz", "labels/{scan}.nii.gz")),
        ("images/s{}.nii", "labels/s{}_seg.nii.gz", ("images/{scan}.nii", "labels/{scan}_seg.nii.gz")),
        ("all/volume-{}.nii", "all/segmentation-{}.nii", ("all/volume-{scan}.nii", "all/segmentation-{scan}.nii")),
        ("case_{}/imaging.nii.gz", "case_{}/mask.nii.gz", ("{scan}/imaging.nii.gz", "{scan}/mask.nii.gz")),
        (
            "s{}.nii.gz",
            "s{}_seg.nii.gz",
            ("{scan:(?:(?!_seg)[^/])+}.nii.gz", "{scan:(?:(?!_seg)[^/])+}_seg.nii.gz"),
        ),
    ],
)
def test_images_and_label_maps_are_paired(paths: Paths, image: str, label: str, patterns: tuple[str, str]) -> None:
    root = paths.data / "pairs"
    for case in range(4):
        write_pair(root / image.format(case), root / label.format(case), case)
    done = begin(root, paths)
    assert done.config == plain(image=patterns[0], label=patterns[1])
    assert "# 4 of 4 label maps have an image\n" in done.text


def test_several_scans_a_case_and_others_that_are_no_scans(paths: Paths) -> None:
    root = paths.data / "acdc"
    for case in range(4):
        folder = root / "training" / f"patient{case}"
        for frame in ("01", "12"):
            stem = folder / f"patient{case}_frame{frame}"
            write_pair(stem.with_name(f"{stem.name}.nii.gz"), stem.with_name(f"{stem.name}_gt.nii.gz"), case)
        cine = np.stack([toy_nifti.brain(case)[0]["t1"]] * 3, axis=-1)
        toy_nifti.save(folder / f"patient{case}_4d.nii.gz", cine)
    done = begin(root, paths)
    assert done.config == plain(
        image=r"training/{case}/{scan:patient\d+_frame\d+}.nii.gz",
        label=r"training/{case}/{scan:patient\d+_frame\d+}_gt.nii.gz",
    )
    assert "8 scans of 4 cases, 8 of them labelled; 0 scans to predict" in done.lines


def test_visits_in_the_names_are_of_one_case(paths: Paths) -> None:
    root = paths.data / "visits"
    for case in range(4):
        for day in (0, 7):
            name = f"p{case}_day{day}.nii.gz"
            write_pair(root / "images" / name, root / "labels" / name, case)
    done = begin(root, paths)
    assert done.config["case_pattern"] == r"^(.+?)_(?:frame|day|visit|time|tp|ses|session|scan|view|t)[_.-]?\d+$"
    assert "8 scans of 4 cases, 8 of them labelled; 0 scans to predict" in done.lines


def test_volumes_of_a_4d_file_are_modalities(paths: Paths) -> None:
    root = paths.data / "stacked"
    for case in range(4):
        images, labels = toy_nifti.brain(case)
        toy_nifti.save(root / "images" / f"s{case}.nii.gz", np.stack([images["t1"], images["t2"]], axis=-1))
        toy_nifti.save(root / "labels" / f"s{case}.nii.gz", (labels > 0).astype(np.uint8))
    config = begin(root, paths).config
    assert config == plain(
        image="images/{scan}.nii.gz", label="labels/{scan}.nii.gz", modalities=["channel_0", "channel_1"]
    )


def test_images_without_a_label_map_are_dropped_by_name(paths: Paths) -> None:
    root = paths.data / "some"
    for case in range(5):
        write_pair(root / "images" / f"s{case}.nii.gz", root / "labels" / f"s{case}.nii.gz" if case else None, case)
    assert begin(root, paths).config["drop_scans"] == ["s0"]


def test_without_label_maps_the_fields_to_fill_in_are_named(paths: Paths) -> None:
    root = paths.data / "bare"
    for case in range(3):
        write_pair(root / f"s{case}.nii.gz", None, case)
    with pytest.raises(
        DataError, match=r"none of the 3 scans found is labelled(.|\n)*give `label`, `labels` and the classes"
    ):
        start(root, paths)


def test_label_maps_that_hold_probabilities_are_told(paths: Paths) -> None:
    root = paths.data / "soft"
    for case in range(3):
        write_pair(root / "images" / f"s{case}.nii.gz", None, case)
        soft = np.random.default_rng(case).random(toy_nifti.SHAPE).astype(np.float32)
        toy_nifti.save(root / "masks" / f"s{case}.nii.gz", soft)
    with pytest.raises(DataError, match="these label maps do not hold a few whole numbers; are they probabilities"):
        start(root, paths)


def test_a_file_that_is_cut_short_is_named(paths: Paths) -> None:
    root = paths.data / "cut"
    for case in range(3):
        write_pair(root / "images" / f"s{case}.nii.gz", root / "masks" / f"s{case}.nii.gz", case)
    path = root / "masks" / "s1.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"masks/s1\.nii\.gz is truncated or corrupt"):
        start(root, paths)
