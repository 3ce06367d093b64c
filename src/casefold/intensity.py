"""What normalises a scan, computed by one function: `prepare` stores it, submission calls it on a scan just read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.experiments import PERCENTILES


def scan_statistics(image: NDArray[Any]) -> tuple[dict[str, Any], ...]:
    """For each modality of an image (modality, z, y, x): mean, std and PERCENTILES (keyed by their text) of all voxels.

    Plain floats, so that they survive JSON unchanged.
    """
    statistics = []
    for volume in image:
        values = np.percentile(volume, PERCENTILES)
        statistics.append(
            {
                "mean": float(volume.mean(dtype=np.float64)),
                "std": float(volume.std(dtype=np.float64)),
                "percentiles": {f"{p:g}": float(value) for p, value in zip(PERCENTILES, values, strict=True)},
            }
        )
    return tuple(statistics)
