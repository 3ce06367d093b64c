"""Dice, IoU, Hausdorff and surface distances, the UW-Madison score and intervals; NaN means "nothing to score".

Masks are bool. Where a scan has voxels to ignore, set both masks False there before scoring.
"""

from casefold.metrics.hausdorff import Points, TruthDistances, hausdorff_mm, hausdorff_voxels, surface
from casefold.metrics.intervals import bootstrap_interval, nan_mean
from casefold.metrics.overlap import (
    Counts,
    Mask,
    Values,
    accuracy_of,
    dice,
    dice_by_case,
    dice_by_scan,
    dice_by_slice,
    dice_of,
    iou_of,
    overlap,
    overlap_by_case,
    overlap_by_slice,
    precision_of,
    recall_of,
)
from casefold.metrics.surfaces import (
    hd95_mm,
    hd95_voxels,
    surface_dice_mm,
    surface_dice_voxels,
    surface_distances,
)
from casefold.metrics.uwmgi import (
    DICE_WEIGHT,
    SLICE_WISE_PORT,
    UwmgiOptions,
    UwmgiScore,
    mean_uwmgi,
    normal_step,
    uwmgi_score,
)

__all__ = [
    "DICE_WEIGHT",
    "SLICE_WISE_PORT",
    "Counts",
    "Mask",
    "Points",
    "TruthDistances",
    "UwmgiOptions",
    "UwmgiScore",
    "Values",
    "accuracy_of",
    "bootstrap_interval",
    "dice",
    "dice_by_case",
    "dice_by_scan",
    "dice_by_slice",
    "dice_of",
    "hausdorff_mm",
    "hausdorff_voxels",
    "hd95_mm",
    "hd95_voxels",
    "iou_of",
    "mean_uwmgi",
    "nan_mean",
    "normal_step",
    "overlap",
    "overlap_by_case",
    "overlap_by_slice",
    "precision_of",
    "recall_of",
    "surface",
    "surface_dice_mm",
    "surface_dice_voxels",
    "surface_distances",
    "uwmgi_score",
]
