"""Every pipeline: drawn from its key alone, masks moved with the image and still 0 or 1, no warning on any input."""

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from casefold.data.augment import (
    PATCH_PIPELINES,
    SLICE_PIPELINES,
    augment_patch,
    augment_slice,
    patch_pipeline,
    seed_of,
    slice_pipeline,
)

MOVING = [name for name in SLICE_PIPELINES if name != "none"]
KEYS = [(0, epoch, index) for epoch in range(3) for index in range(8)]


def planes(channels: int = 3, classes: int = 2, width: int = 48) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A bright box on noise, in 0..1, and masks of which the first is that box."""
    random = np.random.default_rng(channels)
    image = random.uniform(0, 0.3, (channels, 40, width)).astype(np.float32)
    masks = (random.random((classes, 40, width)) < 0.5).astype(np.uint8)
    masks[0] = 0
    masks[0, 12:24, 18:32] = 1
    image[:, masks[0] == 1] += np.float32(0.6)
    return image, masks


def volumes(modalities: int = 1, classes: int = 2) -> tuple[Tensor, Tensor]:
    image, masks = planes(modalities, classes)
    deep = torch.from_numpy(image)[:, None].expand(-1, 8, -1, -1).clone()
    return deep, torch.from_numpy(masks).float()[:, None].expand(-1, 8, -1, -1).clone()


def test_a_seed_is_of_all_three_numbers() -> None:
    seeds = {seed_of((seed, epoch, index)) for seed in range(3) for epoch in range(5) for index in range(7)}
    assert len(seeds) == 105
    assert seed_of((1, 2, 3)) == int(np.random.SeedSequence((1, 2, 3)).generate_state(1)[0])
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_none_gives_back_what_came() -> None:
    image, masks = planes()
    assert slice_pipeline("none") is None and patch_pipeline("none") is None
    assert augment_slice(None, image, masks, (0, 0, 0)) == (image, masks)
    volume, targets = volumes()
    same = augment_patch(None, volume, targets, (0, 0, 0))
    assert same[0] is volume and same[1] is targets


@pytest.mark.parametrize("width", [40, 48])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", MOVING)
def test_a_slice_keeps_its_shape_its_range_and_its_two_mask_values(name: str, channels: int, width: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = slice_pipeline(name, square=width == 40)
        image, masks = planes(channels, classes=2 * channels, width=width)
        before = image.copy(), masks.copy()
        for key in KEYS:
            moved, targets = augment_slice(pipeline, image, masks, key)
            assert moved.shape == image.shape and moved.dtype == np.float32 and moved.flags.c_contiguous
            assert targets.shape == masks.shape and targets.dtype == np.uint8 and targets.flags.c_contiguous
            assert 0 <= moved.min() and moved.max() <= 1
            assert set(np.unique(targets)) <= {0, 1}
        np.testing.assert_array_equal(image, before[0])
        np.testing.assert_array_equal(masks, before[1])


@pytest.mark.parametrize("modalities", [1, 3, 5])
@pytest.mark.parametrize("name", MOVING)
def test_a_patch_keeps_its_shape_its_range_and_its_two_mask_values(name: str, modalities: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = patch_pipeline(name)
        image, masks = volumes(modalities, classes=2 * modalities)
        before = image.clone(), masks.clone()
        for key in KEYS[:12]:
            moved, targets = augment_patch(pipeline, image, masks, key)
            assert moved.shape == image.shape and moved.dtype == torch.float32 and moved.is_contiguous()
            assert targets.shape == masks.shape and targets.dtype == torch.float32 and targets.is_contiguous()
            assert type(moved) is Tensor and type(targets) is Tensor
            assert 0 <= moved.min() and moved.max() <= 1
            assert set(targets.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(image, before[0]) and torch.equal(masks, before[1])


@pytest.mark.parametrize("name", MOVING)
def test_a_slice_is_drawn_from_its_key_alone(name: str) -> None:
    image, masks = planes()
    first, second = slice_pipeline(name), slice_pipeline(name)
    there = [augment_slice(first, image, masks, key) for key in KEYS]
    back = [augment_slice(second, image, masks, key) for key in reversed(KEYS)][::-1]
    for one, two in zip(there, back, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    assert len({moved.tobytes() for moved, _ in there}) > len(KEYS) // 2


@pytest.mark.parametrize("name", MOVING)
def test_a_patch_is_drawn_from_its_key_alone(name: str) -> None:
    image, masks = volumes()
    first, second = patch_pipeline(name), patch_pipeline(name)
    there = [augment_patch(first, image, masks, key) for key in KEYS]
    back = [augment_patch(second, image, masks, key) for key in reversed(KEYS)][::-1]
    for one, two in zip(there, back, strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    distinct = len({moved.numpy().tobytes() for moved, _ in there})
    assert distinct == 4 if name == "light" else distinct > len(KEYS) // 2  # light: flips along y and x


@pytest.mark.parametrize("name", MOVING)
def test_masks_move_with_the_image(name: str) -> None:
    """The box is 0.6 brighter than what is round it, before and after."""
    image, masks = planes(1, 1)
    pipeline = slice_pipeline(name)
    for key in KEYS:
        moved, targets = augment_slice(pipeline, image, masks, key)
        inside = moved[0][targets[0] == 1]
        assert inside.size and inside.mean() > moved[0][targets[0] == 0].mean() + 0.25
    volume, target = volumes(1, 1)
    pipeline = patch_pipeline(name)
    for key in KEYS:
        moved, targets = augment_patch(pipeline, volume, target, key)
        assert moved[targets == 1].mean() > moved[targets == 0].mean() + 0.25


def test_both_tables_know_the_same_words() -> None:
    assert list(SLICE_PIPELINES) == list(PATCH_PIPELINES) == ["none", "light", "medium", "heavy"]
