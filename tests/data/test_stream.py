"""Training straight from DICOM: what the items hold, which files they open, and that every worker gives its share."""

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from casefold.core import ConfigError, DataError
from casefold.data.stream import DicomPatches, DicomSlices, DicomStream
from casefold.readers.dicom import pixels as dicom_pixels
from toy_dicom import HU, STORED, header, save, uid, write_multiframe, write_series

NAME = "p1_20200102_3"
AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
LABELS = (np.arange(STORED.size) % 3).astype(np.uint8).reshape(STORED.shape)
MASKS: dict[str, Any] = {
    "classes": ("one", "two"),
    "masks": {"kind": "nifti", "pattern": "labels/{scan}.nii"},
}


def save_labels(root: Path) -> None:
    (root / "labels").mkdir()
    nib.save(nib.Nifti1Image(LABELS.transpose(), AFFINE), root / "labels" / f"{NAME}.nii")


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose pixels are read from now on."""
    names: list[str] = []
    real = dicom_pixels.iter_pixels

    def spy(source: Path, **options: Any) -> Any:
        names.append(source.name)
        return real(source, **options)

    monkeypatch.setattr(dicom_pixels, "iter_pixels", spy)
    return names


def test_a_slice_has_its_neighbours_as_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path)
    slices, names = DicomSlices(tmp_path, offsets=(-1, 0, 1)), opened(monkeypatch)
    assert len(slices) == 4
    item = slices[1]
    assert item["name"] == f"{NAME}/1" and item["image"].dtype == torch.float32 and "maps" not in item
    np.testing.assert_array_equal(item["image"], HU[[0, 1, 2]])
    assert names == ["a0.dcm", "a1.dcm", "a2.dcm"]
    np.testing.assert_array_equal(slices[3]["image"], HU[[2, 3, 3]])  # past the end the last slice stands again
    assert names[3:] == ["a2.dcm", "a3.dcm"]
    with pytest.raises(IndexError, match="item 4 of 4"):
        slices[4]


def test_a_window_becomes_0_to_1(tmp_path: Path) -> None:
    pixels = np.array([[-200, -100, -50, 0, 100]], np.int16)
    save(tmp_path / "a.dcm", header(RescaleIntercept=0), pixels)
    image = DicomSlices(str(tmp_path), window=(0, 200))[0]["image"]
    np.testing.assert_array_equal(image, [[[0, 0, 0.25, 0.5, 1]]])
    with pytest.raises(ConfigError, match=r"with a width above 0, not \(0, 0\)"):
        DicomSlices(tmp_path, window=(0, 0))


def test_slices_of_labelled_series_have_maps(tmp_path: Path) -> None:
    write_series(tmp_path, "a")
    write_series(tmp_path, "b", SeriesNumber=4)  # without a label, so it is left out
    save_labels(tmp_path)
    slices = DicomSlices(tmp_path, **MASKS)
    assert len(slices) == 4
    np.testing.assert_array_equal(slices[2]["maps"], [LABELS[2] == 1, LABELS[2] == 2])
    assert slices[2]["maps"].dtype == torch.float32


def test_only_the_frames_that_are_needed_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_multiframe(tmp_path / "m.dcm", order=(2, 0, 3, 1))
    slices = DicomSlices(tmp_path, offsets=(0, 1))
    asked: list[list[int]] = []
    real = dicom_pixels.iter_pixels

    def spy(source: Path, *, indices: list[int], **options: Any) -> Any:
        asked.append(indices)
        return real(source, indices=indices, **options)

    monkeypatch.setattr(dicom_pixels, "iter_pixels", spy)
    np.testing.assert_array_equal(slices[0]["image"], HU[[0, 1]])
    assert asked == [[1, 3]]  # slice 0 is the second frame of the file, slice 1 the fourth


def test_a_patch_is_a_piece_of_the_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path)
    save_labels(tmp_path)
    patches, names = DicomPatches(tmp_path, (2, 2, 3), per_scan=5, **MASKS), opened(monkeypatch)
    assert len(patches) == 5
    corners = set()
    for index in range(5):
        names.clear()
        item = patches[0, index]
        z, y, x = (int(place) for place in item["name"].removeprefix(f"{NAME}/").strip("[]").split(", "))
        corners.add((z, y, x))
        np.testing.assert_array_equal(item["image"], HU[None, z : z + 2, y : y + 2, x : x + 3])
        labels = LABELS[z : z + 2, y : y + 2, x : x + 3]
        np.testing.assert_array_equal(item["maps"], [labels == 1, labels == 2])
        assert names == [f"a{z}.dcm", f"a{z + 1}.dcm"]
    assert len(corners) > 1
    assert patches[3]["name"] == patches[0, 3]["name"]
    assert [patches[1, index]["name"] for index in range(5)] != [patches[0, index]["name"] for index in range(5)]


def test_a_patch_larger_than_the_series_is_filled_up(tmp_path: Path) -> None:
    write_series(tmp_path)
    save_labels(tmp_path)
    item = DicomPatches(tmp_path, (6, 3, 7), **MASKS)[0]
    assert item["image"].shape == (1, 6, 3, 7) and item["maps"].shape == (2, 6, 3, 7)
    np.testing.assert_array_equal(item["image"][0, :4, :, :5], HU)
    assert (item["image"][0, 4:] == -1024).all() and (item["image"][0, :, :, 5:] == -1024).all()
    assert item["maps"][:, :4, :, :5].any() and not item["maps"][:, 4:].any() and not item["maps"][..., 5:].any()


def five_series(root: Path) -> None:
    for number, series in enumerate("abcde"):
        write_series(root / series, series, SeriesNumber=number)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_workers_share_the_series_and_give_each_item_once(tmp_path: Path, workers: int) -> None:
    five_series(tmp_path)
    stream = DicomStream(DicomSlices(tmp_path), seed=3)
    batches = list(DataLoader(stream, batch_size=3, num_workers=workers))
    names = [name for batch in batches for name in batch["name"]]
    assert sorted(names) == sorted(f"p1_20200102_{number}/{z}" for number in range(5) for z in range(4))
    assert names != sorted(names) and batches[0]["image"].shape == (3, 1, 3, 5)


def test_a_pass_is_drawn_from_seed_and_epoch_alone(tmp_path: Path) -> None:
    five_series(tmp_path)
    slices = DicomSlices(tmp_path)

    def names(seed: int, epoch: int) -> list[str]:
        stream = DicomStream(slices, seed)
        stream.epoch = epoch
        return [item["name"] for item in stream]

    assert names(1, 2) == names(1, 2)
    assert names(1, 2) != names(1, 3)
    assert names(1, 2) != names(2, 2)


def test_an_epoch_reaches_workers_that_are_running(tmp_path: Path) -> None:
    five_series(tmp_path)
    stream = DicomStream(DicomPatches(tmp_path, (1, 2, 2), per_scan=2))
    loader = DataLoader(stream, batch_size=None, num_workers=1, persistent_workers=True)
    passes = []
    for epoch in (0, 1, 0):
        stream.epoch = epoch
        passes.append([item["name"] for item in loader])
    assert passes[0] == passes[2] != passes[1]


def test_ranks_have_different_series(tmp_path: Path) -> None:
    five_series(tmp_path)
    slices = DicomSlices(tmp_path)
    shares = [{item["name"].split("/")[0] for item in DicomStream(slices, rank=rank, ranks=2)} for rank in (0, 1)]
    assert [len(share) for share in shares] == [3, 2] and not shares[0] & shares[1]


def test_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no DICOM series below"):
        DicomSlices(tmp_path)
    write_series(tmp_path)
    with pytest.raises(DataError, match=r"none of the 1 scans below"):
        DicomSlices(tmp_path, **MASKS)
    save(tmp_path / "echo.dcm", header(z=1, InstanceNumber=9, SOPInstanceUID=uid("echo")), STORED[1] + 1)
    with pytest.raises(DataError, match=r"a1\.dcm and echo\.dcm lie at the same place and differ"):
        DicomSlices(tmp_path)
    os.truncate(tmp_path / "a2.dcm", (tmp_path / "a2.dcm").stat().st_size - 4)
    (tmp_path / "echo.dcm").unlink()
    with pytest.raises(DataError, match=r"a2\.dcm: its pixels can't be decoded"):
        DicomSlices(tmp_path)[2]
