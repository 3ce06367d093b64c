"""Where the body is in a scan, by intensity alone."""

import logging

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.config.inputs import BodyCrop
from casefold.core import DataError, Scan
from casefold.views.box import Box, whole_box

logger = logging.getLogger(__name__)


def body_box(scan: Scan, crop: BodyCrop) -> Box:
    """The box of the largest piece (6 neighbours) that is brighter than the crop's level, without its margin.

    A scan in which nothing is brighter gives the whole, with a warning. Raises DataError without statistics.
    """
    if len(scan.statistics) != len(scan.image):
        raise DataError(f"scan {scan.name} has statistics of {len(scan.statistics)} modalities, but {len(scan.image)}")
    levels = []
    for modality in scan.statistics:
        low, high = (modality["percentiles"][f"{percentile:g}"] for percentile in (crop.low, crop.high))
        levels.append(low + crop.level * (high - low))
    bright = np.stack([_brighter(scan.image[:, z], levels, crop.median_px) for z in range(scan.grid.shape[0])])
    if not bright.any():
        logger.warning("scan %s: nothing is brighter than the level of data.crop; it stays whole", scan.name)
        return whole_box(scan.grid.shape)
    found = cc3d.statistics(cc3d.connected_components(bright, connectivity=6))
    largest = 1 + int(np.argmax(found["voxel_counts"][1:]))  # 0 is what is darker
    z, y, x = ((side.start, side.stop) for side in found["bounding_boxes"][largest])
    return Box(z, y, x)


def _brighter(planes: NDArray[np.generic], levels: list[float], median_px: int) -> NDArray[np.uint8]:
    """0 or 1 (y, x): what is brighter than its modality's level in any of them, by the majority round each pixel."""
    bright = np.zeros(planes.shape[1:], np.uint8)
    for plane, level in zip(planes, levels, strict=True):
        bright |= plane > level
    return bright if median_px == 1 else np.asarray(cv2.medianBlur(bright, median_px))
