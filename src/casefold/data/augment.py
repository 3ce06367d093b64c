"""Named augmentation pipelines for slices and patches, drawn from a key and nothing else."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from casefold.core import ConfigError, nearest_word
from casefold.data.normalize import Floats
from casefold.data.patch_pipelines import PATCH_PIPELINES, Steps
from casefold.data.slice_pipelines import SLICE_PIPELINES, A

Key = tuple[int, ...]


def seed_of(key: Key) -> int:
    """One 32-bit seed from a key: (seed, epoch, index), and the rank where that counts."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def slice_pipeline(name: str, square: bool = True) -> A.Compose | None:
    """The albumentations pipeline of that name, None for `none`; planes that are not square get no quarter turn.

    Raises ConfigError for an unknown name, and for an argument that albumentations no longer takes: it would only warn
    and draw something else.
    """
    build = _named(SLICE_PIPELINES, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            steps = build()
        except (UserWarning, ValueError) as e:
            raise ConfigError(f"augment {name}: albumentations {A.__version__} refuses it: {e}") from e
    steps = [step for step in steps if square or not isinstance(step, A.RandomRotate90)]
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


def patch_pipeline(name: str) -> Steps:
    """The steps of that name, empty for `none`; raises ConfigError for an unknown name."""
    return _named(PATCH_PIPELINES, name)()


def augment_patch(pipeline: Steps, unit: Tensor, targets: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Patches float32 (modality, z, y, x) in 0..1 and (class, z, y, x), moved together, as the key draws."""
    rng = np.random.default_rng([*key, 2])
    image, moved = unit, targets
    for share, step in pipeline:
        if rng.random() < share:
            image, moved = step(image, moved, rng)
    return image.clamp(0, 1).contiguous() if pipeline else unit, moved.contiguous()


def _named[T](table: Mapping[str, Callable[[], T]], name: str) -> Callable[[], T]:
    if name not in table:
        raise ConfigError(f"no augmentation is called {name}{nearest_word(name, list(table))}: {', '.join(table)}")
    return table[name]
