"""Post-processing of one scan's masks, bool (class, z, y, x) on the scan's own grid: steps by name, and hysteresis.

A step sees one class of one scan at a time; `overlap` alone compares the classes. Empty in, empty out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.postprocess import Step
from casefold.core import ConfigError, DataError, Triple, nearest_word
from casefold.postprocess.along_z import drop_ends, drop_runs, fill_gaps, truncate
from casefold.postprocess.between import overlap
from casefold.postprocess.components import fill_holes, label, largest_components, small_components
from casefold.postprocess.part import Mask, Part, common_box
from casefold.postprocess.peaks import hysteresis

STEPS: dict[str, Callable[[Part, Any], None]] = {
    "small_components": small_components,
    "largest_components": largest_components,
    "fill_holes": fill_holes,
    "fill_gaps": fill_gaps,
    "drop_runs": drop_runs,
    "drop_ends": drop_ends,
    "truncate": truncate,
    "overlap": overlap,
}

__all__ = ["STEPS", "apply", "hysteresis", "label"]


def apply(
    masks: Mask,
    steps: Sequence[Step],
    classes: Sequence[str],
    *,
    spacing_mm: Triple | None = None,
    presence: Mapping[str, NDArray[np.uint8]] | None = None,
    maps: NDArray[np.uint8] | None = None,
    levels: Sequence[int] | None = None,
) -> Mask:
    """The masks of one scan after every step, in the order given, as a new array; no steps give a copy.

    classes: the masks' names. spacing_mm: of (z, y, x), for sizes in mm. presence: uint8 (class or 1, z) by member, for
    `truncate`. maps, levels: q, uint8 like the masks, and a level a class, for `overlap` by the largest q - level.
    Raises DataError where a step lacks what it needs or shapes differ, ConfigError for a class that is not there.
    """
    _check(masks, steps, classes, maps, levels)
    box = common_box(masks)
    maps = None if maps is None else maps[:, *box]
    part = Part(masks[:, *box].copy(), tuple(classes), box, masks.shape[1:], spacing_mm, presence or {}, maps, levels)
    for step in steps:
        STEPS[step.name](part, step)
    done = np.zeros_like(masks)
    done[:, *box] = part.masks
    return done


def _check(
    masks: Mask,
    steps: Sequence[Step],
    classes: Sequence[str],
    maps: NDArray[np.uint8] | None,
    levels: Sequence[int] | None,
) -> None:
    if masks.dtype != np.bool_ or masks.ndim != 4:
        raise DataError(f"post-processing wants bool masks (class, z, y, x), not {masks.dtype} of shape {masks.shape}")
    if len(classes) != len(masks) or (levels is not None and len(levels) != len(masks)):
        raise DataError(f"{len(masks)} masks, classes {list(classes)} and levels {levels}; wanted one a class of each")
    if maps is not None and (maps.dtype != np.uint8 or maps.shape != masks.shape):
        raise DataError(f"maps should be uint8 of shape {masks.shape}, but are {maps.dtype} of shape {maps.shape}")
    for step in steps:
        for name in step.classes or ():
            if name not in classes:
                raise ConfigError(
                    f"{step.name}: {name!r} is none of the classes {list(classes)}{nearest_word(name, classes)}"
                )
