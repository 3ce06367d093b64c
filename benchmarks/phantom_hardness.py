"""How far the best single intensity threshold gets on a data set, by class: the phantom should stay under 0.5.

python benchmarks/phantom_hardness.py --dataset phantom --data data
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.load import load_dataset
from casefold.core import Scan
from casefold.readers import table

LEVELS = 20


def levels_of(image: NDArray[Any]) -> NDArray[np.int64]:
    """Whole levels 0..LEVELS-1 between the scan's own 0.5 and 99.5 percentiles."""
    low, high = np.percentile(image, (0.5, 99.5))
    scaled = (image.astype(np.float64) - low) / max(high - low, 1e-9)
    return np.clip(np.floor(scaled * LEVELS), 0, LEVELS - 1).astype(np.int64)


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


def best_threshold(scans: list[Scan]) -> dict[str, tuple[float, float, float]]:
    """Class to the best mean Dice over scans of any one interval, chosen on the truth, and that interval in 0..1."""
    mean = np.nanmean([dice_by_interval(scan) for scan in scans], axis=0)
    best = {}
    for label, dice in zip(scans[0].classes, mean, strict=True):
        a, b = np.unravel_index(int(np.argmax(dice)), dice.shape)
        best[label] = (float(dice[a, b]), float(a) / LEVELS, (float(b) + 1) / LEVELS)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="phantom", help="a name in configs/datasets")
    parser.add_argument("--configs", type=Path, default=Path("configs"))
    parser.add_argument("--data", type=Path, help="where data sets lie; without it the phantom is drawn and removed")
    chosen = parser.parse_args()
    config = load_dataset(chosen.configs, chosen.dataset)
    with tempfile.TemporaryDirectory() as scratch:
        root = (chosen.data or Path(scratch)) / config.root
        scans = [table.load(config, raw) for raw in table.find(config, root, "train") if raw.labelled]
    empty = np.mean(np.concatenate([(scan.class_masks().sum((0, 2, 3)) == 0) for scan in scans]))
    print(f"{chosen.dataset}: {len(scans)} labelled scans, {empty:.0%} of the slices empty")
    print("class            best Dice  interval of the scan's 0.5..99.5 percentiles")
    for label, (dice, low, high) in best_threshold(scans).items():
        print(f"{label:<16} {dice:9.3f}  {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
