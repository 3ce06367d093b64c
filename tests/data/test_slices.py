"""Windows of slices: which channel is which slice, and maps that come back to where they were."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import toy
from casefold.config.inputs import SliceData
from casefold.core import DataError, Grid, Scan
from casefold.data.slices import SliceDataset, fit_planes, near_edges, slice_input, slice_window, to_grid
from casefold.intensity import scan_statistics
from casefold.store import Store

SHAPE = (5, 4, 6)
FULL = {"name": "percentile", "low": 0, "high": 100}


def stepped(modalities: int = 1) -> Scan:
    """Slice z of modality m holds the value z + 10 m alone; the whole span of a modality is 4."""
    steps = np.arange(5) + 10 * np.arange(modalities)[:, None]
    image = np.broadcast_to(steps[:, :, None, None], (modalities, *SHAPE)).astype(np.uint16)
    names = tuple(f"case1_day0_slice_{z:04d}" for z in range(1, 6))
    return Scan("case1", "case1_day0", image, Grid(SHAPE), ("a",), names, statistics=scan_statistics(image))


def data(**changes: Any) -> SliceData:
    return SliceData(**{"window": (0,), "size": SHAPE[1:], "fit": "pad", "normalize": FULL, **changes})


@pytest.mark.parametrize(
    ("window", "z", "planes"),
    [
        ((0,), 2, [2]),
        ((-1, 0, 1), 2, [1, 2, 3]),
        ((1, 0, -1), 2, [3, 2, 1]),
        ((-1, 0, 1), 0, [0, 0, 1]),
        ((-1, 0, 1), 4, [3, 4, 4]),
        ((-4, -2, 0, 2, 4), 1, [0, 0, 1, 3, 4]),
        ((-9, 0, 9), 3, [0, 3, 4]),
    ],
)
def test_channels_are_the_slices_of_the_window_and_the_ends_repeat(
    window: tuple[int, ...], z: int, planes: list[int]
) -> None:
    unit = slice_window(stepped(), z, data(window=window))
    assert unit.shape == (len(window), 4, 6) and unit.dtype == np.float32
    assert (unit[:, 0, 0] * 4).tolist() == planes
    seen = slice_input(stepped(), z, data(window=window))
    assert seen.dtype == torch.float32 and seen[:, 3, 5].tolist() == [plane / 2 - 1 for plane in planes]


def test_all_modalities_of_an_offset_stand_together() -> None:
    scan = stepped(modalities=2)
    scan.image[1] = 14 - scan.image[0]  # the second modality runs backwards, 14 to 10
    unit = slice_window(scan, 1, data(window=(-1, 0, 1)))
    assert (unit[:, 0, 0] * 4).tolist() == [0, 4, 1, 3, 2, 2]


def test_padding_is_at_the_far_ends_and_comes_off_exactly() -> None:
    planes = torch.rand(3, 4, 6)
    fitted = fit_planes(planes, data(size=(8, 7)), "case1_day0")
    assert fitted.shape == (3, 8, 7)
    assert torch.equal(fitted[:, :4, :6], planes)
    assert fitted[:, 4:].abs().sum() == 0 and fitted[:, :, 6:].abs().sum() == 0
    assert torch.equal(to_grid(fitted[None], data(size=(8, 7)), (4, 6))[0], planes)


def test_a_slice_of_the_right_size_is_not_touched() -> None:
    planes = torch.rand(3, 4, 6)
    for fit in ("pad", "resize"):
        assert fit_planes(planes, data(fit=fit), "case1_day0") is planes
        assert torch.equal(to_grid(planes[None], data(fit=fit), (4, 6))[0], planes)


def test_resizing_is_linear_between_pixel_centres() -> None:
    ramp = torch.arange(8.0).expand(1, 4, 8)
    fitted = fit_planes(ramp, data(fit="resize", size=(4, 16)), "case1_day0")
    # output centre i lies at (i + 0.5) / 2 - 0.5 of the input, clamped to its first and last
    wanted = [min(max((i + 0.5) / 2 - 0.5, 0), 7) for i in range(16)]
    np.testing.assert_allclose(fitted[0, 0], wanted, atol=1e-6)


def test_resized_maps_come_back_to_the_grid_within_0_and_1() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 28), torch.linspace(0, 1, 36), indexing="ij")
    maps = torch.stack([y, x])[None]
    config = data(fit="resize", size=(64, 64))
    there = fit_planes(maps[0], config, "case1_day0")[None]
    assert there.shape == (1, 2, 64, 64)
    back = to_grid(there, config, (28, 36))
    assert back.shape == maps.shape and 0 <= back.min() and back.max() <= 1
    np.testing.assert_allclose(back, maps, atol=0.02)
    assert to_grid(torch.full((1, 1, 64, 64), 1.5), config, (28, 36)).max() == 1


def test_a_slice_larger_than_the_size_can_not_be_padded() -> None:
    message = (
        r"case1_day0 has slices of \(4, 6\), larger than data\.size \(8, 5\); raise data\.size or write data\.fit: res"
    )
    with pytest.raises(DataError, match=message):
        slice_window(stepped(), 0, data(size=(8, 5)))
    assert slice_window(stepped(), 0, data(size=(8, 5), fit="resize")).shape == (1, 8, 5)


def test_items_hold_image_masks_and_presence(toy_store: Store) -> None:
    config = SliceData(window=(-1, 0, 1), size=(32, 40), fit="pad")
    items = SliceDataset(toy_store, ["case10_day3", "case31_day4"], config, "none", seed=0)
    assert len(items) == 6 + 8 and items.items[6] == ("case31_day4", 0)
    assert items.positive.tolist() == [False, True, True, True, True, False] + [False] + [True] * 4 + [False] * 3
    item = items[0, 3]
    _, masks = toy.draw(toy.SCANS[3])
    assert {key: tuple(item[key].shape) for key in ("image", "maps", "presence", "keep")} == {
        "image": (3, 32, 40), "maps": (2, 32, 40), "presence": (2,), "keep": (1, 32, 40),
    }  # fmt: skip
    assert all(item[key].dtype == torch.float32 for key in ("image", "maps", "presence", "keep"))
    np.testing.assert_array_equal(item["maps"][:, :28, :36], masks[:, 3])
    assert item["maps"].sum() == 113 + 81 and item["keep"].min() == 1
    assert item["name"] == "case10_day3/3"
    assert torch.equal(item["image"], slice_input(toy_store.scan("case10_day3"), 3, config))
    assert [items[0, z]["presence"].tolist() for z in range(6)] == [[0, 0], [1, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


def test_augmentation_is_drawn_from_epoch_and_index_alone(toy_store: Store) -> None:
    config = SliceData(size=(32, 40), fit="pad")
    first, second = (SliceDataset(toy_store, ["case10_day3"], config, "heavy", seed=0) for _ in range(2))
    keys = [(epoch, index) for epoch in range(3) for index in range(6)]
    there = {key: first[key] for key in keys}
    back = {key: second[key] for key in reversed(keys)}
    for key in keys:
        assert torch.equal(there[key]["image"], back[key]["image"])
        assert torch.equal(there[key]["maps"], back[key]["maps"])
        assert set(there[key]["maps"].unique().tolist()) <= {0.0, 1.0}
        assert there[key]["maps"].shape == (2, 32, 40)  # no quarter turn
    assert not torch.equal(there[0, 3]["image"], there[1, 3]["image"])
    other = SliceDataset(toy_store, ["case10_day3"], config, "heavy", seed=1)
    assert not torch.equal(other[0, 3]["image"], there[0, 3]["image"])


def test_ignored_voxels_are_not_kept_and_move_with_the_image(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = toy_store.scan("case10_day3")
    ignore = np.zeros(scan.grid.shape, bool)
    ignore[3, :, :9] = True
    marked = {"case10_day3": replace(scan, ignore=ignore)}
    monkeypatch.setattr(toy_store, "_open", marked)
    items = SliceDataset(toy_store, ["case10_day3"], SliceData(size=(28, 36)), "none", seed=0)
    keep = items[0, 3]["keep"][0]
    assert keep[:, :9].sum() == 0 and keep[:, 9:].min() == 1
    assert items[0, 2]["keep"].min() == 1
    flipped = SliceDataset(toy_store, ["case10_day3"], SliceData(size=(28, 36)), "light", seed=0)
    shares = [float((1 - flipped[epoch, 3]["keep"]).mean()) for epoch in range(8)]
    assert len({round(share, 4) for share in shares}) > 2  # shifted with the picture
    assert all(0.05 < share <= 0.45 for share in shares)


def test_an_unlabelled_scan_can_not_train(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = replace(toy_store.scan("case10_day3"), masks=None)
    monkeypatch.setattr(toy_store, "_open", {"case10_day3": bare})
    items = SliceDataset(toy_store, ["case10_day3"], SliceData(size=(28, 36)), "none", seed=0)
    with pytest.raises(DataError, match="scan case10_day3 has no labels, so it can't train"):
        items[0, 0]


@pytest.mark.parametrize("augment", ["none", "heavy"])
@pytest.mark.parametrize("fit", ["pad", "resize"])
def test_the_cache_changes_no_item(toy_store: Store, monkeypatch: pytest.MonkeyPatch, augment: str, fit: str) -> None:
    scan = toy_store.scan("case10_day3")
    ignore = np.zeros(scan.grid.shape, bool)
    ignore[3, :, :9] = True
    monkeypatch.setattr(toy_store, "_open", {scan.name: replace(scan, ignore=ignore)})
    config = SliceData(window=(-2, 0, 1), size=(32, 40), fit=fit)  # type: ignore[arg-type]
    names, budgets = ["case10_day3", "case31_day4"], (0, 40_000, 1 << 30)  # nothing, some 7 of 14 slices, everything
    sets = [SliceDataset(toy_store, names, config, augment, 0, budget) for budget in budgets]
    for epoch in range(2):
        for index in range(len(sets[0])):
            first, *others = (items[epoch, index] for items in sets)
            for other in others:
                assert all(torch.equal(other[key], first[key]) for key in ("image", "maps", "presence", "keep"))


def test_slices_are_kept_at_the_networks_size(toy_store: Store) -> None:
    """5120 bytes an image slice of 32 x 40 and 480 for three planes of bits; those beside it are kept with it."""
    items = SliceDataset(toy_store, ["case10_day3"], SliceData(window=(-1, 0, 1), size=(32, 40)), "none", 0, 20_000)
    _ = items[0, 0]
    assert 20_000 - items.cache.left_bytes == 2 * 5120 + 480
    _ = items[0, 0]
    assert 20_000 - items.cache.left_bytes == 2 * 5120 + 480
    _ = items[0, 1]
    assert 20_000 - items.cache.left_bytes == 3 * 5120 + 2 * 480


@pytest.mark.parametrize(
    ("annotated", "count", "near"),
    [
        ("..xxxxx...", 1, ".##...##.."),
        ("..xxxxx...", 2, "####.####."),
        ("..xxxxx...", 0, ".........."),
        ("..xxxxx...", 99, "##########"),
        (".xx..xx...", 1, "##....##.."),  # the gap between the first and the last is no edge
        ("...x......", 1, "..###....."),
        ("...x......", 3, "#######..."),
        ("xxxxx.....", 2, "...####..."),  # the scan begins with the class: no edge there
        (".....xxxxx", 2, "...####..."),
        ("xxxxxxxxxx", 2, ".........."),
        ("..........", 2, ".........."),
        ("x", 2, "."),
        (".", 2, "."),
    ],
)
def test_slices_near_the_first_and_the_last_annotated_one(annotated: str, count: int, near: str) -> None:
    marks = np.array([mark == "x" for mark in annotated])
    found = near_edges(np.stack([marks, np.ones_like(marks), np.zeros_like(marks)], axis=1), count)
    assert found[:, 0].tolist() == [mark == "#" for mark in near]
    assert not found[:, 1:].any()


@pytest.mark.parametrize("augment", ["none", "heavy"])
def test_slices_near_an_edge_do_not_count_for_their_class(toy_store: Store, augment: str) -> None:
    """`left` is on 1..3, `right` on 3..4: slices 0, 1, 3, 4 and 2..5; image, maps and presence stay as they are."""
    names, config = ["case31_day4", "case10_day3"], SliceData(size=(32, 40), fit="pad")
    plain, edged = (SliceDataset(toy_store, names, config, augment, 0, ignore_edges=count) for count in (0, 1))
    together = SliceDataset(toy_store, names, config, augment, 0, ignore_edges=1, exclusive=True)
    begin = plain.items.index(("case10_day3", 0))
    kept = [(0, 1), (0, 1), (1, 0), (0, 0), (0, 0), (1, 0)]
    for z in range(6):
        first, second, third = (items[2, begin + z] for items in (plain, edged, together))
        assert second["keep"].shape == (2, 32, 40) and second["keep"].dtype == torch.float32
        assert third["keep"].shape == first["keep"].shape == (1, 32, 40)
        assert second["keep"].amin((1, 2)).tolist() == second["keep"].amax((1, 2)).tolist() == list(kept[z])
        assert third["keep"].min() == third["keep"].max() == 0  # every slice lies near an edge of one of them
        assert all(torch.equal(first[name], item[name]) for item in (second, third) for name in ("image", "maps"))
        assert torch.equal(first["presence"], second["presence"])
    for z in (6, 7):  # of the scan of 8 slices, `right` ends at 4: 6 and 7 are far from all
        assert edged[0, plain.items.index(("case31_day4", z))]["keep"].min() == 1
        assert together[0, plain.items.index(("case31_day4", z))]["keep"].min() == 1


def test_ignored_voxels_and_edges_add_up(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = toy_store.scan("case10_day3")
    ignore = np.zeros(scan.grid.shape, bool)
    ignore[2, :, :9] = True
    monkeypatch.setattr(toy_store, "_open", {"case10_day3": replace(scan, ignore=ignore)})
    items = SliceDataset(toy_store, ["case10_day3"], SliceData(size=(28, 36)), "none", seed=0, ignore_edges=1)
    assert items[0, 2]["keep"].sum((1, 2)).tolist() == [28 * 27, 0]  # of `left`; for `right` it lies near the edge


def test_an_index_past_the_end_is_the_item_again_augmented_otherwise(toy_store: Store) -> None:
    items = SliceDataset(toy_store, ["case10_day3"], SliceData(size=(32, 40), fit="pad"), "heavy", seed=0)
    assert [items[0, index]["name"] for index in (3, 9, 15)] == ["case10_day3/3"] * 3
    assert not torch.equal(items[0, 3]["image"], items[0, 9]["image"])
    bare = SliceDataset(toy_store, ["case10_day3"], SliceData(size=(32, 40), fit="pad"), "none", seed=0)
    assert torch.equal(bare[0, 3]["image"], bare[0, 9]["image"])


def test_items_know_their_case(toy_store: Store) -> None:
    items = SliceDataset(toy_store, ["case20_day5", "case2_day0", "case20_day0"], SliceData(), "none", seed=0)
    assert items.cases == ["case2"] * 8 + ["case20"] * 16
