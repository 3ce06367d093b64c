"""Pure functions on final masks, bool (class, z, y, x), on the scan's own grid; empty in, empty out."""

import cc3d
import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError


def drop_small(masks: NDArray[np.bool_], min_voxels: int) -> NDArray[np.bool_]:
    """Masks without their 3D components (26 neighbours) of fewer than `min_voxels` voxels, class by class."""
    if masks.dtype != np.bool_ or masks.ndim != 4:
        raise DataError(f"drop_small wants bool masks (class, z, y, x), not {masks.dtype} of shape {masks.shape}")
    if min_voxels <= 1:
        return masks.copy()
    kept = np.zeros_like(masks)
    for index, mask in enumerate(masks):
        if mask.any():
            kept[index] = cc3d.dust(np.ascontiguousarray(mask), threshold=min_voxels, connectivity=26) > 0
    return kept
