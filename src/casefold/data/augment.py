"""The front door of augmentation: a named pipeline, for slices or for patches, drawn from a key and nothing else."""

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from casefold.data.normalize import Floats
from casefold.data.patch_pipelines import PATCH_PIPELINES, Steps, patch_pipeline
from casefold.data.slice_pipelines import SLICE_PIPELINES, slice_pipeline

__all__ = [
    "PATCH_PIPELINES",
    "SLICE_PIPELINES",
    "augment_patch",
    "augment_slice",
    "patch_pipeline",
    "seed_of",
    "slice_pipeline",
]
Key = tuple[int, ...]


def seed_of(key: Key) -> int:
    """One 32-bit seed from a key: (seed, epoch, index), and the rank where that counts."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def augment_slice(
    pipeline: Any | None, unit: Floats, targets: NDArray[np.uint8], key: Key
) -> tuple[Floats, NDArray[np.uint8]]:
    """Planes (channel, h, w) in 0..1 and their masks (class, h, w), moved together, as the key draws."""
    if pipeline is None:
        return unit, targets
    # set_random_seed would give every transform the same stream: flips would only ever come together
    pipeline.set_random_state(np.random.default_rng([*key, 2]), random.Random(seed_of((*key, 2))))
    # one channel goes as a plain plane: albumentations' Illumination fails on (h, w, 1)
    planes = unit[0] if len(unit) == 1 else unit.transpose(1, 2, 0)
    done = pipeline(image=np.ascontiguousarray(planes), mask=np.ascontiguousarray(targets.transpose(1, 2, 0)))
    image, mask = done["image"].reshape(*unit.shape[1:], -1).transpose(2, 0, 1), done["mask"].transpose(2, 0, 1)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(mask)


def augment_patch(pipeline: Steps, unit: Tensor, targets: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Patches float32 (modality, z, y, x) in 0..1 and (class, z, y, x), moved together, as the key draws."""
    if not pipeline:
        return unit, targets
    rng = np.random.default_rng([*key, 2])
    image, moved = unit, targets
    for share, step in pipeline:
        if rng.random() < share:
            image, moved = step(image, moved, rng)
    return image.clamp(0, 1).contiguous(), moved.contiguous()
