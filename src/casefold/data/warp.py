"""One resampling of a patch for everything that moves voxels: turn, scale, shift, elastic and grid distortion.

MONAI has all of it, in one resampling each; benchmarks/augment_speed.py holds the two side by side.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from casefold.core import Triple


def warp(
    image: Tensor,
    targets: Tensor,
    rng: np.random.Generator,
    *,
    degrees: Triple | None = (0.0, 0.0, 0.0),
    scale: tuple[float, float] = (1.0, 1.0),
    stretch: bool = False,
    shift: float = 0.0,
    elastic: float = 0.0,
    distort: float = 0.0,
    cells: int = 4,
) -> tuple[Tensor, Tensor]:
    """Patches (modality, z, y, x) and (class, z, y, x) moved together: linear, and nearest; 0 comes in from outside.

    degrees: the largest turn about z, y and x, counted in voxels; None for any turn at all. scale: what things grow by,
    as often down as up; stretch draws it for each axis alone. shift: at most, as a share of each length. elastic: a
    cubic B-spline of `cells` to each axis (Rueckert 1999) whose knots move by at most this share of their distance;
    up to 0.4 it can't fold. distort: `cells` to each axis, longer or shorter by at most this share.
    """
    shape = image.shape[1:]
    size = torch.tensor(shape, dtype=torch.float32)
    turn = _turn(rng, degrees)
    factors = np.exp(rng.uniform(*np.log(scale), size=3 if stretch else 1))
    matrix = torch.from_numpy((turn / factors).astype(np.float32))
    place = torch.from_numpy(rng.uniform(-shift, shift, 3).astype(np.float32)) * size
    z, y, x = (_axis(length, rng, distort, cells) for length in shape)
    source = (
        matrix[:, 0] * z[:, None, None, None] + matrix[:, 1] * y[:, None, None] + (matrix[:, 2] * x[:, None] + place)
    )
    if elastic:
        knots = rng.uniform(-elastic, elastic, (cells + 3,) * 3 + (3,)).astype(np.float32)
        source += spline(torch.from_numpy(knots) * (size / cells), shape)
    grid = (source * (2 / size)).flip(-1)[None]
    moved, marks = (
        F.grid_sample(volume[None], grid, mode, "zeros", align_corners=False)[0]
        for volume, mode in ((image, "bilinear"), (targets, "nearest"))
    )
    return moved, marks


def spline(knots: Tensor, shape: torch.Size) -> Tensor:
    """The cubic B-spline of knots (cells + 3, cells + 3, cells + 3, value) at each voxel of a shape: (z, y, x, value)."""
    cells = len(knots) - 3
    z, y, x = (_weights(length, cells) for length in shape)
    planes = torch.einsum("yj,ijxc->iyxc", y, torch.einsum("xk,ijkc->ijxc", x, knots))
    return (z @ planes.flatten(1)).unflatten(1, planes.shape[1:])


@lru_cache(64)
def _weights(length: int, cells: int) -> Tensor:
    """What each of cells + 3 knots gives to each of `length` voxels: (length, cells + 3), rows of sum 1."""
    where = (np.arange(length) + 0.5) / length * cells
    first = np.floor(where).astype(np.int64)
    t = where - first
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    weights = np.zeros((length, cells + 3), np.float32)
    for index in range(4):
        weights[np.arange(length), first + index] = basis[index]
    return torch.from_numpy(weights)


def _turn(rng: np.random.Generator, degrees: Triple | None) -> NDArray[np.float64]:
    """A rotation in array order; scipy's x, y and z are only its names for the first, second and third."""
    if degrees is None:
        return np.asarray(Rotation.random(random_state=rng).as_matrix())
    most = np.asarray(degrees)
    return np.asarray(Rotation.from_euler("xyz", rng.uniform(-most, most), degrees=True).as_matrix())


def _axis(length: int, rng: np.random.Generator, distort: float, cells: int) -> Tensor:
    """Where each voxel of an axis is read, from its middle; with distortion the ends stay and the cells' sizes vary."""
    places = np.arange(length) + 0.5
    if distort:
        ends = np.concatenate([[0], np.cumsum(rng.uniform(1 - distort, 1 + distort, cells))])
        places = np.interp(places, np.linspace(0, length, cells + 1), ends / ends[-1] * length)
    return torch.from_numpy((places - length / 2).astype(np.float32))
