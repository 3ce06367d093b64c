"""Classes of several values and classes that share them: label maps to masks, and masks to label maps."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from casefold.config.datasets import NiftiDataset
from casefold.core import ConfigError, DataError, Masks
from casefold.readers import RawScan, nifti, table
from toy_nifti import brats, save

LABELS = np.array([0, 1, 2, 4], np.uint8).reshape(1, 2, 2)  # (x, y, z); the same order along (y, z) as (z, y) below
WHOLE, CORE, ENHANCING = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]], bool)


def config(**changes: Any) -> NiftiDataset:
    layout = {"image": "{scan:[a-z]}.nii", "label": "{scan}_seg.nii", "modalities": ()}
    return NiftiDataset(**brats(**{**layout, **changes}))


def masks(classes: tuple[str, ...], *each: Any, labels: Any = None) -> Masks:
    array = np.array(each, bool).reshape(len(each), 1, 2, 2).swapaxes(2, 3).reshape(len(each), 2, 2, 1)
    return Masks("a", "a", classes, ("a_1", "a_2"), array, labels)


def written(folder: Path, changes: dict[str, Any], result: Masks) -> Any:
    """What `write` wrote, in the order of the voxels of LABELS."""
    raw = RawScan("a", "a", (save(folder / "a.nii", LABELS.astype(np.int16)),), False)
    path = nifti.write(config(**changes), folder, raw, result, folder / "out")
    assert path == folder / "out" / nifti.result_name(config(), raw) == folder / "out" / "a.nii.gz"
    return np.asanyarray(nib.load(path).dataobj).ravel()


def test_a_class_is_all_its_values(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", LABELS.astype(np.int16))
    save(tmp_path / "a_seg.nii", LABELS)
    (raw,) = nifti.find(config(), tmp_path, "train")
    scan = nifti.load(config(), raw)
    assert scan.classes == ("whole", "core", "enhancing")
    found = scan.class_masks().transpose(0, 3, 2, 1).reshape(3, 4)
    np.testing.assert_array_equal(found, [WHOLE, CORE, ENHANCING])
    assert nifti.stored_bytes(config(), raw) == 4 * 2 + 4 * 1


def test_later_classes_are_painted_over_earlier_ones(tmp_path: Path) -> None:
    result = masks(("whole", "core", "enhancing"), WHOLE, CORE, ENHANCING)
    np.testing.assert_array_equal(written(tmp_path, {}, result), [0, 1, 2, 4])
    shuffled = masks(("enhancing", "whole", "core"), ENHANCING, WHOLE, CORE)
    np.testing.assert_array_equal(written(tmp_path, {}, shuffled), [0, 1, 2, 4])
    numbers = {"written": {"whole": 2, "core": 1, "enhancing": 300}}
    wide = written(tmp_path, numbers, result)
    assert wide.dtype == np.uint16
    np.testing.assert_array_equal(wide, [0, 1, 2, 300])
    outside = masks(("whole", "core", "enhancing"), ~WHOLE, CORE, ENHANCING)
    np.testing.assert_array_equal(written(tmp_path, {}, outside), [2, 1, 0, 4])


def test_exclusive_classes_are_written_from_their_label_map(tmp_path: Path) -> None:
    groups = {"classes": ["oedema", "core"], "labels": {"oedema": [2], "core": [4, 1]}}
    index = np.array([[[2], [0]], [[1], [2]]], np.uint8)  # (z, y, x)
    result = masks(("core", "oedema"), WHOLE, WHOLE, labels=index)
    np.testing.assert_array_equal(written(tmp_path, groups, result), [2, 4, 0, 2])
    np.testing.assert_array_equal(written(tmp_path, groups, masks(("oedema", "core"), WHOLE, CORE)), [0, 4, 2, 4])


def test_masks_of_other_classes_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scan a has masks of \['whole'\], the config of \['whole', 'core'"):
        written(tmp_path, {}, masks(("whole",), WHOLE))


@pytest.mark.parametrize("changes", [{}, {"written": {"whole": 2, "core": 7, "enhancing": 8}}])
def test_what_is_written_reads_back(tmp_path: Path, changes: dict[str, Any]) -> None:
    result = masks(("whole", "core", "enhancing"), WHOLE, CORE, ENHANCING)
    written(tmp_path, changes, result)
    found = table.read_masks(config(**changes), tmp_path, tmp_path / "out" / "a.nii.gz")
    np.testing.assert_array_equal(found, result.masks)
    truth = table.read_masks(config(**changes), tmp_path, save(tmp_path / "truth.nii", LABELS))
    np.testing.assert_array_equal(truth, result.masks)


def test_values_that_no_class_has_are_refused_told_or_background(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", LABELS.astype(np.int16))
    path = save(tmp_path / "a_seg.nii", LABELS + (LABELS == 0) * np.uint8(3))
    (raw,) = nifti.find(config(), tmp_path, "train")
    with pytest.raises(DataError, match=r"a_seg\.nii holds the values \[3\], but .* know only \[0, 1, 2, 4\]"):
        nifti.load(config(), raw)
    with pytest.raises(DataError, match=r"a_seg\.nii holds the values \[3\]; wanted a label map of \[0, 1, 2, 4\]"):
        nifti.read_masks(config(), tmp_path, path)
    faults: list[tuple[str, ...]] = []
    scan = nifti.load(config(), raw, report=lambda *fault: faults.append(fault))
    assert [fault[:2] for fault in faults] == [("label value", "a")]
    lenient = config(other_values="background")
    (other,) = nifti.find(lenient, tmp_path, "train")
    for found in (scan, nifti.load(lenient, other)):
        np.testing.assert_array_equal(found.class_masks()[0].transpose(2, 1, 0).ravel(), WHOLE)
    assert nifti.read_masks(lenient, tmp_path, path).sum(axis=(1, 2, 3)).tolist() == [3, 2, 1]


def test_a_label_of_several_volumes_or_on_another_grid_is_told_and_left_out(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", LABELS.astype(np.int16))
    for array, told in ((LABELS[..., :1], "another grid"), (np.stack([LABELS] * 2, -1), "but holds 2 volumes")):
        path = save(tmp_path / "a_seg.nii", array)
        (raw,) = nifti.find(config(), tmp_path, "train")
        with pytest.raises(DataError, match=f"scan a: the label can't be laid on its image: .*a_seg.nii .*{told}"):
            nifti.load(config(), raw)
        assert nifti.load(config(), raw, report=lambda *_: None).masks is None
    with pytest.raises(DataError, match=r"a_seg\.nii should be one label map, but holds 2 volumes"):
        nifti.read_masks(config(), tmp_path, path)


def test_groups_go_with_a_dataset_json_too(tmp_path: Path) -> None:
    labels = {"0": "background", "1": "oedema", "2": "core", "4": "enhancing"}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "training": []}))
    decathlon = {"reader": "nifti", "root": "x"}
    grouped = NiftiDataset(**decathlon, classes=("all", "core"), labels={"all": (1, 2), "core": (2,)})
    by_name = NiftiDataset(**decathlon, classes=("enhancing", "core"))
    assert not table.exclusive(grouped, tmp_path) and table.exclusive(by_name, tmp_path)
    path = save(tmp_path / "map.nii", LABELS)
    assert nifti.read_masks(grouped, tmp_path, path).sum(axis=(1, 2, 3)).tolist() == [2, 1]
    assert nifti.read_masks(by_name, tmp_path, path).sum(axis=(1, 2, 3)).tolist() == [1, 1]
    clash = NiftiDataset(**decathlon, classes=("enhancing", "core"), written={"enhancing": 2, "core": 3})
    with pytest.raises(ConfigError, match="the data set's config: written: 2 for class enhancing already says core"):
        nifti.read_masks(clash, tmp_path, path)
