"""Every fault that names and headers tell: the first ends the reading, or each is told and sound scans are found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casefold.config.datasets import NiftiDataset
from casefold.core import DataError
from casefold.readers import nifti
from toy_nifti import MODALITIES, brats, save, tilted, write_brain


def config(**changes: Any) -> NiftiDataset:
    return NiftiDataset(**brats(**changes))


def told(root: Path, part: Any = "train", **changes: Any) -> tuple[list[tuple[str, str, str]], list[str]]:
    """The faults that `find` reports, and the scans that it finds all the same."""
    faults: list[tuple[str, str, str]] = []
    raws = nifti.find(config(**changes), root, part, report=lambda *fault: faults.append(fault))
    return faults, [raw.name for raw in raws]


def test_every_fault_is_told_and_the_sound_scans_are_found(tmp_path: Path) -> None:
    train = tmp_path / "train"
    for seed, name in enumerate(("a", "b", "c", "d", "e", "f", "g")):
        write_brain(train, name, seed)
    (train / "b" / "b_t1ce.nii.gz").unlink()
    (train / "c" / "c_seg.nii.gz").unlink()
    for modality in MODALITIES:
        (train / "d" / f"d_{modality}.nii.gz").unlink()
    (train / "e" / "e_t2.nii.gz").write_bytes(b"no gzip")
    save(train / "f" / "f_flair.nii.gz", np.zeros((20, 22, 17), np.int16))
    faults, names = told(tmp_path)
    assert names == ["a", "c", "g"]
    assert [(kind, where) for kind, where, _ in faults] == [
        ("missing modality", "b"),
        ("image without label", "c"),
        ("label without image", "d"),
        ("unreadable", "e"),
        ("size", "f"),
    ]
    messages = [message for _, _, message in faults]
    assert messages[0].startswith("scan b lacks t1ce; add the file, or let `missing_modality` drop the scan")
    assert "c_t1.nii.gz is an image without label; add it, or name c in drop_scans" in messages[1]
    assert "d_seg.nii.gz is a label without image" in messages[2]
    assert "e_t2.nii.gz can't be read as NIfTI" in messages[3]
    assert "f_flair.nii.gz lies on another grid than f_t1.nii.gz: shape (20, 22, 17) for (20, 22, 18)" in messages[4]
    with pytest.raises(DataError, match="scan b lacks t1ce"):
        nifti.find(config(), tmp_path, "train")
    sound = config(drop_scans=("b", "c", "d", "e", "f"))
    assert nifti.dropped(sound, tmp_path) == {"b": 18, "c": 18, "d": 0, "e": 18, "f": 18}
    assert [raw.name for raw in nifti.find(sound, tmp_path, "train")] == ["a", "g"]


def test_files_that_stand_twice_are_told(tmp_path: Path) -> None:
    ends = {"image": "{case}/{scan}_{modality}.nii*", "label": "{case}/{scan}_seg*.nii*", "modalities": ("t1",)}
    volume = np.zeros((2, 3, 4), np.uint8)
    for path in ("p/a_t1.nii", "p/a_t1.nii.gz", "p/a_seg.nii", "p/b_t1.nii", "p/b_seg.nii", "p/b_seg2.nii"):
        save(tmp_path / path, volume)
    for path in ("q/c_t1.nii", "q/c_seg.nii", "r/c_t1.nii", "r/c_seg.nii"):
        save(tmp_path / path, volume)
    faults, names = told(tmp_path, **ends)
    assert [(kind, where) for kind, where, _ in faults] == [("name", "a"), ("doubled label", "b"), ("name", "c")]
    assert "scan a has an image twice among" in faults[0][2] and "a_t1.nii.gz; remove one" in faults[0][2]
    assert "scan b has several labels," in faults[1][2] and "b_seg2.nii; keep one" in faults[1][2]
    assert "q/c_t1.nii and " in faults[2][2] and "r/c_t1.nii; a scan's name is its own" in faults[2][2]
    assert names == ["c"]


def test_modalities_of_one_scan_lie_on_one_grid(tmp_path: Path) -> None:
    write_brain(tmp_path / "train", "a", 0)
    path = tmp_path / "train" / "a" / "a_t2.nii.gz"
    raw = nifti.find(config(), tmp_path, "train")[0]
    save(path, np.zeros((20, 22, 18), np.int16), tilted(0.1))
    with pytest.raises(DataError, match=r"scan a: .*a_t2\.nii\.gz lies on another grid than a_t1\.nii\.gz"):
        nifti.load(config(), raw)
    save(path, np.zeros((20, 22, 18, 2), np.int16))
    with pytest.raises(DataError, match=r"a_t2\.nii\.gz holds 2 volumes, but the config has one modality a file"):
        nifti.load(config(), raw)


def test_a_scan_that_lacks_a_modality_is_dropped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_brain(tmp_path / "train", "a", 0)
    for part in ("train", "test"):
        write_brain(tmp_path / part, "b", 1, modalities=("t1", "t2"))
    assert told(tmp_path, missing_modality="drop") == ([], ["a"])
    assert "scan b is left out: it lacks t1ce, flair" in caplog.text
    assert told(tmp_path, "test", missing_modality="drop") == ([], [])
    ((kind, where, _),) = told(tmp_path, "test")[0]
    assert (kind, where) == ("missing modality", "b")


def test_a_missing_modality_is_filled_by_the_rule(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for value, name in ((3, "t1"), (8, "flair")):
        save(tmp_path / "train" / "a" / f"a_{name}.nii.gz", np.full((2, 3, 4), value, np.int16))
    for rule, wanted, kind in (("zeros", [3, 0, 0, 8], np.int16), ("mean", [3, 5.5, 5.5, 8], np.float32)):
        filling = config(missing_modality=rule, label=None)
        (raw,) = nifti.find(filling, tmp_path, "train")
        image = nifti.load(filling, raw).image
        assert image.dtype == kind and image.shape == (4, 4, 3, 2)
        np.testing.assert_array_equal(image, np.broadcast_to(np.reshape(wanted, (4, 1, 1, 1)), image.shape))
        assert f"scan a lacks t1ce, t2: filled in {rule}" in caplog.text
        assert nifti.stored_bytes(filling, raw) == image.nbytes
