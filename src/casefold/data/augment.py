"""Named augmentation pipelines for slices (albumentations) and patches (MONAI), drawn from a key and nothing else."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from casefold.data.normalize import Floats

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

Key = tuple[int, ...]


def seed_of(key: Key) -> int:
    """One 32-bit seed from a key: (seed, epoch, index), and the rank where that counts."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _affine(share: float, degrees: float, scale: float, shift: float) -> A.BasicTransform:
    return A.Affine(
        scale=(1 - scale, 1 + scale),
        translate_percent=(-shift, shift),
        rotate=(-degrees, degrees),
        border_mode=0,
        p=share,
    )


def _light() -> list[A.BasicTransform]:
    return [A.HorizontalFlip(p=0.5), _affine(0.5, 10, 0.1, 0.06)]


def _medium() -> list[A.BasicTransform]:
    return [
        A.HorizontalFlip(p=0.5),
        _affine(0.7, 15, 0.15, 0.08),
        A.OneOf([A.GridDistortion(num_steps=5, distort_limit=0.15), A.OpticalDistortion(distort_limit=0.1)], p=0.25),
        A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
        A.RandomGamma((75, 135), p=0.3),
    ]


def _heavy() -> list[A.BasicTransform]:
    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.RandomRotate90(p=0.5),
        _affine(0.8, 30, 0.25, 0.1),
        A.OneOf([A.GridDistortion(num_steps=5, distort_limit=0.3), A.ElasticTransform(alpha=60, sigma=8)], p=0.3),
        A.RandomBrightnessContrast(0.25, 0.25, p=0.6),
        A.RandomGamma((65, 150), p=0.4),
        A.OneOf([A.GaussNoise(std_range=(0.01, 0.06)), A.GaussianBlur(blur_limit=(3, 5))], p=0.25),
        A.CoarseDropout(num_holes_range=(1, 4), hole_height_range=(0.05, 0.15), hole_width_range=(0.05, 0.15), p=0.2),
    ]


SLICE_PIPELINES: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "none": list,
    "light": _light,
    "medium": _medium,
    "heavy": _heavy,
}


def slice_pipeline(name: str, square: bool = True) -> A.Compose | None:
    """The albumentations pipeline of that name, None for `none`; planes that are not square get no quarter turn."""
    steps = [step for step in SLICE_PIPELINES[name]() if square or not isinstance(step, A.RandomRotate90)]
    return A.Compose(steps) if steps else None


def augment_slice(
    pipeline: A.Compose | None, unit: Floats, targets: NDArray[np.uint8], key: Key
) -> tuple[Floats, NDArray[np.uint8]]:
    """Planes (channel, h, w) in 0..1 and their masks (class, h, w), moved together, as the key draws."""
    if pipeline is None:
        return unit, targets
    pipeline.set_random_seed(seed_of(key))
    done = pipeline(
        image=np.ascontiguousarray(unit.transpose(1, 2, 0)), mask=np.ascontiguousarray(targets.transpose(1, 2, 0))
    )
    image, mask = done["image"].transpose(2, 0, 1), done["mask"].transpose(2, 0, 1)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(mask)


def _patch_light() -> list[Any]:
    import monai.transforms as M

    return [M.RandFlipd(["image", "targets"], 0.5, axis) for axis in (1, 2)]


def _patch_affine(share: float, radians: float, scale: float) -> Any:
    import monai.transforms as M

    return M.RandAffined(
        ["image", "targets"],
        prob=share,
        rotate_range=(radians / 2, radians / 2, radians),
        scale_range=(scale,) * 3,
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
    )


def _patch_medium() -> list[Any]:
    import monai.transforms as M

    return [
        *_patch_light(),
        _patch_affine(0.5, 0.35, 0.15),
        M.RandScaleIntensityd("image", 0.25, prob=0.3),
        M.RandShiftIntensityd("image", 0.1, prob=0.3),
        M.RandAdjustContrastd("image", prob=0.2, gamma=(0.7, 1.5)),
    ]


def _patch_heavy() -> list[Any]:
    import monai.transforms as M

    return [
        M.RandFlipd(["image", "targets"], 0.5, 0),
        *_patch_medium(),
        M.RandGaussianNoised("image", prob=0.15, std=0.05),
        M.RandGaussianSmoothd("image", prob=0.15, sigma_x=(0.3, 0.8), sigma_y=(0.3, 0.8), sigma_z=(0.3, 0.8)),
    ]


PATCH_PIPELINES: dict[str, Callable[[], list[Any]]] = {
    "none": list,
    "light": _patch_light,
    "medium": _patch_medium,
    "heavy": _patch_heavy,
}


def patch_pipeline(name: str) -> Any | None:
    """The MONAI pipeline of that name over `image` and `targets`, None for `none`."""
    import monai.transforms as M

    steps = PATCH_PIPELINES[name]()
    return M.Compose([M.EnsureTyped(["image", "targets"], track_meta=False), *steps]) if steps else None


def augment_patch(pipeline: Any | None, unit: Tensor, targets: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Patches (modality, z, y, x) in 0..1 and (class, z, y, x), moved together, as the key draws."""
    if pipeline is None:
        return unit, targets
    pipeline.set_random_state(seed=seed_of(key))
    done = pipeline({"image": unit, "targets": targets})
    # plain tensors: MONAI's own kind would follow through collation and every loss
    image, moved = (done[name].as_subclass(Tensor) for name in ("image", "targets"))
    return image.clamp(0, 1).contiguous(), moved.round().contiguous()
