"""The truth that a member's presence is trained towards and scored against: a class is there, or was cut off."""

import numpy as np
from numpy.typing import NDArray

from casefold.config.experiments import Cls
from casefold.config.presence import IS_THERE, CutOff, PresenceTarget
from casefold.core import Scan


def target_of(config: object) -> PresenceTarget:
    """What a member's presence says; that of a segmenter or an external member, that a class is there."""
    return config.target if isinstance(config, Cls) else IS_THERE


def presence_truth(scan: Scan, target: PresenceTarget) -> NDArray[np.bool_]:
    """The truth of a labelled scan, bool (class, z)."""
    masks = scan.class_masks()
    if isinstance(target, CutOff):
        return footward(np.count_nonzero(masks, axis=(2, 3)).T, target).T
    return np.asarray(masks.any(axis=(2, 3)))


def footward(areas: NDArray[np.int64], target: CutOff) -> NDArray[np.bool_]:
    """Which slices lie footward of a class's labels that were cut off, bool (z, class); areas: its pixels there."""
    found = np.zeros(areas.shape, np.bool_)
    view, own = (areas, found) if target.foot == "first" else (areas[::-1], found[::-1])
    for index in np.flatnonzero(areas.any(axis=0)):
        start = int(np.argmax(view[:, index] > 0))
        gaps = np.flatnonzero(view[start:, index] == 0)
        run = view[start : start + int(gaps[0]) if gaps.size else None, index]
        if len(run) >= target.min_slices and run[0] >= target.share * run.max():
            own[:start, index] = True
    return found
