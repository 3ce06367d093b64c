"""What `data.crop: {name: body}` leaves of prepared scans, what it cuts off their masks, and its time.

CASEFOLD_STORE=... python benchmarks/body_crop.py [DATASET ...] [--level 0.1] [--margin-px 4]
"""

import argparse
import time

import cv2
import numpy as np

from casefold.config.inputs import BodyCrop
from casefold.config.paths import Paths
from casefold.store import Store
from casefold.views import find_box


def measure(name: str, crop: BodyCrop) -> str:
    """One line for a data set."""
    store = Store(Paths.from_environment().store / name)
    shares, voxels, inside, seconds, size = [], 0, 0, 0.0, 0
    for scan in map(store.scan, store.case_of):
        scan.image.max()  # reading is not what is timed
        began = time.process_time()
        box = find_box(crop, scan)
        seconds += time.process_time() - began
        size += scan.image.size
        shares.append(np.prod(box.shape) / np.prod(scan.grid.shape))
        if scan.masks is not None:
            voxels += int(np.count_nonzero(scan.masks))
            inside += int(np.count_nonzero(scan.masks[box.slices]))
    return (
        f"{name}: of {len(shares)} scans {np.mean(shares):.2f} are left ({min(shares):.2f} to {max(shares):.2f}), "
        f"{voxels - inside} of {voxels} mask voxels are cut off; {1e9 * seconds / size:.1f} ns a voxel"
    )


def main() -> None:
    """Print a line a data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("datasets", nargs="*", default=["lgg", "hippocampus"])
    parser.add_argument("--level", type=float, default=0.1)
    parser.add_argument("--margin-px", type=int, default=4)
    words = parser.parse_args()
    cv2.setNumThreads(1)
    for name in words.datasets:
        print(measure(name, BodyCrop(name="body", level=words.level, margin_px=words.margin_px)), flush=True)


if __name__ == "__main__":
    main()
