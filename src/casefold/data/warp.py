"""One resampling of a patch for all that moves its voxels: turn, scale, shift, elastic and grid distortion.

MONAI has each of these, but slower: benchmarks/augment_speed.py holds the two side by side.
"""

from collections.abc import Sequence
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

    degrees: the largest turn about z, y and x, counted in voxels, None for any turn at all; about z alone where the
    patch is more than three times as long as deep (nnU-Net's rule), since its voxels are then no cubes. scale: what
    things grow by, drawn on a logarithmic scale, with `stretch` for each axis alone. shift: at most, as a share of each
    length. elastic: the knots of a cubic B-spline of `cells` to each axis (Rueckert 1999) move by at most this share of
    a cell. distort: `cells` to each axis, longer or shorter by at most this share.
    """
    shape = image.shape[1:]
    size = np.array(shape)
    low, high = np.log(scale)
    turn = _turn(rng, degrees, flat=max(shape) > 3 * shape[0]) / np.exp(rng.uniform(low, high, 3 if stretch else 1))
    # a cubic spline gives a straight line back, so that turn, scale and shift can be laid into its knots
    knots = np.stack(np.meshgrid(*[_knots(cells) * length for length in shape], indexing="ij"), axis=-1)
    source = knots @ turn.T + rng.uniform(-shift, shift, 3) * size
    if elastic:
        source += rng.uniform(-elastic, elastic, source.shape) * size / cells
    wanted = torch.from_numpy((source * 2 / size)[..., ::-1].astype(np.float32))
    grid = spline(
        wanted, [_uneven(length, rng, distort, cells) if distort else _even(length, cells) for length in shape]
    )
    moved, marks = (
        F.grid_sample(volume[None], grid[None], mode, "zeros", align_corners=False)[0]
        for volume, mode in ((image, "bilinear"), (targets, "nearest"))
    )
    return moved, marks


def smooth_field(knots: Tensor, shape: Sequence[int]) -> Tensor:
    """The cubic B-spline of knots (z, y, x, value), three more than cells to each axis, at every voxel of a shape."""
    return spline(knots, [_even(length, len(knots) - 3) for length in shape])


def spline(knots: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Knots (z, y, x, value) seen through the weights (voxel, knot) of each axis."""
    z, y, x = weights
    planes = torch.einsum("yj,ijxc->iyxc", y, torch.einsum("xk,ijkc->ijxc", x, knots))
    return (z @ planes.flatten(1)).view(-1, *planes.shape[1:])


def _knots(cells: int) -> NDArray[np.float64]:
    """Where the knots of an axis of length 1 lie, from its middle; one lies outside at each end."""
    return np.arange(-1, cells + 2) / cells - 0.5


@lru_cache(64)
def _even(length: int, cells: int) -> Tensor:
    return _weights((np.arange(length) + 0.5) / length * cells, cells)


def _uneven(length: int, rng: np.random.Generator, distort: float, cells: int) -> Tensor:
    """As _even, but each voxel is read from elsewhere on the axis: the ends stay, and the cells' sizes vary."""
    ends = np.concatenate([[0], np.cumsum(rng.uniform(1 - distort, 1 + distort, cells))])
    places = (np.arange(length) + 0.5) / length
    return _weights(np.interp(places, np.linspace(0, 1, cells + 1), ends / ends[-1]) * cells, cells)


def _weights(places: NDArray[np.float64], cells: int) -> Tensor:
    """What each of cells + 3 knots gives to places 0..cells: (place, knot), rows of sum 1."""
    first = np.floor(places).astype(np.int64)
    t = places - first
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    weights = np.zeros((len(places), cells + 3), np.float32)
    np.put_along_axis(weights, first[:, None] + np.arange(4), basis, axis=1)
    return torch.from_numpy(weights)


def _turn(rng: np.random.Generator, degrees: Triple | None, flat: bool) -> NDArray[np.float64]:
    """A rotation in array order; scipy's x, y and z are only its names for the first, second and third axis."""
    if degrees is None and not flat:
        return np.asarray(Rotation.random(random_state=rng).as_matrix())
    most = np.asarray(degrees or (180, 0, 0)) * ((1, 0, 0) if flat else (1, 1, 1))
    return np.asarray(Rotation.from_euler("xyz", rng.uniform(-most, most), degrees=True).as_matrix())
