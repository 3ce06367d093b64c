"""Random crops of slices: where they lie, what moves with them, and what is present in them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from casefold.config.inputs import SliceData
from casefold.core import Scan
from casefold.data.augment import slice_pipeline
from casefold.data.slices import SliceDataset, cut_patch
from casefold.intensity import scan_statistics
from casefold.store import Store
from casefold.views import Box

NAME, HEIGHT, WIDTH = "case10_day3", 28, 36
PATCH = (20, 16)
PLACES = [(0, 4), (1, 17), (8, 20), (0, 2), (2, 1), (2, 8)]  # y, x of item 3 under seed 0, epoch by epoch
PARTS = ("image", "maps", "keep", "presence")


def patched(
    size: tuple[int, int] = (HEIGHT, WIDTH), patch: tuple[int, int] | None = PATCH, **changes: Any
) -> SliceData:
    return SliceData(**{"window": (0,), "size": size, "train_patch": patch, "normalize": {"name": "minmax"}, **changes})


def ramp() -> NDArray[np.uint16]:
    """0 .. 1007 over a slice, row after row: a value tells its place."""
    return np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)


@pytest.fixture
def ramps(toy_store: Store, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Ramps alone, `left` on their first row, `right` above 500, ignored below 100."""
    scan = toy_store.scan(NAME)
    image = np.broadcast_to(ramp(), scan.image.shape).copy()
    row = np.arange(HEIGHT)[:, None] == 0
    masks = np.broadcast_to(row + 2 * (ramp() > 500), scan.grid.shape).astype(np.uint8)
    ignore = np.broadcast_to(ramp() < 100, scan.grid.shape)
    marked = replace(scan, image=image, masks=masks, ignore=ignore, statistics=scan_statistics(image))
    monkeypatch.setattr(toy_store, "_open", {NAME: marked})
    return marked


def test_the_key_says_where_the_patch_lies_and_all_of_an_item_moves_with_it(toy_store: Store, ramps: Scan) -> None:
    items = SliceDataset(toy_store, [NAME], patched(), "none", seed=0)
    for epoch, (y, x) in enumerate(PLACES):
        item, part = items[epoch, 3], ramp()[y : y + 20, x : x + 16]
        np.testing.assert_array_equal((item["image"][0] * 1007).round().int(), part)
        np.testing.assert_array_equal(item["maps"][1], part > 500)
        np.testing.assert_array_equal(item["keep"][0], part >= 100)
        assert {name: tuple(item[name].shape) for name in PARTS} == {
            "image": (1, 20, 16), "maps": (2, 20, 16), "keep": (1, 20, 16), "presence": (2,),
        }  # fmt: skip


def test_a_class_is_present_where_the_patch_holds_it_and_a_slice_positive_as_before(
    toy_store: Store, ramps: Scan
) -> None:
    items = SliceDataset(toy_store, [NAME], patched(), "none", seed=0)
    assert [items[epoch, 3]["presence"].tolist() for epoch in range(6)] == [
        [1, 1], [0, 1], [0, 1], [1, 1], [0, 1], [0, 1],
    ]  # fmt: skip
    assert items.positive.tolist() == [False, True, True, True, True, False]  # by the table, of whole slices


def test_what_is_turned_and_flipped_is_cut_alike(toy_store: Store, ramps: Scan) -> None:
    items = SliceDataset(toy_store, [NAME], patched(), "flips", seed=0)
    places = set()
    for epoch in range(12):
        item = items[epoch, 3]
        values = (item["image"][0] * 1007).round().int()
        assert torch.equal(item["maps"][1] == 1, values > 500) and torch.equal(item["keep"][0] == 1, values >= 100)
        places.add(int(values[0, 0]))
    assert len(places) == 12


def test_epoch_index_and_seed_alone_place_it(toy_store: Store) -> None:
    first, second = (SliceDataset(toy_store, [NAME], patched(), "heavy", seed=0) for _ in range(2))
    keys = [(epoch, index) for epoch in range(2) for index in range(8)]
    there = {key: first[key] for key in keys}
    for key in reversed(keys):
        again = second[key]
        assert all(torch.equal(again[name], there[key][name]) for name in PARTS)
    assert not torch.equal(there[0, 3]["image"], there[1, 3]["image"])
    bare = [SliceDataset(toy_store, [NAME], patched(), "none", seed=seed) for seed in (0, 1)]
    assert not torch.equal(bare[0][0, 1]["image"], bare[0][0, 7]["image"])  # the same slice, come again
    assert not torch.equal(bare[0][0, 3]["image"], bare[1][0, 3]["image"])


@pytest.mark.parametrize(
    ("changes", "height_width"),
    [
        ({"fit": "pad", "size": (40, 48)}, (40, 48)),
        ({"fit": "square", "size": (40, 48)}, (40, 48)),
        ({"fit": "resize", "size": (24, 20)}, (24, 20)),
        ({"plane": "coronal", "size": (22, 36)}, (22, 36)),
        ({"plane": "sagittal", "size": (22, 28)}, (22, 28)),
        ({"crop": {"name": "centre", "share": 0.5}, "size": (30, 30)}, (30, 30)),
        ({"window": (-1, 0, 1)}, (HEIGHT, WIDTH)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_it_is_a_part_of_what_training_else_sees_whole(
    toy_store: Store, changes: dict[str, Any], height_width: tuple[int, int]
) -> None:
    boxes = {NAME: Box((0, 6), (7, 21), (9, 27))} if "crop" in changes else None
    sizes = {"size": (HEIGHT, WIDTH), **changes}
    whole, part = (
        SliceDataset(toy_store, [NAME], patched(patch=patch, **sizes), "heavy", seed=5, ignore_edges=1, boxes=boxes)
        for patch in (None, PATCH)
    )
    for epoch in range(3):
        all_of_it, seen = whole[epoch, 2], part[epoch, 2]
        rng = np.random.default_rng([5, epoch, 2, 1])
        y, x = (int(rng.integers(0, side - own + 1)) for side, own in zip(height_width, PATCH, strict=True))
        for name in ("image", "maps"):
            assert torch.equal(seen[name], all_of_it[name][:, y : y + 20, x : x + 16])
        assert torch.equal(seen["keep"], all_of_it["keep"].expand(-1, *height_width)[:, y : y + 20, x : x + 16])
        assert torch.equal(seen["presence"], seen["maps"].amax((1, 2)))


def test_a_patch_of_the_whole_size_changes_nothing(toy_store: Store) -> None:
    sets = [SliceDataset(toy_store, [NAME], patched(patch=patch), "heavy", seed=0) for patch in (None, (HEIGHT, WIDTH))]
    for index in range(6):
        assert all(torch.equal(sets[0][1, index][name], sets[1][1, index][name]) for name in PARTS)


def test_every_place_is_drawn_and_none_beyond() -> None:
    unit, targets = np.arange(12, dtype=np.float32).reshape(1, 3, 4), np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    corners = set()
    for index in range(100):
        image, marks = cut_patch(unit, targets, (2, 2), (0, 0, index))
        assert image.shape == (1, 2, 2) and image.tolist() == marks.tolist()
        corners.add(int(image[0, 0, 0]))
    assert corners == {0, 1, 2, 4, 5, 6}
    assert cut_patch(unit, targets, None, (0, 0, 0)) == (unit, targets)


def test_quarter_turns_are_of_square_slices_whatever_the_patch(toy_store: Store) -> None:
    def turns(data: SliceData) -> bool:
        items = SliceDataset(toy_store, [NAME], data, "flips", seed=0)
        return len(items.pipeline.transforms) == len(slice_pipeline("flips").transforms)  # type: ignore[union-attr]

    assert turns(patched(size=(32, 32))) and not turns(patched(size=(32, 40), patch=(16, 16)))
