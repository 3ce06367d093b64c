"""A scan seen small: what is tissue, what is air, which pixels are blank, and which slices follow one another."""

import re
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from casefold.check.table import AIR_ON_BORDER, FLAT, FLAT_COVER, TISSUE
from casefold.core import Scan

SIDE_PX = 128  # no slice of the overview is larger
BINS = 256
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Overview:
    """The first modality of a scan, shrunk in plane; arrays are (z, y, x).

    air, bright: the median of what is darker and brighter than Otsu's threshold. surrounded: there is air round a body,
    so that inside and outside mean something. blank: patches that are exactly the slice's commonest border value.
    constant: (z,), slices of one value. follows: (z - 1,), slice z + 1 is z's neighbour by the numbers in their names.
    """

    image: Floats
    air: float
    bright: float
    tissue: Bools
    blank: Bools
    constant: Bools
    follows: Bools
    surrounded: bool


def overview(scan: Scan) -> Overview:
    """The overview of a scan; values that are no number count as 0."""
    volume = scan.image[0]
    step = -(-max(volume.shape[1:]) // SIDE_PX)
    image = np.stack([_shrink(_finite(plane), step) for plane in volume])
    threshold = _otsu(image)
    dark = image <= threshold
    air, bright = (float(np.median(image[part])) if part.any() else threshold for part in (dark, ~dark))
    tissue = image > air + TISSUE * (bright - air)
    spread = float(np.median(np.abs(image[dark] - air)))
    return Overview(
        image,
        air,
        bright,
        tissue,
        np.stack([_blank(plane, step) for plane in volume]),
        np.array([bool((plane == plane.flat[0]).all()) for plane in volume]),
        _follows(scan.slice_names),
        bright > air and spread <= FLAT * (bright - air) and 1 - tissue[:, _border(image)].mean() >= AIR_ON_BORDER,
    )


def _finite(plane: NDArray[Any]) -> Floats:
    return np.nan_to_num(plane.astype(np.float32), nan=0, posinf=0, neginf=0)


def _shrink(plane: Floats, step: int) -> Floats:
    height, width = plane.shape
    small = cv2.resize(plane, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _border(image: NDArray[Any]) -> Bools:
    """The outermost pixels of a slice, bool (y, x)."""
    edge = np.ones(image.shape[-2:], bool)
    edge[1:-1, 1:-1] = False
    return edge


def _blank(plane: NDArray[Any], step: int) -> Bools:
    """Where a slice is flat at its commonest border value; single pixels of noise that happen to be are not."""
    values, counts = np.unique(plane[_border(plane)], return_counts=True)
    flat = _shrink((plane == values[counts.argmax()]).astype(np.float32), step) >= FLAT_COVER
    return np.asarray(ndimage.binary_opening(flat, np.ones((3, 3), bool)))


def _otsu(image: Floats) -> float:
    """The threshold that parts dark from bright best (Otsu 1979); the few brightest voxels are clipped."""
    low, high = np.percentile(image, (0, 99))
    counts, edges = np.histogram(np.clip(image, low, high), BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    both = (below > 0) & (above > 0)
    if not both.any():
        return float(high)
    between = below[both] * above[both] * (total[both] / below[both] - (total[-1] - total[both]) / above[both]) ** 2
    return float(edges[1:][both][between.argmax()])


def _follows(names: tuple[str, ...]) -> Bools:
    """Whether each slice but the last is followed by its neighbour; names without numbers are taken to be in order."""
    numbers = [int(match[1]) for name in names if (match := re.search(r"(\d+)\D*$", name))]
    steps = np.diff(numbers)
    if len(numbers) < len(names) or not len(steps):
        return np.ones(len(names) - 1, bool)
    return np.asarray(steps == np.median(steps))
