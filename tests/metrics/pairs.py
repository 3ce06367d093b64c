"""Small masks, drawn by hand or by seed, and slow references for the distances between them."""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

Mask = NDArray[np.bool_]
Step = tuple[float, ...]
STEPS: tuple[Step, ...] = ((1.0, 1.0, 1.0), (3.0, 1.5, 0.7), (1 / 20, 1 / 22, 1 / 24))


def voxels(shape: tuple[int, ...], *places: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask


def cube(size: int, rim: int) -> Mask:
    """A cube of `size` voxels each way with `rim` empty ones round it."""
    return np.pad(np.ones((size, size, size), bool), rim)


def random_masks(seed: int, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    random = np.random.default_rng(seed)
    return random.random(shape) < random.random(), random.random(shape) < random.random() / 4


def brute_force(a: Mask, b: Mask, step: Step) -> float:
    distances = cdist(np.argwhere(a) * step, np.argwhere(b) * step)
    return float(max(distances.min(0).max(), distances.min(1).max()))


def by_transforms(a: Mask, b: Mask, step: Step) -> float:
    """What brute force gives, quick enough for thousands of voxels."""
    return float(max(ndimage.distance_transform_edt(~y, step)[x].max() for x, y in itertools.permutations((a, b))))


def blob(seed: int, shape: tuple[int, ...] = (20, 22, 24), share: float = 0.2) -> Mask:
    """The highest `share` of smooth noise; it reaches the array's edge."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return np.asarray(noise > np.quantile(noise, 1 - share))


def kinds(seed: int) -> dict[str, tuple[Mask, Mask]]:
    """Pairs of every sort that the distance's short cuts treat in their own way."""
    one, other, noise = blob(seed), blob(seed + 100), np.random.default_rng(seed).random(blob(seed).shape)
    moved, stray, fewer = np.roll(one, (1, -2, 3), (0, 1, 2)), one.copy(), one.copy()
    stray[0, 0, 0], stray[-1, -1, -1] = True, True
    fewer[np.flatnonzero(one.any((1, 2)))[-4:]] = False
    thin, bent = np.zeros_like(one), np.zeros_like(one)
    thin[3, 2:20], bent[:, 5, 1:] = True, True
    slanted = np.add.outer(np.add.outer(np.arange(20), np.arange(22)), np.arange(24)) == 30
    full = np.ones_like(one)
    return {
        "other blobs": (one, other),
        "moved": (one, moved),
        "a stray voxel": (one, stray),
        "slices missing": (one, fewer),
        "grown": (one, np.asarray(ndimage.binary_dilation(one, iterations=2))),
        "hollow": (one, one & ~ndimage.binary_erosion(one, iterations=2)),
        "hollow box": (full, full & ~np.pad(np.ones((16, 18, 20), bool), 2)),
        "thin sheets": (thin, bent),
        "slanted sheets": (slanted, np.roll(slanted, 5, 2)),
        "sparse noise": (noise < 0.01, noise > 0.995),
        "dense noise": (noise < 0.5, noise > 0.3),
        "the other side": (one, ~one),
        "corners": (voxels(one.shape, (0, 0, 0)), voxels(one.shape, (19, 21, 23))),
    }
