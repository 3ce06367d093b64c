"""How far the best single intensity interval gets on a data set, by class: the phantom must stay under 0.5 Dice.

python benchmarks/phantom_hardness.py [--dataset NAME]; the data set lies below CASEFOLD_DATA, a phantom is drawn there.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.load import load_dataset
from casefold.config.paths import Paths
from casefold.core import Scan
from casefold.readers import table

LEVELS = 128
Best = tuple[float, float, float]


def levels_of(image: NDArray[Any]) -> NDArray[np.int64]:
    """Whole levels 0..LEVELS-1 between the scan's own 0.5 and 99.5 percentiles."""
    low, high = np.percentile(image, (0.5, 99.5))
    scaled = (image.astype(np.float64) - low) / max(high - low, 1e-9)
    levels: NDArray[np.float64] = np.clip(np.floor(scaled * LEVELS), 0, LEVELS - 1)
    return levels.astype(np.int64)


def dice_by_interval(scan: Scan) -> NDArray[np.float64]:
    """3D Dice (class, a, b) of taking all voxels of levels a..b for a class; NaN where the scan has none of it."""
    levels = levels_of(scan.image[0])
    everything = _sums(np.bincount(levels.ravel(), minlength=LEVELS))
    found = []
    for mask in scan.class_masks():
        inside = _sums(np.bincount(levels[mask], minlength=LEVELS))
        found.append(2 * inside / (everything + mask.sum()) if mask.any() else np.full_like(inside, np.nan))
    return np.stack(found)


def _sums(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many voxels have a level a..b, (a, b); 0 where b < a."""
    total = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    return np.triu(total[np.newaxis, 1:] - total[:-1, np.newaxis])


def best_intervals(scans: Sequence[Scan]) -> dict[str, Best]:
    """Class to the best 3D Dice (mean over scans) of any one interval, chosen on the truth, and the interval (0..1)."""
    mean = np.nanmean([dice_by_interval(scan) for scan in scans], axis=0)
    best = {}
    for label, dice in zip(scans[0].classes, mean, strict=True):
        a, b = np.unravel_index(int(np.argmax(dice)), dice.shape)
        best[label] = (float(dice[a, b]), float(a) / LEVELS, (float(b) + 1) / LEVELS)
    return best


def main() -> None:
    """Print a row a class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="demo", help="a name in configs/datasets")
    name = parser.parse_args().dataset
    paths = Paths.from_environment()
    config = load_dataset(paths.configs, name)
    raws = [raw for raw in table.find(config, paths.raw(config.root), "train") if raw.labelled]
    scans = [table.load(config, raw) for raw in raws]
    empty = np.mean(np.concatenate([~scan.class_masks().any((0, 2, 3)) for scan in scans]))
    print(f"{name}: {len(scans)} labelled scans, {empty:.0%} of the slices empty")
    print("class              Dice  from    to   (0 and 1: the scan's percentiles 0.5 and 99.5)")
    for label, (dice, low, high) in best_intervals(scans).items():
        print(f"{label:<16} {dice:6.3f}  {low:4.2f}  {high:4.2f}")


if __name__ == "__main__":
    main()
