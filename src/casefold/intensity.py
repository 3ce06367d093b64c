"""What normalises a scan, computed by one function: `prepare` stores it, submission calls it on a scan just read."""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.inputs import PERCENTILES
from casefold.core import DataError

TOP = 99.9  # the percentile of the foreground that is kept
DIGIT_BITS = 16
SMALL_VOXELS = 1 << 20  # of a scan that is sorted at once: 8 MB at most


def scan_statistics(image: NDArray[Any]) -> tuple[dict[str, Any], ...]:
    """For each modality of an image (modality, z, y, x): mean, std and PERCENTILES (keyed by their text) of all voxels.

    `foreground`: mean, std and percentile 99.9 (`top`) of the voxels above the modality's lowest value; where all
    voxels are equal, their value, 0 and their value. Percentiles are exact, and linear between two voxels as numpy's.
    Takes the memory of a few slices. Plain floats, so that they survive JSON unchanged. Raises DataError on voxels
    that are no finite numbers.
    """
    return tuple(_statistics(volume) for volume in image)


def _statistics(volume: NDArray[Any]) -> dict[str, Any]:
    if volume.dtype.kind not in "biuf" or volume.dtype.itemsize > 8:
        raise DataError(f"the image is of type {volume.dtype}; wanted whole numbers, float32 or float64")
    if volume.dtype.kind == "f":
        wrong = sum(int(plane.size - np.count_nonzero(np.isfinite(plane))) for plane in volume)
        if wrong:
            raise DataError(f"{wrong} voxels of the image are no finite numbers (NaN or infinite); mend the files")
    lowest = min(plane.min() for plane in volume)
    last = volume.size - 1
    background = min(sum(int(np.count_nonzero(plane == lowest)) for plane in volume), last)  # all equal: one is inside
    places = [p / 100 * last for p in PERCENTILES]
    *percentiles, top = _interpolated(volume, [*places, background + TOP / 100 * (last - background)])
    mean, std = _mean_and_std(volume, None)
    inside_mean, inside_std = (mean, std) if percentiles[-1] == lowest else _mean_and_std(volume, lowest)
    return {
        "mean": mean,
        "std": std,
        "percentiles": {f"{p:g}": value for p, value in zip(PERCENTILES, percentiles, strict=True)},
        "foreground": {"mean": inside_mean, "std": inside_std, "top": top},
    }


def _mean_and_std(volume: NDArray[Any], above: Any | None) -> tuple[float, float]:
    """In float64, slice by slice, over all voxels or those above a value."""

    def total(centre: float, power: int) -> float:
        parts = (plane if above is None else plane[plane > above] for plane in volume)
        return float(sum(float(((part.astype(np.float64) - centre) ** power).sum()) for part in parts))

    count = volume.size if above is None else sum(int(np.count_nonzero(plane > above)) for plane in volume)
    mean = total(0.0, 1) / count
    return mean, sqrt(total(mean, 2) / count)


def _interpolated(volume: NDArray[Any], places: Sequence[float]) -> list[float]:
    """What stands at these places among the sorted voxels (0: the lowest); between two of them the line that joins."""
    values = _ranked(volume, {rank for place in places for rank in (int(place), -int(-place // 1))})
    return [
        float(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))
        for low, high, share in ((values[int(p)], values[-int(-p // 1)], p - int(p)) for p in places)
    ]


def _ranked(volume: NDArray[Any], ranks: set[int]) -> dict[int, float]:
    """The voxels of these ranks, found digit by digit (of 16 bits) in one pass over the slices each, or by sorting."""
    if volume.size <= SMALL_VOXELS:
        ordered = np.sort(volume, axis=None)
        return {rank: ordered[rank].item() + 0 for rank in ranks}  # never -0
    bits = 8 * volume.dtype.itemsize
    digit = min(DIGIT_BITS, bits)
    found = {rank: (0, rank) for rank in ranks}  # the key's leading digits, and the rank among keys that begin so
    for shift in range(bits - digit, -1, -digit):
        counts = {leading: np.zeros(1 << digit, np.int64) for leading, _ in found.values()}
        for plane in volume:
            keys = _keys(plane) >> shift
            for leading, count in counts.items():
                own = keys if shift == bits - digit else keys[keys >> digit == leading]
                count += np.bincount((own & ((1 << digit) - 1)).astype(np.int64), minlength=1 << digit)
        for rank, (leading, left) in found.items():
            below = counts[leading].cumsum()
            value = int(np.searchsorted(below, left, side="right"))
            found[rank] = ((leading << digit) | value, left - int(below[value] - counts[leading][value]))
    return {rank: _value(key, volume.dtype) for rank, (key, _) in found.items()}


def _keys(plane: NDArray[Any]) -> NDArray[Any]:
    """Unsigned numbers in the order of the voxels: their bits, turned where a sign would upset the order."""
    own = np.ascontiguousarray(plane, plane.dtype.newbyteorder("=")).ravel()
    bits = own.view(f"u{own.itemsize}")
    sign = bits.dtype.type(1 << (8 * own.itemsize - 1))
    if own.dtype.kind == "f":
        return np.where(bits & sign, ~bits, bits | sign)
    return bits ^ sign if own.dtype.kind == "i" else bits


def _value(key: int, dtype: np.dtype[Any]) -> float:
    """The voxel of a key."""
    size = dtype.itemsize
    sign = 1 << (8 * size - 1)
    if dtype.kind == "f":
        bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
        return float(np.array(bits, f"u{size}").view(f"f{size}")) + 0.0  # never -0
    return key - sign if dtype.kind == "i" else key
