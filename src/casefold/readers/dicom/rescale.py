"""Stored DICOM values to their own unit: by slope and intercept, into the smallest type that holds them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rescaled(plane: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """A plane in its own unit (HU), float32."""
    return (plane.astype(np.float64) * slope + intercept).astype(np.float32)


def stack(planes: list[NDArray[Any]], scales: Sequence[tuple[float, float]]) -> NDArray[Any]:
    """Planes rescaled by (slope, intercept), one a plane, into (channel, z, y, x); `planes` is emptied on the way.

    Stored values stay as they are where there is nothing to rescale. Whole slopes and intercepts give the smallest
    integer type, not below the stored width and signed before unsigned, that holds all values; others give float32.
    """
    kind = _rescaled_type(planes, scales)
    first = planes[0]
    out = np.empty((1 if first.ndim == 2 else first.shape[2], len(planes), *first.shape[:2]), kind)
    planes.reverse()
    for z, (slope, intercept) in enumerate(scales):
        plane: NDArray[Any] = planes.pop()
        if (slope, intercept) != (1, 0):
            whole = kind.kind != "f"
            plane = plane.astype(np.int64) * int(slope) + int(intercept) if whole else rescaled(plane, slope, intercept)
        out[:, z] = plane if plane.ndim == 2 else plane.transpose(2, 0, 1)
    return out


def _rescaled_type(planes: Sequence[NDArray[Any]], scales: Sequence[tuple[float, float]]) -> np.dtype[Any]:
    stored = np.result_type(*planes)
    if all(scale == (1, 0) for scale in scales):
        return stored.newbyteorder("=")
    if stored.kind == "f" or not all(float(number).is_integer() for scale in scales for number in scale):
        return np.dtype(np.float32)
    ends = [
        int(end) * int(slope) + int(intercept)
        for plane, (slope, intercept) in zip(planes, scales, strict=True)
        for end in (plane.min(), plane.max())
    ]
    for size in (size for size in (1, 2, 4) if size >= stored.itemsize):
        for letter in "iu":
            limits = np.iinfo(f"{letter}{size}")
            if limits.min <= min(ends) and max(ends) <= limits.max:
                return limits.dtype
    return np.dtype(np.int64)
