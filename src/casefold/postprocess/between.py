"""What is done where classes lie over each other."""

import numpy as np

from casefold.config.postprocess import Overlap
from casefold.core import DataError
from casefold.postprocess.part import Part


def overlap(part: Part, step: Overlap) -> None:
    """Leave each voxel to one of the step's classes; raises DataError where `largest` lacks maps or levels."""
    chosen = part.chosen(step)
    seen, twice = np.zeros(part.masks.shape[1:], np.bool_), np.zeros(part.masks.shape[1:], np.bool_)
    for index in chosen:
        twice |= seen & part.masks[index]
        seen |= part.masks[index]
    at = np.unravel_index(np.flatnonzero(twice), twice.shape)
    rows = np.array(chosen)[:, None]
    claimed = part.masks[rows, *at]
    if step.rule == "priority":
        winner = claimed.argmax(0)
    elif part.maps is None or part.levels is None:
        raise DataError("overlap: the rule `largest` needs maps and levels; the rule `priority` needs neither")
    else:
        margins = part.maps[rows, *at].astype(np.int16) - np.asarray(part.levels, np.int16)[rows]
        winner = np.where(claimed, margins, np.iinfo(np.int16).min).argmax(0)
    part.masks[rows, *at] = np.arange(len(chosen))[:, None] == winner
