"""How alike the masks of members are, each with each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.metrics import dice_of, nan_mean

MOST = 16  # masks that are told apart at once, a bit each


def shared_voxels(masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many voxels each mask shares with each other, int64 (mask, mask), its own size on the diagonal.

    masks: of one class, equal in shape; of picked voxels, `voxels.q >= level`. Adds up over scans. Raises DataError for
    none or more than MOST.
    """
    if not 0 < len(masks) <= MOST:
        raise DataError(f"{len(masks)} masks to compare; wanted 1..{MOST}")
    code = np.zeros(masks[0].shape, np.uint16)
    for bit, mask in enumerate(masks):
        code |= mask.astype(np.uint16) << np.uint16(bit)
    times = np.bincount(code.ravel(), minlength=1 << len(masks))
    has = (np.arange(len(times))[:, None] >> np.arange(len(masks))) & 1
    return np.asarray(has.T @ (times[:, None] * has))


def agreement(shared: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Dice of each with each, the mean over classes. shared: (class, mask, mask), sums of `shared_voxels`.

    NaN where both are empty in every class.
    """
    size = np.diagonal(shared, axis1=1, axis2=2)
    dice = dice_of(np.stack(np.broadcast_arrays(shared, size[:, :, None], size[:, None, :]), axis=-1))
    return pd.DataFrame(nan_mean(dice, axis=0), index=list(names), columns=list(names))
