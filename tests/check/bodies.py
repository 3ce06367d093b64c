"""A body in air, drawn the same each time: what the findings are tried on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.core import Grid, Scan, pack_masks

SIDE = 48
Y, X = np.mgrid[:SIDE, :SIDE]


def disc(y: float, x: float, radius: float) -> NDArray[np.bool_]:
    """Bool (y, x)."""
    return (Y - y) ** 2 + (X - x) ** 2 <= radius**2


def body(depth: int = 10) -> NDArray[np.int16]:
    """Image (z, y, x): air of 0 to 4, and a disc of 80 to 120 with one pattern on all slices, but for noise."""
    random = np.random.default_rng(1)
    pattern = random.integers(80, 121, (SIDE, SIDE))
    air, noise = random.integers(0, 5, (depth, SIDE, SIDE)), random.integers(-2, 3, (depth, SIDE, SIDE))
    return np.where(disc(24, 24, 16), pattern + noise, air).astype(np.int16)


def scan(image: NDArray[Any], masks: NDArray[np.bool_] | None = None, name: str = "case1_day0", **changes: Any) -> Scan:
    """A scan of (z, y, x) or (modality, z, y, x); masks (class, z, y, x) of classes `a`, `b`, ..."""
    image = image if image.ndim == 4 else image[None]
    content: dict[str, Any] = {
        "case": name.partition("_")[0],
        "name": name,
        "image": image,
        "grid": Grid(image.shape[1:], (3.0, 1.5, 1.5)),
        "classes": tuple("abc"[: 1 if masks is None else len(masks)]),
        "slice_names": tuple(f"{name}_slice_{z + 1:04d}" for z in range(image.shape[1])),
        "masks": None if masks is None else pack_masks(masks),
    }
    return Scan(**{**content, **changes})
