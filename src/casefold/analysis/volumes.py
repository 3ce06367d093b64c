"""How large a class is, true and found, and how that changes between the scans of a case."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from casefold.core import Triple
from casefold.metrics import Mask
from casefold.metrics.overlap import overlap
from casefold.readers.patterns import natural_key

SIDES = ("truth", "found")


def volume_rows(
    case: str, scan: str, classes: Sequence[str], truth: Mask, found: Mask, spacing_mm: Triple | None
) -> pd.DataFrame:
    """A row a class: case, scan, class, the volume of truth and found in voxels and in mm3, NaN without a spacing."""
    _, labelled, predicted = np.moveaxis(overlap(truth, found), -1, 0)
    voxel_mm3 = math.nan if spacing_mm is None else math.prod(spacing_mm)
    return pd.DataFrame(
        {
            "case": case,
            "scan": scan,
            "class": list(classes),
            "truth_voxels": labelled,
            "found_voxels": predicted,
            "truth_mm3": labelled * voxel_mm3,
            "found_mm3": predicted * voxel_mm3,
        }
    )


def changes(volumes: pd.DataFrame) -> pd.DataFrame:
    """A row a class and pair of a case's consecutive scans, in the natural order of their names (day2 before day10).

    Columns: case, class, scan_before, scan, and of truth and found the change in voxels and in mm3, NaN where a spacing
    is unknown. Voxels of two scans compare only if they are equal in size. volumes: of `volume_rows`, joined.
    """
    parts = []
    for (case, name), rows in volumes.groupby(["case", "class"], sort=False):
        ordered = rows.loc[sorted(rows.index, key=lambda at: natural_key(str(rows.at[at, "scan"])))]
        content = {"case": case, "class": name, "scan_before": ordered["scan"].shift(), "scan": ordered["scan"]}
        for side in SIDES:
            for unit in ("voxels", "mm3"):
                content[f"{side}_change_{unit}"] = ordered[f"{side}_{unit}"].astype(float).diff()
        parts.append(pd.DataFrame(content)[1:])
    return pd.concat(parts, ignore_index=True)
