"""Hysteresis: a mask at a low level, kept only where it is sure somewhere."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.postprocess.components import label
from casefold.postprocess.part import Mask, smallest_box


def hysteresis(
    maps: NDArray[np.uint8], levels: Sequence[int], peaks: Sequence[int], allowed: NDArray[np.bool_] | None = None
) -> Mask:
    """Masks bool (class, z, y, x) of q >= level, less the 3D components (26 neighbours) in which no q reaches the peak.

    levels, peaks: one a class; a peak not above the level drops nothing. allowed: bool (class, z), the slices that pass
    the gate; what lies on others is neither part of a component nor a peak. Raises DataError for other shapes.
    """
    if maps.dtype != np.uint8 or maps.ndim != 4:
        raise DataError(f"hysteresis wants uint8 maps (class, z, y, x), not {maps.dtype} of shape {maps.shape}")
    if not len(maps) == len(levels) == len(peaks):
        raise DataError(f"{len(maps)} maps, {len(levels)} levels and {len(peaks)} peaks; wanted one a class of each")
    if allowed is not None and allowed.shape != maps.shape[:2]:
        raise DataError(f"allowed should be (class, z), {maps.shape[:2]} here, but has shape {allowed.shape}")
    masks: Mask = np.empty(maps.shape, np.bool_)
    for index, (q, level, peak) in enumerate(zip(maps, levels, peaks, strict=True)):
        np.greater_equal(q, level, out=masks[index])
        if allowed is not None:
            masks[index, ~allowed[index]] = False
        if peak > level and (box := smallest_box(masks[index])) is not None:
            mask = masks[index][box]
            numbers = label(mask)[mask]
            sure = np.zeros(int(numbers.max()) + 1, np.bool_)
            sure[numbers[q[box][mask] >= peak]] = True
            mask[mask] = sure[numbers]
    return masks
