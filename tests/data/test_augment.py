"""Every pipeline: drawn from its key alone, masks moved with the image and still 0 or 1, no warning on any input."""

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, get_args

import albumentations as A
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from casefold.config.experiments import AugmentName
from casefold.core import ConfigError
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
# how often two keys draw alike: flips alone have few outcomes
FEW = {"light": 4, "flips": 8}


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


def fingerprint() -> str:
    """A hash of what every pipeline makes of two slices and two patches."""
    hashed = hashlib.sha256()
    for name in MOVING:
        for key in KEYS[:2]:
            for part in augment_slice(slice_pipeline(name), *planes(), key):
                hashed.update(part.tobytes())
            for part in augment_patch(patch_pipeline(name), *volumes(), key):
                hashed.update(part.numpy().tobytes())
    return hashed.hexdigest()


def test_a_seed_is_of_all_three_numbers() -> None:
    seeds = {seed_of((seed, epoch, index)) for seed in range(3) for epoch in range(5) for index in range(7)}
    assert len(seeds) == 105
    assert seed_of((1, 2, 3)) == int(np.random.SeedSequence((1, 2, 3)).generate_state(1)[0])
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_none_gives_back_what_came() -> None:
    image, masks = planes()
    assert slice_pipeline("none") is None and patch_pipeline("none") == []
    assert augment_slice(None, image, masks, (0, 0, 0)) == (image, masks)
    volume, targets = volumes()
    same = augment_patch([], volume, targets, (0, 0, 0))
    assert same[0] is volume and same[1] is targets


@pytest.mark.parametrize("width", [40, 48])
@pytest.mark.parametrize("channels", [1, 3, 5, 15])
@pytest.mark.parametrize("name", MOVING)
def test_a_slice_keeps_its_shape_its_range_and_its_two_mask_values(name: str, channels: int, width: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = slice_pipeline(name, square=width == 40)
        image, masks = planes(channels, classes=channels + 1, width=width)
        before = image.copy(), masks.copy()
        for key in KEYS:
            moved, targets = augment_slice(pipeline, image, masks, key)
            assert moved.shape == image.shape and moved.dtype == np.float32 and moved.flags.c_contiguous
            assert targets.shape == masks.shape and targets.dtype == np.uint8 and targets.flags.c_contiguous
            assert 0 <= moved.min() and moved.max() <= 1
            assert set(np.unique(targets)) <= {0, 1}
        np.testing.assert_array_equal(image, before[0])
        np.testing.assert_array_equal(masks, before[1])


@pytest.mark.parametrize("modalities", [1, 3])
@pytest.mark.parametrize("name", MOVING)
def test_a_patch_keeps_its_shape_its_range_and_its_two_mask_values(name: str, modalities: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = patch_pipeline(name)
        image, masks = volumes(modalities, classes=2 * modalities)
        before = image.clone(), masks.clone()
        for key in KEYS:
            moved, targets = augment_patch(pipeline, image, masks, key)
            assert moved.shape == image.shape and moved.dtype == torch.float32 and moved.is_contiguous()
            assert targets.shape == masks.shape and targets.dtype == torch.float32 and targets.is_contiguous()
            assert 0 <= moved.min() and moved.max() <= 1
            assert set(targets.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(image, before[0]) and torch.equal(masks, before[1])


@pytest.mark.parametrize("name", MOVING)
def test_a_slice_is_drawn_from_its_key_alone(name: str) -> None:
    image, masks = planes(width=40)
    first, second = slice_pipeline(name), slice_pipeline(name)
    there = [augment_slice(first, image, masks, key) for key in KEYS]
    back = [augment_slice(second, image, masks, key) for key in reversed(KEYS)][::-1]
    for one, two in zip(there, back, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    distinct = len({moved.tobytes() for moved, _ in there})
    assert distinct == 8 if name == "flips" else distinct > len(KEYS) // 2


@pytest.mark.parametrize("name", MOVING)
def test_a_patch_is_drawn_from_its_key_alone(name: str) -> None:
    image, masks = volumes()
    image[:, 0] *= 0.5  # the first slice differs, so that a flip along z shows
    first, second = patch_pipeline(name), patch_pipeline(name)
    there = [augment_patch(first, image, masks, key) for key in KEYS]
    back = [augment_patch(second, image, masks, key) for key in reversed(KEYS)][::-1]
    for one, two in zip(there, back, strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    distinct = len({moved.numpy().tobytes() for moved, _ in there})
    assert distinct == FEW[name] if name in FEW else distinct > len(KEYS) // 2


def test_another_process_draws_the_same() -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", "import test_augment; print(test_augment.fingerprint())"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path]), "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == fingerprint()


def test_transforms_of_a_slice_draw_apart() -> None:
    """A flip does not bring the other one along: all eight flips and quarter turns of a square come, about as often."""
    square = np.array([[[1, 2], [3, 4]]], np.float32) / 4
    pipeline = slice_pipeline("flips")
    drawn = [augment_slice(pipeline, square, np.zeros((1, 2, 2), np.uint8), (0, 0, index))[0] for index in range(400)]
    counts: dict[tuple[int, ...], int] = {}
    for plane in drawn:
        key = tuple((plane * 4).astype(int).ravel().tolist())
        counts[key] = counts.get(key, 0) + 1
    assert set(counts) == {
        (1, 2, 3, 4), (2, 1, 4, 3), (3, 4, 1, 2), (4, 3, 2, 1), (2, 4, 1, 3), (3, 1, 4, 2), (1, 3, 2, 4), (4, 2, 3, 1),
    }  # fmt: skip
    assert min(counts.values()) > 25  # 50 each, were they even


def test_light_flips_a_slice_left_and_right_alone() -> None:
    """Where nothing else is drawn; seen on a 4 x 4 grid and its mask."""
    grid = np.arange(16, dtype=np.float32).reshape(1, 4, 4) / 16
    mask = np.array([[[1, 0, 0, 0]] * 4], np.uint8)
    pipeline = A.Compose(SLICE_PIPELINES["light"]()[:1])
    seen = {}
    for index in range(20):
        image, moved = augment_slice(pipeline, grid, mask, (0, 0, index))
        seen[tuple((image[0, 0] * 16).astype(int).tolist())] = moved[0, 0].tolist()
    assert seen == {(0, 1, 2, 3): [1, 0, 0, 0], (3, 2, 1, 0): [0, 0, 0, 1]}


def agreement(image: Any, mask: Any) -> float:
    """Dice of what is brighter than halfway between darkest and brightest, and the mask."""
    bright = np.asarray(image) > (float(image.min()) + float(image.max())) / 2
    marked = np.asarray(mask) > 0
    return float(2 * (bright & marked).sum() / (bright.sum() + marked.sum()))


# holes darken the image and leave the mask, low resolution and a bias field move where it is half as bright
@pytest.mark.parametrize("name", [n for n in MOVING if n not in ("heavy", "degraded", "scanner")])
def test_masks_of_a_slice_move_with_the_image(name: str) -> None:
    image, masks = np.zeros((1, 128, 128), np.float32), np.zeros((2, 128, 128), np.uint8)
    masks[:, 40:90, 30:76] = 1
    image[0][masks[0] == 1] = 0.8
    pipeline = slice_pipeline(name)
    for key in KEYS:
        moved, targets = augment_slice(pipeline, image, masks, key)
        assert agreement(moved[0], targets[0]) >= 0.95
        np.testing.assert_array_equal(targets[0], targets[1])  # the last channel, ignore, as all others


@pytest.mark.parametrize("name", [n for n in MOVING if n not in ("distortion", "degraded", "scanner", "nnunet")])
def test_masks_of_a_patch_move_with_the_image(name: str) -> None:
    image, masks = torch.zeros(1, 32, 48, 40), torch.zeros(2, 32, 48, 40)
    masks[:, 8:24, 10:36, 12:33] = 1
    image[0][masks[0] == 1] = 0.8
    pipeline = patch_pipeline(name)
    for key in KEYS:
        moved, targets = augment_patch(pipeline, image, masks, key)
        assert agreement(moved[0], targets[0]) >= 0.95
        assert torch.equal(targets[0], targets[1])


def test_the_anatomical_set_leaves_intensities_and_turns_little() -> None:
    """A plane of one grey is that grey wherever the plane is still seen, and nothing is brighter."""
    grey, nothing = np.full((1, 64, 64), 0.5, np.float32), np.zeros((1, 64, 64), np.uint8)
    deep = torch.full((1, 32, 32, 32), 0.5)
    for key in KEYS:
        image, _ = augment_slice(slice_pipeline("anatomical"), grey, nothing, key)
        np.testing.assert_allclose(image[:, 16:48, 16:48], 0.5, atol=1e-6)
        assert image.max() < 0.5 + 1e-6
        volume, _ = augment_patch(patch_pipeline("anatomical"), deep, deep, key)
        torch.testing.assert_close(volume[:, 10:22, 10:22, 10:22], deep[:, 10:22, 10:22, 10:22])
        assert volume.max() < 0.5 + 1e-6
    turns = [step for step in SLICE_PIPELINES["anatomical"]() if isinstance(step, A.Affine)]
    assert [(turn.rotate, turn.scale, turn.shear) for turn in turns] == [
        ((-10, 10), {"x": (1, 1), "y": (1, 1)}, {"x": (0, 0), "y": (0, 0)})
    ]
    *_, (_, warping) = PATCH_PIPELINES["anatomical"]()
    assert warping.keywords == {"degrees": (10, 10, 10), "elastic": 0.6}  # type: ignore[attr-defined]


def test_scanner_leaves_shapes() -> None:
    """Masks are as they were, or turned round left and right."""
    _, masks = planes()
    _, deep = volumes()
    for key in KEYS:
        _, targets = augment_slice(slice_pipeline("scanner"), *planes(), key)
        assert np.array_equal(targets, masks) or np.array_equal(targets, masks[:, :, ::-1])
        _, moved = augment_patch(patch_pipeline("scanner"), *volumes(), key)
        assert torch.equal(moved, deep) or torch.equal(moved, deep.flip(3))


@pytest.mark.parametrize(
    ("transform", "arguments", "named"),
    [
        (A.ElasticTransform, {"alpha_affine": 50}, "alpha_affine"),
        (A.OpticalDistortion, {"shift_limit": 0.5}, "shift_limit"),
        (A.CoarseDropout, {"max_holes": 8}, "max_holes"),
        (A.Downscale, {"scale_range": (0.5, 7)}, "scale_range"),
    ],
)
def test_an_argument_that_albumentations_does_not_take_is_an_error(
    transform: Any, arguments: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SLICE_PIPELINES, "planted", lambda: [transform(**arguments)])
    with pytest.raises(ConfigError, match=rf"(?s)augment planted: albumentations .*{named}"):
        slice_pipeline("planted")


def test_an_unknown_name_lists_the_known_ones() -> None:
    for find in (slice_pipeline, patch_pipeline):
        with pytest.raises(ConfigError, match=r"no augmentation is called mediun \(did you mean 'medium'\?\): none, "):
            find("mediun")


def test_both_tables_and_the_schema_know_the_same_words() -> None:
    assert list(SLICE_PIPELINES) == list(PATCH_PIPELINES) == list(get_args(AugmentName))
