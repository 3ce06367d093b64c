"""Two ensembles held against each other case by case."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from casefold.config.ensembles import Objective
from casefold.core import DataError
from casefold.metrics import bootstrap_interval
from casefold.tune.objective import Floats, interval, value


@dataclass(frozen=True)
class Comparison:
    """One minus the other, paired by case. low, high: the 95 % bootstrap interval over cases.

    better, worse, equal: cases in which the one is. moved: a row a scan, the one that moved most first: case, scan,
    one, other, difference. left_out: scans that only one of the two has.
    """

    difference: float
    low: float
    high: float
    better: int
    worse: int
    equal: int
    moved: pd.DataFrame
    left_out: tuple[str, ...]

    @property
    def within_noise(self) -> bool:
        """Whether the interval holds 0; True where there is none."""
        return not (self.low > 0 or self.high < 0)

    @property
    def words(self) -> str:
        """The comparison in one line."""
        told = "within noise" if self.within_noise else "beyond noise"
        cases = f"better in {self.better} cases, worse in {self.worse}, equal in {self.equal}"
        return f"{self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f}), {told}; {cases}"


def compare(one: Mapping[str, float], other: Mapping[str, float], case_of: Mapping[str, str]) -> Comparison:
    """Compare scores by scan; a case's score is the mean of its scans', NaN left out. case_of: the case of each scan.

    Only scans that both have count. Raises DataError where there are none.
    """
    shared = [scan for scan in one if scan in other]
    if not shared:
        raise DataError("the two have no scan in common; compare ensembles of one data set whose folds overlap")
    moved = pd.DataFrame(
        {
            "case": [case_of[scan] for scan in shared],
            "scan": shared,
            "one": [one[scan] for scan in shared],
            "other": [other[scan] for scan in shared],
        }
    )
    moved["difference"] = moved["one"] - moved["other"]
    by_case = moved.groupby("case", sort=False)["difference"].mean().dropna().to_numpy()
    low, high = bootstrap_interval(by_case)
    return Comparison(
        difference=float(by_case.mean()) if len(by_case) else math.nan,
        low=low,
        high=high,
        better=int((by_case > 0).sum()),
        worse=int((by_case < 0).sum()),
        equal=int((by_case == 0).sum()),
        moved=moved.sort_values("difference", key=lambda column: -column.abs(), kind="stable", ignore_index=True),
        left_out=tuple(sorted(set(one) ^ set(other))),
    )


def objective_difference(objective: Objective, rows: Floats, other: Floats) -> tuple[float, float, float]:
    """The objective of one minus the other's, with its paired 95 % interval over cases. rows, other: (case, 4), as tune
    makes them, the same cases in the same order."""
    if rows.shape != other.shape:
        raise DataError(f"rows of {rows.shape} and {other.shape}; wanted the same cases in both")
    difference = float(np.subtract(*(value(objective, own.sum(axis=0)) for own in (rows, other))))
    return difference, *interval(objective, rows, other)
