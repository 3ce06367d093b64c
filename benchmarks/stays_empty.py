"""BraTS' plain 2D U-Net on MSE or IoU loss, which stays empty there, and its successor, on LGG: what they find.

CASEFOLD_DATA=... CASEFOLD_STORE=... CASEFOLD_RUNS=... python benchmarks/stays_empty.py [--fold 1] [--epochs 3]
Trains `brats_unets_mse`, `_iou` and `_fp2` at 96 px with a quarter of the filters, else as their configs say; prints
of the held-out scans: voxels found against those of the truth, the highest q of a scan (median), and 3D Dice by case.
"""

import argparse

import numpy as np
import pandas as pd

from casefold.config.ensembles import Ensemble
from casefold.config.load import load_dataset, load_experiment
from casefold.config.paths import Paths
from casefold.core import HALF
from casefold.metrics import dice_of, nan_mean, overlap, overlap_by_case
from casefold.oof import join, read_prediction
from casefold.pipeline.project import Project
from casefold.pipeline.training import train_step

MEMBERS = ("brats_unets_mse", "brats_unets_iou", "brats_unets_fp2")
SMALL = ("data.size=[96,96]", "model.channels=[8,16,32,64]")


def main() -> None:
    """Print a row a member."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    paths, overrides = Paths.from_environment(), (*SMALL, f"train.epochs={given.epochs}")
    members = {name: load_experiment(paths.configs, f"seg25d/{name}", overrides) for name in MEMBERS}
    ensemble = Ensemble(name="stays_empty", dataset="lgg", members=tuple(f"seg25d/{name}" for name in MEMBERS))
    project = Project(paths, ensemble, load_dataset(paths.configs, "lgg"), dict(members), given.jobs, "cpu")
    done = train_step(project, [str(given.fold)])
    store = project.store()
    rows = []
    for name in MEMBERS:
        files = join(project.paths.member("lgg", name), project.table(store), store, [given.fold])
        cases, counts, highest = [], [], []
        for scan_name, path in files.items():
            scan, maps = store.scan(scan_name), np.asarray(read_prediction(path).maps)
            cases.append(scan.case)
            counts.append(overlap(scan.class_masks(), maps >= HALF))
            highest.append(int(maps.max()))
        by_case = np.stack(list(overlap_by_case(cases, counts).values()))
        _, there, found = by_case.sum(axis=(0, 1))
        rows.append(
            {
                "member": name,
                "cpu_s": done[f"seg25d/{name} {given.fold}"]["cpu_s"],
                "cases": len(by_case),
                "voxels": int(found),
                "of_truth": found / there,
                "median_highest_q": float(np.median(highest)),
                "dice_case": float(nan_mean(dice_of(by_case))),
            }
        )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
