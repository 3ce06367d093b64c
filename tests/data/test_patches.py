"""Patches: where they are cut, on which grid, and that epoch and index alone decide."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import toy
from casefold.config.inputs import VolumeData
from casefold.config.sampling import PatchSampler, Ramp
from casefold.core import DataError, Grid, pack_masks
from casefold.data.patches import (
    PatchDataset,
    _as_numbers,
    _from_numbers,
    cut,
    finish_volume,
    network_shape,
    pad,
    resample,
    unit_volume,
)
from casefold.store import Store

SCAN = "case10_day3"  # 6 x 28 x 36; `left` on slices 1..3, `right` on 3..4
LOOSE = PatchSampler(positive_share=0.0)


def patches(store: Store, sampler: PatchSampler = LOOSE, augment: str = "none", **data: Any) -> PatchDataset:
    return PatchDataset(store, [SCAN], VolumeData(**{"patch": (4, 16, 16), **data}), sampler, augment, seed=3)


def corner_of(item: dict[str, Any]) -> list[int]:
    name, _, corner = item["name"].partition("/")
    assert name == SCAN
    return [int(part) for part in corner.strip("[]").split(",")]


def test_a_patch_is_what_stands_at_its_corner(toy_store: Store) -> None:
    data = VolumeData(patch=(4, 16, 16))
    scan = toy_store.scan(SCAN)
    whole = finish_volume(unit_volume(scan, data), scan, data)
    corners = []
    for epoch in range(40):
        item = patches(toy_store)[epoch, 0]
        corner = z, y, x = corner_of(item)
        corners.append(corner)
        here = slice(z, z + 4), slice(y, y + 16), slice(x, x + 16)
        assert torch.equal(item["image"], whole[(slice(None), *here)])
        np.testing.assert_array_equal(item["maps"], scan.class_masks()[(slice(None), *here)])
        assert item["keep"].shape == (1, 4, 16, 16) and item["keep"].min() == 1
    assert np.min(corners, axis=0).tolist() == [0, 0, 0]
    assert np.max(corners, axis=0)[0] == 2
    assert (np.max(corners, axis=0) <= [2, 12, 20]).all()


def test_types_and_length(toy_store: Store) -> None:
    items = PatchDataset(
        toy_store, [SCAN, "case31_day4"], VolumeData(patch=(4, 16, 16)), PatchSampler(per_scan=3), "none", seed=0
    )
    assert len(items) == 6
    assert [items[0, index]["name"].split("/")[0] for index in range(6)] == [SCAN] * 3 + ["case31_day4"] * 3
    item = items[0, 0]
    assert all(item[key].dtype == torch.float32 for key in ("image", "maps", "keep"))
    assert (item["image"].shape, item["maps"].shape) == ((1, 4, 16, 16), (2, 4, 16, 16))


def test_a_scan_smaller_than_the_patch_is_padded_at_the_far_ends(toy_store: Store) -> None:
    item = patches(toy_store, patch=(8, 32, 16))[0, 0]
    _, _, x = corner_of(item)
    assert item["image"].shape == (1, 8, 32, 16)
    assert item["image"][:, 6:].unique().tolist() == item["image"][:, :, 28:].unique().tolist() == [-1.0]
    assert item["maps"][:, 6:].sum() == item["maps"][:, :, 28:].sum() == 0
    masks = toy.draw(toy.SCANS[3])[1]
    np.testing.assert_array_equal(item["maps"][:, :6, :28], masks[..., x : x + 16])


def test_without_a_patch_the_scan_is_whole(toy_store: Store) -> None:
    item = patches(toy_store, patch=None)[0, 0]
    assert item["name"] == f"{SCAN}/[0, 0, 0]"
    np.testing.assert_array_equal(item["maps"], toy.draw(toy.SCANS[3])[1])


@pytest.mark.parametrize("patch", [(1, 1, 1), (2, 4, 4), (4, 16, 16), (6, 28, 36), (8, 8, 40)])
def test_a_positive_patch_holds_a_class(toy_store: Store, patch: tuple[int, int, int]) -> None:
    items = patches(toy_store, PatchSampler(positive_share=1.0), patch=patch)
    drawn = [items[epoch, 0]["maps"] for epoch in range(30)]
    assert all(maps.sum() > 0 for maps in drawn)
    classes = np.array([maps.flatten(1).any(1).tolist() for maps in drawn])
    assert classes.any(axis=0).tolist() == [True, True]  # each class is drawn in its turn


def test_the_share_of_positive_patches(toy_store: Store) -> None:
    """Patches of one voxel hold a class by chance in 8 % of draws: 501 of 6048 voxels, less the overlap."""
    items = patches(toy_store, PatchSampler(positive_share=0.5), patch=(1, 1, 1))
    share = np.mean([items[epoch, 0]["maps"].any() for epoch in range(400)])
    assert abs(share - 0.54) < 0.06


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, (6, 28, 36)),
        ({"zoom": (1.0, 0.5, 0.5)}, (6, 14, 18)),
        ({"zoom": (2.0, 1.0, 0.01)}, (12, 28, 1)),
        ({"spacing_mm": (3.0, 2.5, 3.0)}, (6, 14, 18)),  # the scan has 3, 1.25, 1.5
        ({"spacing_mm": (1.5, 1.25, 1.0)}, (12, 28, 54)),
    ],
)
def test_the_networks_grid(toy_store: Store, fields: dict[str, Any], shape: tuple[int, int, int]) -> None:
    scan, data = toy_store.scan(SCAN), VolumeData(**fields)
    assert network_shape(scan.grid, data) == shape
    assert unit_volume(scan, data).shape == (1, *shape)


def test_a_zoomed_patch_has_masks_on_the_same_grid(toy_store: Store) -> None:
    item = patches(toy_store, patch=None, zoom=(1.0, 0.5, 0.5))[0, 0]
    assert item["maps"].shape == (2, 6, 14, 18) and set(item["maps"].unique().tolist()) == {0.0, 1.0}
    volumes = item["maps"].sum((1, 2, 3)) * 4
    np.testing.assert_allclose(volumes, [3 * 113, 2 * 81], rtol=0.1)
    inside = item["image"][0][item["maps"][1] == 1]
    assert inside.mean() > item["image"].mean() + 0.5


def test_spacing_in_mm_wants_a_known_spacing() -> None:
    message = r"data\.spacing_mm wants a known spacing, and this scan has none; use data\.zoom \(voxels\)"
    with pytest.raises(DataError, match=message):
        network_shape(Grid((6, 28, 36)), VolumeData(spacing_mm=(3.0, 1.0, 1.0)))
    assert network_shape(Grid((6, 28, 36)), VolumeData(zoom=(1.0, 0.5, 0.5))) == (6, 14, 18)


def test_resampling_is_linear_and_leaves_the_same_shape_alone() -> None:
    volume = torch.arange(4.0).reshape(1, 1, 1, 4)
    assert resample(volume, (1, 1, 4)) is volume
    assert resample(volume, (1, 1, 2)).flatten().tolist() == [0.5, 2.5]
    assert resample(volume, (1, 1, 8)).flatten().tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


@pytest.mark.parametrize("zoom", [(1.0, 0.5, 0.75), (0.7, 1.0, 1.0)])
def test_a_scan_is_resampled_in_pieces_as_at_once(
    toy_store: Store, monkeypatch: pytest.MonkeyPatch, zoom: tuple[float, float, float]
) -> None:
    scan, data = toy_store.scan(SCAN), VolumeData(patch=None, zoom=zoom)
    whole = PatchDataset(toy_store, [SCAN], data, LOOSE, "none", 0)[0, 0]
    monkeypatch.setattr("casefold.data.patches.PIECE", 4)  # of 6 slices
    pieces = PatchDataset(toy_store, [SCAN], data, LOOSE, "none", 0)[0, 0]
    assert torch.equal(whole["image"], finish_volume(unit_volume(scan, data), scan, data))
    assert all(torch.equal(whole[key], pieces[key]) for key in ("image", "maps", "keep"))


def test_a_cut_stops_with_the_volume_and_is_padded_at_the_far_ends() -> None:
    volume = np.arange(1.0, 25, dtype=np.float32).reshape(1, 2, 3, 4)
    piece = cut(volume, [1, 1, 2], (2, 2, 2))
    assert piece.tolist() == [[[[19.0, 20.0], [23.0, 24.0]]]]
    padded = pad(torch.from_numpy(piece), (2, 2, 3))
    assert padded.tolist() == [[[[19.0, 20.0, 0.0], [23.0, 24.0, 0.0]], [[0.0] * 3, [0.0] * 3]]]
    whole = torch.from_numpy(cut(volume, [0, 0, 0], (2, 3, 4)))
    assert pad(whole, (2, 3, 4)) is whole


@pytest.mark.parametrize("augment", ["none", "heavy"])
def test_epoch_and_index_alone_decide(toy_store: Store, augment: str) -> None:
    sampler = PatchSampler(per_scan=4, positive_share=0.5)
    keys = [(epoch, index) for epoch in range(2) for index in range(4)]
    first, second = (patches(toy_store, sampler, augment) for _ in range(2))
    there = {key: first[key] for key in keys}
    back = {key: second[key] for key in reversed(keys)}
    for key in keys:
        assert there[key]["name"] == back[key]["name"]
        assert torch.equal(there[key]["image"], back[key]["image"])
        assert torch.equal(there[key]["maps"], back[key]["maps"])
    images: list[Tensor] = [item["image"] for item in there.values()]
    assert all(not torch.equal(a, b) for n, a in enumerate(images) for b in images[:n])
    other = PatchDataset(toy_store, [SCAN], VolumeData(patch=(4, 16, 16)), sampler, augment, seed=4)
    assert [other[key]["name"] for key in keys] != [item["name"] for item in there.values()]


def test_ignored_voxels_are_not_kept(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = toy_store.scan(SCAN)
    ignore = np.zeros(scan.grid.shape, bool)
    ignore[2, :, :18] = True
    monkeypatch.setattr(toy_store, "_open", {SCAN: replace(scan, ignore=ignore)})
    keep = patches(toy_store, patch=None)[0, 0]["keep"]
    np.testing.assert_array_equal(keep[0], ~ignore)
    assert patches(toy_store, patch=None, zoom=(1.0, 0.5, 0.5))[0, 0]["keep"].sum() == 6 * 14 * 18 - 14 * 9


def test_an_unlabelled_scan_can_not_train(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy_store, "_open", {SCAN: replace(toy_store.scan(SCAN), masks=None)})
    with pytest.raises(DataError, match=f"scan {SCAN} has no labels"):
        patches(toy_store)[0, 0]


@pytest.mark.parametrize("zoom", [None, (1.0, 0.5, 0.75)])
@pytest.mark.parametrize("augment", ["none", "heavy"])
def test_the_cache_changes_no_item(
    toy_store: Store, monkeypatch: pytest.MonkeyPatch, augment: str, zoom: tuple[float, float, float] | None
) -> None:
    scan = toy_store.scan(SCAN)
    ignore = np.zeros(scan.grid.shape, bool)
    ignore[2, :, :18] = True
    monkeypatch.setattr(toy_store, "_open", {SCAN: replace(scan, ignore=ignore)})
    names, data = [SCAN, "case2_day0", "case11_day2"], VolumeData(patch=(4, 8, 16), zoom=zoom)
    budgets = (0, 8000, 1 << 30)  # nothing, one scan of 6 x 14 x 27 voxels alone, everything
    sets = [PatchDataset(toy_store, names, data, PatchSampler(per_scan=2), augment, 0, budget) for budget in budgets]
    for epoch in range(2):
        for index in range(6):
            first, *others = (items[epoch, index] for items in sets)
            for other in others:
                assert other["name"] == first["name"]
                assert all(torch.equal(other[key], first[key]) for key in ("image", "maps", "keep"))


def test_resampled_scans_are_kept_as_far_as_the_budget_goes(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan on the network's grid already is not kept: only the patch is read from its file."""
    resampled: list[str] = []

    def counted(scan: Any, data: VolumeData) -> Tensor:
        resampled.append(scan.name)
        return unit_volume(scan, data)

    monkeypatch.setattr("casefold.data.patches.unit_volume", counted)
    names, half = [SCAN, "case2_day0"], (1.0, 0.5, 0.5)
    # 6 x 14 x 18 voxels of 4 bytes and as many of masks are 7560 bytes; the other scan has 8 slices
    for budget, zoom, wanted in [
        (0, None, []),
        (0, half, [SCAN, "case2_day0"] * 2),
        (7560, half, [SCAN, "case2_day0", "case2_day0"]),
        (1 << 30, half, [SCAN, "case2_day0"]),
    ]:
        resampled.clear()
        items = PatchDataset(toy_store, names, VolumeData(patch=(4, 8, 8), zoom=zoom), LOOSE, "none", 0, budget)
        for index in (0, 1, 0, 1):
            _ = items[0, index]
        assert resampled == wanted


@pytest.mark.parametrize(("classes", "kind"), [(1, np.uint8), (16, np.uint16), (24, np.uint32), (64, np.uint64)])
def test_masks_pass_through_augmentation_as_whole_numbers(classes: int, kind: type) -> None:
    """24 classes a channel: float32 holds no more exactly."""
    masks = np.random.default_rng(0).random((classes, 3, 4, 5)) < 0.5
    masks[:, 0, 0, 0] = True
    packed = pack_masks(masks)
    assert packed.dtype == kind
    numbers = _as_numbers(packed, classes)
    assert numbers.dtype == np.float32 and numbers.shape == (-(-classes // 24), 3, 4, 5)
    np.testing.assert_array_equal(_from_numbers(torch.from_numpy(numbers), classes), masks)


def names_of(items: PatchDataset, epoch: int) -> list[str]:
    return [items[epoch, index]["name"].partition("/")[0] for index in range(len(items))]


def test_the_patches_of_runs_trained_before_stand(toy_store: Store) -> None:
    """What was drawn when the sampler knew no other knob: a run trained then is trained the same again."""
    data, names = VolumeData(patch=(2, 8, 8)), [SCAN, "case31_day4"]
    items = PatchDataset(toy_store, names, data, PatchSampler(per_scan=2), "none", 3)
    assert [items[epoch, index]["name"] for epoch in range(2) for index in range(4)] == [
        f"{SCAN}/[0, 7, 5]", f"{SCAN}/[2, 18, 7]", "case31_day4/[2, 12, 12]", "case31_day4/[5, 5, 5]",
        f"{SCAN}/[1, 8, 7]", f"{SCAN}/[1, 19, 25]", "case31_day4/[1, 2, 0]", "case31_day4/[0, 10, 11]",
    ]  # fmt: skip


def test_the_share_of_positive_patches_over_the_epochs(toy_store: Store) -> None:
    """Patches of one voxel: of a class are all in the first epoch, and in the last some 8 %, by chance."""
    sampler = PatchSampler(per_scan=200, positive_share=Ramp.model_validate({"from": 1, "to": 0}))
    items = PatchDataset(toy_store, [SCAN], VolumeData(patch=(1, 1, 1)), sampler, "none", 3, epochs=3)
    shares = [np.mean([items[epoch, index]["maps"].any() for index in range(200)]) for epoch in range(3)]
    np.testing.assert_allclose(shares, [1, 0.54, 0.08], atol=0.06)


def test_by_case_the_scans_of_a_case_take_turns(toy_store: Store) -> None:
    scans, data = ["case7_day1", SCAN, "case7_day13"], VolumeData(patch=(2, 8, 8))
    by_scan = PatchDataset(toy_store, scans, data, PatchSampler(), "none", 0)
    assert len(by_scan) == 3 and names_of(by_scan, 0) == names_of(by_scan, 1) == scans
    one = PatchDataset(toy_store, scans, data, PatchSampler(by="case"), "none", 0)
    assert len(one) == 2
    assert [names_of(one, epoch) for epoch in range(3)] == [
        ["case7_day1", SCAN], ["case7_day13", SCAN], ["case7_day1", SCAN],
    ]  # fmt: skip
    three = PatchDataset(toy_store, scans, data, PatchSampler(by="case", per_scan=3), "none", 0)
    assert [names_of(three, epoch)[:3] for epoch in range(2)] == [
        ["case7_day1", "case7_day13", "case7_day1"], ["case7_day13", "case7_day1", "case7_day13"],
    ]  # fmt: skip
    assert names_of(three, 0)[3:] == [SCAN] * 3
