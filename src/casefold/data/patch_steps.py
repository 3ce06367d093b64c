"""The steps of the pipelines for patches, beside `warp`: each takes image, targets and a generator, and gives both.

Images are (modality, z, y, x), around 0..1; every modality has its own draw. What came in is never written to.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from casefold.data.warp import smooth_field

Pair = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor, np.random.Generator], Pair]
Range = tuple[float, float]


def flip(image: Tensor, targets: Tensor, rng: np.random.Generator, *, axis: int) -> Pair:
    """Both turned round along an axis, 1 to 3 for z, y, x."""
    return image.flip(axis), targets.flip(axis)


def one_of(image: Tensor, targets: Tensor, rng: np.random.Generator, *, steps: Sequence[Step]) -> Pair:
    """One of the steps, each as likely."""
    return steps[int(rng.integers(len(steps)))](image, targets, rng)


def multiply(image: Tensor, targets: Tensor, rng: np.random.Generator, *, factors: Range) -> Pair:
    """Times a factor."""
    return image * _draw(rng, factors, image), targets


def add(image: Tensor, targets: Tensor, rng: np.random.Generator, *, values: Range) -> Pair:
    """Plus a value."""
    return image + _draw(rng, values, image), targets


def contrast(image: Tensor, targets: Tensor, rng: np.random.Generator, *, factors: Range) -> Pair:
    """Further from the mean, or nearer, within the values that were there."""
    mean = image.mean((1, 2, 3), keepdim=True)
    moved = (image - mean) * _draw(rng, factors, image) + mean
    return moved.clamp(image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)), targets


def gamma(image: Tensor, targets: Tensor, rng: np.random.Generator, *, powers: Range, negative: bool = False) -> Pair:
    """To a power, or the negative to a power."""
    unit = image.clamp(0, 1)
    power = _draw(rng, powers, image)
    return 1 - (1 - unit) ** power if negative else unit**power, targets


def noise(image: Tensor, targets: Tensor, rng: np.random.Generator, *, deviation: Range) -> Pair:
    """Gaussian noise in every voxel."""
    grains = torch.from_numpy(rng.standard_normal(image.shape, np.float32))
    return image + grains * _draw(rng, deviation, image), targets


def blur(image: Tensor, targets: Tensor, rng: np.random.Generator, *, sigma_voxels: Range) -> Pair:
    """Gaussian blur, alike in all directions and modalities."""
    from monai.networks.layers import GaussianFilter

    return GaussianFilter(3, float(rng.uniform(*sigma_voxels)))(image[None])[0], targets


def low_resolution(image: Tensor, targets: Tensor, rng: np.random.Generator, *, zoom: Range) -> Pair:
    """Made smaller by taking voxels, and brought back linearly."""
    factor = rng.uniform(*zoom)
    small = [max(1, round(length * factor)) for length in image.shape[1:]]
    coarse = F.interpolate(image[None], small, mode="nearest-exact")
    return F.interpolate(coarse, image.shape[1:], mode="trilinear", align_corners=False)[0], targets


def bias_field(image: Tensor, targets: Tensor, rng: np.random.Generator, *, strength: float) -> Pair:
    """Times a smooth field whose logarithm is a B-spline of two cells an axis with knots within the strength (N4's)."""
    knots = rng.uniform(-strength, strength, (5, 5, 5, len(image))).astype(np.float32)
    return image * smooth_field(torch.from_numpy(knots), image.shape[1:]).exp().movedim(-1, 0), targets


def holes(image: Tensor, targets: Tensor, rng: np.random.Generator, *, count: tuple[int, int], share: float) -> Pair:
    """Boxes of the image set to 0, each side at most this share of the length; the targets stay."""
    image = image.clone()
    for _ in range(int(rng.integers(count[0], count[1], endpoint=True))):
        sides = [int(rng.integers(1, max(1, round(length * share)), endpoint=True)) for length in image.shape[1:]]
        corner = [int(rng.integers(length - side + 1)) for length, side in zip(image.shape[1:], sides, strict=True)]
        z, y, x = (slice(start, start + side) for start, side in zip(corner, sides, strict=True))
        image[:, z, y, x] = 0
    return image, targets


def _draw(rng: np.random.Generator, bounds: Range, image: Tensor) -> Tensor:
    """A number for each modality, (modality, 1, 1, 1)."""
    return torch.from_numpy(rng.uniform(*bounds, (len(image), 1, 1, 1)).astype(np.float32))
