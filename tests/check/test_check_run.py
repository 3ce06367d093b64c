"""The whole check: on any reader, in any number of processes, through faults that end the reading."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from bodies import SIDE, body, disc, scan
from numpy.typing import NDArray

import toy
from casefold.check import check_dataset, exit_code
from casefold.check.run import _placed, examine
from casefold.config.datasets import NiftiDataset, PhantomDataset, UwmgiDataset
from casefold.core import ConfigError
from casefold.readers import phantom
from casefold.readers.phantom.anatomy import CLASSES


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(table[["kind", "case", "scan", "where"]].itertuples(index=False, name=None))


def uwmgi(**changes: Any) -> UwmgiDataset:
    return UwmgiDataset(**toy.content(**changes))


def nifti(root: Path, scans: dict[str, NDArray[Any]]) -> NiftiDataset:
    """A data set of images (z, y, x) that all have the same disc as label."""
    label = np.zeros((10, SIDE, SIDE), np.uint8)
    label[3:7, disc(24, 24, 6)] = 1
    entries = []
    for name, image in scans.items():
        entry = {"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"}
        for array, path in ((image, root / entry["image"]), (label[: len(image)], root / entry["label"])):
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array.transpose(), np.diag([1.5, 1.5, 3, 1])), path)
        entries.append(entry)
    content = {"labels": {"0": "background", "1": "spot"}, "training": entries}
    (root / "dataset.json").write_text(json.dumps(content))
    return NiftiDataset(reader="nifti", root="nifti", classes=("spot",))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The toy data set with a corrupt slice, a copied one and a scan of odd names."""
    root = toy.write_raw(tmp_path / "toy")
    folders = {scan.name: root / "train" / scan.case / scan.name / "scans" for scan in toy.SCANS}
    next(folders["case2_day0"].glob("slice_0006_*")).write_bytes(b"no PNG")
    source = next(folders["case11_day2"].glob("slice_0008_*"))
    next(folders["case20_day0"].glob("slice_0008_*")).write_bytes(source.read_bytes())
    for path in folders["case31_day4"].iterdir():
        path.rename(path.with_name(f"{path.name[:10]}.png"))
    return root


def test_the_toy_data_set_is_sound(toy_paths: Any) -> None:
    table = check_dataset(uwmgi(), toy_paths.raw("toy"))
    assert table.empty and exit_code(table) == 0


def test_all_faults_at_once_in_any_number_of_processes(broken: Path) -> None:
    seen: list[str] = []

    def progress(names: Iterator[str], total: int) -> Iterator[str]:
        assert total == 7
        for name in names:
            seen.append(name)
            yield name

    table = check_dataset(uwmgi(), broken, progress=progress)
    assert rows(table) == [
        *(("name", "", "", f"train/case31/case31_day4/scans/slice_000{number}.png") for number in range(1, 9)),
        ("unreadable", "case2", "case2_day0", "train/case2/case2_day0/scans/slice_0006_36_28_1.50_1.25.png"),
        ("leak", "case20", "case20_day0", "case20_day0_slice_0008"),
    ]
    assert exit_code(table) == 2
    assert seen == [scan.name for scan in toy.SCANS[:-1]]
    pd.testing.assert_frame_equal(table, check_dataset(uwmgi(), broken, jobs=2))


def test_what_ends_the_reading_is_a_finding_too(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    table = check_dataset(uwmgi(), tmp_path)
    assert rows(table) == [("missing file", "", "", tmp_path.name)]
    assert (
        table["what"][0] == "no scans in train; wanted caseN/caseN_dayM/scans/slice_*.png; fetch it, or mend the config"
    )


def test_a_scan_that_can_not_be_read_at_all_leaves_the_others(tmp_path: Path) -> None:
    other = np.roll(body(), 1, axis=2)
    config = nifti(tmp_path, {"one": body(), "two": other})
    path = tmp_path / "imagesTr" / "one.nii.gz"
    path.write_bytes(path.read_bytes()[:500])
    table = check_dataset(config, tmp_path)
    assert rows(table) == [("unreadable", "one", "one", "imagesTr/one.nii.gz")]


def test_nifti_is_checked_as_well(tmp_path: Path) -> None:
    pair = body().astype(np.float32), np.roll(body(), 1, axis=1).astype(np.float32)
    assert check_dataset(nifti(tmp_path / "sound", dict(zip("ab", pair, strict=True))), tmp_path / "sound").empty
    pair[0][1, 0, 0] = np.nan
    pair[1][9] = pair[0][9]
    pair[1][5] *= 2
    config = nifti(tmp_path / "bad", dict(zip("ab", pair, strict=True)))
    table = check_dataset(config, tmp_path / "bad")
    assert rows(table) == [
        ("not a number", "a", "a", "a_slice_0002"),
        ("leak", "b", "b", "b_slice_0010"),
        ("intensity jump", "b", "b", "b_slice_0006"),
    ]


def test_a_constant_modality_does_not_hide_the_faults_of_another() -> None:
    image = body()
    image[5] *= 2
    kinds = [finding.kind for finding in examine(scan(np.stack([image, np.zeros_like(image)])), "folder")]
    assert kinds == ["constant scan", "intensity jump"]
    assert [finding.kind for finding in examine(scan(np.zeros_like(image)), "folder")] == ["constant scan"]


def test_a_fault_is_put_to_the_scan_that_its_place_names() -> None:
    cases = {"case1_day1": "case1", "case1_day13": "case1", "a (copy)": "a"}
    for where, wanted in (
        ("train/case1/case1_day13/scans/x.png", "case1_day13"),
        ("case1_day1_slice_0001 stomach", "case1_day1"),
        ("imagesTr/a (copy).nii.gz", "a (copy)"),
        ("train/case1/case1_day130/x.png", ""),
        ("train.csv", ""),
    ):
        assert _placed(("name", where, "odd"), cases, Path("/raw")).scan == wanted


def test_a_config_that_can_not_be_used_is_no_finding(tmp_path: Path) -> None:
    config = PhantomDataset(reader="phantom", root="drawn", classes=("liver",))
    with pytest.raises(ConfigError, match="the phantom has the classes"):
        check_dataset(config, tmp_path / "drawn")


def test_filters_are_left_out(tmp_path: Path) -> None:
    config = nifti(tmp_path, {"one": body()})
    filtered = NiftiDataset(**{**config.model_dump(), "filters": [{"name": "median"}]})
    image = body()
    image[4, ::2] = 0
    nib.save(nib.Nifti1Image(image.transpose(), np.diag([1.5, 1.5, 3, 1])), tmp_path / "imagesTr" / "one.nii.gz")
    pd.testing.assert_frame_equal(check_dataset(filtered, tmp_path), check_dataset(config, tmp_path))
    assert not check_dataset(config, tmp_path).empty


@pytest.mark.parametrize(
    ("severities", "code"), [([], 0), (["note"], 0), (["note", "warning"], 1), (["warning", "error", "note"], 2)]
)
def test_the_exit_code_goes_by_the_worst(severities: list[str], code: int) -> None:
    assert exit_code(pd.DataFrame({"severity": severities})) == code


def test_a_phantom_is_checked_as_it_lies_there(tmp_path: Path) -> None:
    small = {"cases": 2, "test_cases": 0, "slices": (6, 4), "sizes": ((24, 24), (30, 24))}
    config = PhantomDataset(reader="phantom", root="drawn", classes=CLASSES, drop_scans=("case10_day13",), **small)
    phantom.generate(config, tmp_path / "drawn")
    place = "train/case3/case3_day1/scans/slice_0004_24_24_14.42_14.42.png"
    (tmp_path / "drawn" / place).write_bytes(b"")
    table = check_dataset(config, tmp_path / "drawn")
    assert ("unreadable", "case3", "case3_day1", place) in rows(table)
