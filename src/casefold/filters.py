"""Named filters of whole scans, applied as a scan is read: the same in training and prediction."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.config.base import FilterConfig
from casefold.core import DataError, Scan

Volume = NDArray[Any]
THIN = 4  # an axis of fewer voxels can't hold N4's spline
STORED_GROWTH = {"n4": 2}  # how many times larger a scan is stored: 16 bits become float32
BY_OPENCV = ("uint8", "uint16", "int16", "float32")  # the types whose median OpenCV takes


def apply_filters(scan: Scan, filters: tuple[FilterConfig, ...]) -> Scan:
    """The scan with its image filtered, modality by modality, in the config's order; no filters give the scan itself.

    Raises DataError where a filter can't take the image's type.
    """
    for config in filters:
        volumes = [FILTERS[config.name](config, volume, scan.name) for volume in scan.image]
        scan = replace(scan, image=np.stack(volumes))
    return scan


def _n4(config: Any, volume: Volume, name: str) -> Volume:
    """Divide by the bias field fitted on what Otsu's threshold calls foreground; a volume without any stays as it is.

    A volume of few slices is corrected slice by slice. One thread, so that the result repeats to the bit.
    """
    if min(volume.shape[1:]) < THIN:
        raise DataError(f"scan {name}: slices of {volume.shape[1:]} are too small for the filter n4; take it out")
    if len(volume) < THIN:
        return np.stack([_n4_whole(config, plane) for plane in volume])
    return _n4_whole(config, volume)


def _n4_whole(config: Any, voxels: Volume) -> NDArray[np.float32]:
    import SimpleITK as sitk

    corrected = voxels.astype(np.float32)
    image = sitk.GetImageFromArray(corrected)
    shrink = min(config.shrink, min(voxels.shape[-2:]) // THIN)
    shrunk = sitk.Shrink(image, [shrink, shrink] + [1] * (voxels.ndim - 2))  # sitk's order is x, y, z
    mask = sitk.And(sitk.OtsuThreshold(shrunk, 0, 1), shrunk > 0)  # the field is fitted to logarithms
    if not sitk.GetArrayViewFromImage(mask).any():
        return corrected
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(config.iterations)
    corrector.SetNumberOfThreads(1)
    corrector.Execute(shrunk, mask)
    field = corrector.GetLogBiasFieldAsImage(image)  # kept by name: a view does not keep its image alive
    corrected /= np.exp(sitk.GetArrayViewFromImage(field))
    return corrected


def _median(config: Any, volume: Volume, name: str) -> Volume:
    if volume.dtype.name in BY_OPENCV:
        return np.stack([cv2.medianBlur(plane, config.size_px) for plane in np.ascontiguousarray(volume)])
    return np.stack([_median_of_any_type(plane, config.size_px) for plane in volume])


def _median_of_any_type(plane: Volume, size_px: int) -> Volume:
    padded = np.pad(plane, size_px // 2, mode="edge")  # as OpenCV
    squares = np.lib.stride_tricks.sliding_window_view(padded, (size_px, size_px)).reshape(*plane.shape, -1)
    middle = size_px**2 // 2
    return np.asarray(np.partition(squares, middle, axis=-1)[..., middle])


def _clahe(config: Any, volume: Volume, name: str) -> Volume:
    if volume.dtype.name not in ("uint8", "uint16"):
        raise DataError(
            f"scan {name}: the filter clahe takes images of uint8 or uint16, and this one is {volume.dtype}; "
            "take clahe out of `filters`"
        )
    equaliser = cv2.createCLAHE(config.clip, (config.tiles, config.tiles))
    return np.stack([equaliser.apply(plane) for plane in np.ascontiguousarray(volume)])


FILTERS: dict[str, Callable[[Any, Volume, str], Volume]] = {"n4": _n4, "median": _median, "clahe": _clahe}
