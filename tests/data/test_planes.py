"""What training shows of other planes and of crops: which slices there are, which are empty, and their masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import toy
from casefold.config.inputs import SliceData, VolumeData
from casefold.config.sampling import PatchSampler
from casefold.core import DataError, Grid
from casefold.data.patches import PatchDataset
from casefold.data.slices import SliceDataset, fit_planes, slice_input, slice_window, square_size, to_grid
from casefold.store import Store
from casefold.views import Box, crop_scan, view_scan
from toy_members import ramp_scan

NAME = "case10_day3"  # 6 x 28 x 36
CROP = {"name": "body"}
BOX = Box((0, 6), (4, 20), (12, 30))
MASKS = toy.draw(toy.SCANS[3])[1]


def test_coronal_slices_are_counted_and_drawn_along_y(toy_store: Store) -> None:
    data = SliceData(window=(-1, 0, 1), plane="coronal", size=(6, 36))
    items = SliceDataset(toy_store, [NAME], data, "none", seed=0)
    assert items.items == [(NAME, y) for y in range(28)] and items.cases == ["case10"] * 28
    assert items.positive.tolist() == MASKS.any((0, 1, 3)).tolist()
    y = int(np.flatnonzero(items.positive)[3])
    item = items[0, y]
    assert item["name"] == f"{NAME}/coronal {y}" and item["image"].shape == (3, 6, 36)
    np.testing.assert_array_equal(item["maps"], MASKS[:, :, y])
    assert item["presence"].tolist() == MASKS[:, :, y].any((1, 2)).tolist()
    scan = toy_store.scan(NAME)
    one = SliceData(window=(0,), size=(28, 36), fit="pad")
    rows = [torch.stack([slice_input(scan, z, one)[0, at] for z in range(6)]) for at in (y - 1, y, y + 1)]
    assert torch.equal(item["image"], torch.stack(rows))


def test_sagittal_slices_are_as_wide_as_y(toy_store: Store) -> None:
    items = SliceDataset(toy_store, [NAME], SliceData(plane="sagittal", size=(6, 28)), "none", seed=0)
    assert items.positive.tolist() == MASKS.any((0, 1, 2)).tolist()
    for x in (5, 11, 19, 24):
        np.testing.assert_array_equal(items[0, x]["maps"], MASKS[..., x])


def test_what_a_crop_cuts_off_is_neither_shown_nor_counted(toy_store: Store) -> None:
    data = SliceData(crop=CROP, size=(16, 18), fit="pad")  # type: ignore[arg-type]
    items = SliceDataset(toy_store, [NAME], data, "none", seed=0, boxes={NAME: BOX})
    inside = MASKS[:, :, 4:20, 12:30]
    for z in range(6):
        np.testing.assert_array_equal(items[0, z]["maps"], inside[:, z])
        whole = slice_window(toy_store.scan(NAME), z, SliceData(size=(28, 36), fit="pad"))
        seen = slice_window(crop_scan(toy_store.scan(NAME), BOX), z, data)
        np.testing.assert_array_equal(seen, whole[:, 4:20, 12:30])
    corner = {NAME: Box((0, 6), (0, 16), (20, 36))}  # `left` ends at column 17, `right` at 24
    apart = SliceDataset(toy_store, [NAME], data.model_copy(update={"size": (16, 16)}), "none", seed=0, boxes=corner)
    assert apart.positive.tolist() == [False, False, False, True, True, False]


def test_a_crop_comes_before_the_plane(toy_store: Store) -> None:
    data = SliceData(crop=CROP, plane="sagittal", size=(6, 16))  # type: ignore[arg-type]
    items = SliceDataset(toy_store, [NAME], data, "none", seed=0, boxes={NAME: BOX})
    assert len(items) == 18
    np.testing.assert_array_equal(items[0, 7]["maps"], MASKS[:, :, 4:20, 12 + 7])


def test_patches_are_drawn_from_the_crop(toy_store: Store) -> None:
    data = VolumeData(patch=(6, 16, 18), crop=CROP)  # type: ignore[arg-type]
    items = PatchDataset(toy_store, [NAME], data, PatchSampler(), "none", 0, boxes={NAME: BOX})
    for epoch in range(3):
        np.testing.assert_array_equal(items[epoch, 0]["maps"], MASKS[:, :, 4:20, 12:30])


@pytest.mark.parametrize("patches", [False, True], ids=["slices", "patches"])
def test_a_scan_without_its_box_is_not_read_whole(toy_store: Store, patches: bool) -> None:
    with pytest.raises(
        DataError, match=r"data\.crop body cuts every scan to its box, but none is given for \['case10_d"
    ):
        if patches:
            PatchDataset(toy_store, [NAME], VolumeData(patch=(1, 1, 1), crop=CROP), PatchSampler(), "none", 0)  # type: ignore[arg-type]
        else:
            SliceDataset(toy_store, [NAME], SliceData(crop=CROP), "none", seed=0)  # type: ignore[arg-type]


def test_an_unlabelled_scan_has_no_coronal_slices_to_train(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy_store, "_open", {NAME: replace(toy_store.scan(NAME), masks=None)})
    with pytest.raises(DataError, match="scan case10_day3 has no labels, so it can't train"):
        SliceDataset(toy_store, [NAME], SliceData(plane="coronal"), "none", seed=0)


@pytest.mark.parametrize(
    ("shape", "spacing", "size", "answer"),
    [
        ((4, 6), (9, 2, 1), (8, 8), (8, 6)),  # 8 x 6 mm: a pixel a mm
        ((4, 6), (9, 1, 2), (8, 8), (3, 8)),  # 4 x 12 mm in 8 pixels: 2.67
        ((4, 6), (9, 1, 1), (8, 30), (8, 12)),
        ((144, 266), (9, 3, 1.5), (288, 266), (288, 266)),  # 432 x 399 mm
        ((1, 500), (9, 1, 1), (32, 32), (1, 32)),
    ],
)
def test_square_pixels_by_hand(
    shape: tuple[int, int], spacing: tuple[float, float, float], size: tuple[int, int], answer: tuple[int, int]
) -> None:
    assert square_size(SliceData(size=size, fit="square"), shape, "a", spacing) == answer


def test_a_slice_with_square_pixels_is_padded_and_comes_back_to_the_grid() -> None:
    data, spacing = SliceData(size=(8, 8), fit="square"), (9.0, 2.0, 1.0)
    ramp = torch.arange(6.0).expand(1, 4, 6)
    fitted = fit_planes(ramp, data, "a", spacing)
    assert fitted.shape == (1, 8, 8)
    assert torch.equal(fitted[:, :, :6], torch.arange(6.0).expand(1, 8, 6)) and not fitted[:, :, 6:].any()
    back = to_grid(fitted[None] / 8, data, (4, 6), "a", spacing)[0]
    np.testing.assert_allclose(back, ramp / 8, atol=1e-6)


def test_square_pixels_want_a_spacing() -> None:
    data = SliceData(plane="coronal", size=(8, 8), fit="square")
    message = r"case1_day0: data\.fit square wants a known spacing, which is missing; write data\.fit: resize"
    scan = ramp_scan((2, 4, 8))
    with pytest.raises(DataError, match=message):
        slice_input(scan, 0, data)
    known = view_scan(replace(scan, grid=Grid((2, 4, 8), (4.0, 1.0, 1.0))), Box((0, 2), (0, 4), (0, 8)), "coronal")
    assert slice_input(known, 0, data).shape == (3, 8, 8)
