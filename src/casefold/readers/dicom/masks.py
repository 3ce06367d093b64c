"""Masks of a DICOM series: from a label NIfTI, from DICOM segmentation objects, or from a folder of PNGs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from casefold.config.datasets import DicomDataset
from casefold.config.masks import PngLabels, SegmentationLabels
from casefold.core import Grid
from casefold.readers.dicom.faults import Fault, in_one_line
from casefold.readers.dicom.label_map import label_map_masks, masks_by_value
from casefold.readers.dicom.labels import known_values, label_values, segment_labels
from casefold.readers.dicom.segmentation import segmented_masks
from casefold.readers.dicom.series import Series


def class_masks(
    config: DicomDataset, series: Series, paths: Sequence[Path], planes: Sequence[int]
) -> NDArray[np.bool_]:
    """The masks of some slices, bool (class, len(planes), y, x), from what `find_labels` found; raises Fault."""
    masks, values = config.masks, label_values(config)
    if isinstance(masks, SegmentationLabels):
        return segmented_masks(paths, segment_labels(config), series, planes)
    if isinstance(masks, PngLabels):
        return _png_masks(paths, None if not masks.values else values, series.grid, planes)
    return label_map_masks(paths[0], values, known_values(config), series.grid, planes)


def _png_masks(
    paths: Sequence[Path], values: Mapping[str, int] | None, grid: Grid, planes: Sequence[int]
) -> NDArray[np.bool_]:
    """values None: one file a class and slice, class after class, where all that is not 0 is mask."""
    depth = grid.shape[0]
    classes = 1 if values is not None else len(paths) // depth
    found = []
    for place in range(classes):
        chosen = [paths[place * depth + z] for z in planes]
        labels = np.stack([_png(path, grid.shape[1:]) for path in chosen])
        found.append(labels[None] != 0 if values is None else masks_by_value(chosen[0].parent, labels, values, None))
    return np.concatenate(found)


def _png(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        with Picture.open(path) as picture:
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as e:
        raise Fault("unreadable", f"its label {path} can't be read: {in_one_line(e)}; copy it again") from e
    if pixels.shape != shape:
        what = "label image of one channel" if pixels.ndim != 2 else "label image of the slices' size"
        raise Fault("label grid", f"its label {path} should be a {what}, {shape}, but is {pixels.shape}")
    return pixels
