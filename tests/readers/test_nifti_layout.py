"""Which files make a scan: by patterns, and below a folder that somebody names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casefold.config.datasets import NiftiDataset
from casefold.config.load import load_dataset
from casefold.core import DataError
from casefold.readers import RawScan, nifti
from casefold.readers.table import find
from toy_nifti import MODALITIES, brats, save

CONFIGS = Path(__file__).parents[2] / "configs"
VOLUME = np.zeros((2, 3, 4), np.int16)


def config(**changes: Any) -> NiftiDataset:
    return NiftiDataset(**brats(**changes))


def lay(root: Path, *paths: str) -> Path:
    for path in paths:
        save(root / path, VOLUME)
    return root


def files(root: Path, raws: list[RawScan]) -> dict[str, list[str]]:
    return {raw.name: [path.relative_to(root).as_posix() for path in raw.sources] for raw in raws}


def test_modalities_come_in_the_configs_order_and_the_label_last(tmp_path: Path) -> None:
    lay(tmp_path, *(f"train/p_1/p_1_{end}.nii.gz" for end in ("flair", "seg", "t1", "t1ce", "t2")))
    for order in (MODALITIES, MODALITIES[::-1]):
        (raw,) = nifti.find(config(modalities=order), tmp_path, "train")
        assert (raw.case, raw.labelled, raw.details["modalities"]) == ("p_1", True, order)
        assert [path.name for path in raw.sources] == [f"p_1_{end}.nii.gz" for end in (*order, "seg")]
        assert raw.details["values"] == {"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}
        assert raw.details["known"] == [0, 1, 2, 4]


def test_files_of_modalities_that_the_config_does_not_name_are_passed_over(tmp_path: Path) -> None:
    lay(tmp_path, "images/a_b_t1.nii", "images/a_b_t2.nii", "images/a_b_x.nii", "labels/a_b.nii")
    flat = {"image": "images/{scan}_{modality}.nii", "label": "labels/{scan}.nii"}
    (raw,) = nifti.find(config(modalities=("t2",), **flat), tmp_path, "train")
    assert files(tmp_path, [raw]) == {"a_b": ["images/a_b_t2.nii", "labels/a_b.nii"]}
    own = {**flat, "image": "images/{scan}_{modality:[a-z0-9]+}.nii"}
    assert files(tmp_path, nifti.find(config(modalities=("t2",), **own), tmp_path, "train")) == files(tmp_path, [raw])


def test_case_and_scan_have_names_of_their_own(tmp_path: Path) -> None:
    lay(tmp_path, "p1/day1.nii", "p1/day1_seg.nii", "p2/day3.nii", "p2/day3_seg.nii")
    parts = {"image": "{case}/{scan:day\\d}.nii", "label": "{case}/{scan}_seg.nii", "modalities": ()}
    raws = nifti.find(config(**parts), tmp_path, "train")
    assert [(raw.case, raw.name) for raw in raws] == [("p1", "day1"), ("p2", "day3")]
    parts = {"image": "*/{scan:day\\d}.nii", "label": "*/{scan}_seg.nii", "modalities": (), "case_pattern": "y(.)"}
    assert [raw.case for raw in nifti.find(config(**parts), tmp_path, "train")] == ["1", "3"]


def test_without_a_label_pattern_scans_have_no_label(tmp_path: Path) -> None:
    lay(tmp_path, "a.nii")
    (raw,) = nifti.find(config(image="{scan}.nii", label=None, modalities=()), tmp_path, "train")
    assert (raw.name, raw.case, raw.labelled) == ("a", "a", False)


def test_the_config_that_we_ship_reads_both_years_of_brats(tmp_path: Path) -> None:
    shipped = load_dataset(CONFIGS, "brats")
    names = {"BraTS2021_00000": ".nii.gz", "BraTS20_Training_001": ".nii"}
    lay(tmp_path, *(f"train/{n}/{n}_{part}{end}" for n, end in names.items() for part in (*MODALITIES, "seg")))
    lay(tmp_path, *(f"test/BraTS20_Validation_001/BraTS20_Validation_001_{part}.nii" for part in MODALITIES))
    raws = find(shipped, tmp_path, "train")
    assert [(raw.name, raw.case, raw.labelled) for raw in raws] == [(name, name, True) for name in names]
    assert [raw.name for raw in find(shipped, tmp_path, "test")] == ["BraTS20_Validation_001"]


@pytest.mark.parametrize(
    "below",
    ["train/p1/p1_{}.nii.gz", "p1/p1_{}.nii.gz", "p1_{}.nii.gz"],
    ids=["as below the root", "a folder a case", "side by side"],
)
def test_a_folder_is_matched_against_the_end_of_the_pattern(tmp_path: Path, below: str) -> None:
    lay(tmp_path / "new", *(below.format(modality) for modality in MODALITIES))
    (raw,) = nifti.find(config(), tmp_path, "test", tmp_path / "new")
    assert (raw.name, raw.case, raw.labelled) == ("p1", "p1", False)
    assert [path.name for path in raw.sources] == [f"p1_{modality}.nii.gz" for modality in MODALITIES]


def test_the_longest_end_of_the_pattern_that_matches_counts(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{place}_{modality}.nii.gz" for place in ("a/a", "b") for modality in MODALITIES))
    assert [raw.name for raw in nifti.find(config(), tmp_path, "test", tmp_path)] == ["a"]


def test_an_end_of_the_pattern_that_names_no_scan_does_not_count(tmp_path: Path) -> None:
    lay(tmp_path / "new", *(f"{modality}.nii.gz" for modality in MODALITIES))
    with pytest.raises(DataError, match=r"no scans in .*new; wanted train/\{case\}/\{modality\}\.nii\.gz"):
        nifti.find(config(image="train/{case}/{modality}.nii.gz"), tmp_path, "test", tmp_path / "new")


def test_the_test_part_is_a_folder_or_a_pattern_and_may_be_absent(tmp_path: Path) -> None:
    assert nifti.find(config(), tmp_path, "test") == []
    lay(tmp_path, *(f"test/a/a_{modality}.nii.gz" for modality in MODALITIES))
    lay(tmp_path, *(f"valid/{modality}/b.nii.gz" for modality in MODALITIES))
    assert list(files(tmp_path, nifti.find(config(), tmp_path, "test"))) == ["a"]
    pattern = config(test="valid/{modality}/{case}.nii.gz")
    assert files(tmp_path, nifti.find(pattern, tmp_path, "test")) == {"b": [f"valid/{m}/b.nii.gz" for m in MODALITIES]}
