"""Dice slice by slice: near the ends of what is annotated, by size, and by contrast with what lies round it."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.metrics import Mask, dice_of, overlap_by_slice
from casefold.postprocess.part import smallest_box

RING_PX = 3  # how wide the ring is that a class is compared with
COLUMNS = ["scan", "class", "z", "distance", "dice", "truth_voxels", "found_voxels", "contrast"]


def slice_rows(
    scan: str, classes: Sequence[str], truth: Mask, found: Mask, image: NDArray[Any], std: Sequence[float]
) -> pd.DataFrame:
    """A row a class and slice that has it in truth or prediction. image: (modality, z, y, x). std: of each modality.

    distance: slices to the nearer of the truth's first and last slice; 0 on these, below 0 beyond them, NaN where the
    scan has no truth of the class. contrast: |mean inside - mean of a ring round it| over the modality's std, the
    largest of the modalities; NaN where there is no truth, no ring, or no spread.
    """
    counts = overlap_by_slice(truth, found)
    dice = dice_of(counts)
    rows: list[tuple[Any, ...]] = []
    for c, name in enumerate(classes):
        box = smallest_box(truth[c])
        contrast = np.full(truth.shape[1], np.nan)
        if box is not None:
            contrast[box[0]] = _contrast(truth[c], box, image, std)
        for z in np.flatnonzero(~np.isnan(dice[c])).tolist():
            distance = np.nan if box is None else min(z - box[0].start, box[0].stop - 1 - z)
            _, labelled, predicted = counts[c, z].tolist()
            rows.append((scan, name, z, distance, dice[c, z], labelled, predicted, contrast[z]))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"distance": np.float64, "z": np.int64})


def by_distance(rows: pd.DataFrame, deepest: int = 5) -> pd.DataFrame:
    """Mean Dice and number of slices by class and distance, from -deepest to deepest; what is farther counts there."""
    near = rows.dropna(subset="distance")
    near = near.assign(distance=near["distance"].clip(-deepest, deepest).astype(int))
    return near.groupby(["class", "distance"], sort=True, as_index=False).agg(
        dice=("dice", "mean"), slices=("z", "size")
    )


def _contrast(truth: Mask, box: tuple[slice, slice, slice], image: NDArray[Any], std: Sequence[float]) -> NDArray[Any]:
    """Of each slice of the truth's box."""
    deep, *sides = box
    y, x = (slice(max(side.start - RING_PX, 0), side.stop + RING_PX) for side in sides)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING_PX + 1, 2 * RING_PX + 1))
    found = np.full(deep.stop - deep.start, np.nan)
    for at, mask in enumerate(truth[deep, y, x]):
        inside = mask.astype(np.uint8)
        ring = cv2.dilate(inside, kernel) > inside
        if mask.any() and ring.any():
            for planes, spread in zip(image, std, strict=True):
                plane = planes[deep.start + at, y, x]
                if spread > 0:
                    apart = abs(float(plane[mask].mean()) - float(plane[ring].mean())) / spread
                    found[at] = np.fmax(found[at], apart)
    return found
