"""A member tried out on labelled scans: how long it takes, and how well it does."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from casefold.core import HALF, DataError, Scan
from casefold.metrics import Values, dice_of, nan_mean, overlap, overlap_by_case
from casefold.predict import Member, predict

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trial:
    """CPU milliseconds a scan, of prediction alone; Dice at level 128, (case, class), NaN where there is nothing."""

    ms_a_scan: float
    dice: Values

    @property
    def mean(self) -> float:
        """Over the classes of a case, then over the cases."""
        return float(nan_mean(self.by_case))

    @property
    def by_case(self) -> Values:
        """The mean over each case's classes."""
        return np.asarray(nan_mean(self.dice, axis=1))

    @property
    def by_class(self) -> list[float]:
        """The mean over the cases, of each class."""
        return [float(value) for value in nan_mean(self.dice, axis=0)]


def try_out(member: Member, scans: Iterable[Scan]) -> Trial:
    """Predict scans on the CPU, one at a time; voxels to be ignored do not count. Raises DataError for no maps."""
    spent_s, cases, counts = 0.0, [], []
    for scan in scans:
        began = time.process_time()
        maps = predict(member, scan, CPU).maps
        spent_s += time.process_time() - began
        if maps is None:
            raise DataError(f"{member.config.name} predicts no maps, so it has no Dice")
        there = np.ones(scan.grid.shape, np.bool_) if scan.ignore is None else ~scan.ignore
        cases.append(scan.case)
        counts.append(overlap(scan.class_masks() & there, (maps >= HALF) & there))
    found = np.stack([dice_of(count) for count in overlap_by_case(cases, counts).values()])
    return Trial(1000 * spent_s / len(cases), found)
