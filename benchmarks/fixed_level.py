"""Dice of one member on some folds, at the level that is best on other folds.

CASEFOLD_DATA=... CASEFOLD_RUNS=... python benchmarks/fixed_level.py [ENSEMBLE/MEMBER] [--fix 1 2] [--score 0 3 4]; the
member is trained there. 3D Dice a case, mean over cases; the interval is a bootstrap one (95 %) over cases.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.paths import Paths
from casefold.metrics import bootstrap_interval, nan_mean
from casefold.oof import join, read_prediction
from casefold.pipeline.project import Project, open_project
from casefold.tune.counts import level_counts


def dice_at_levels(project: Project, member: str, folds: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """3D Dice of each case at the levels 0..255, the mean of its classes."""
    store = project.store()
    table = project.table(store)
    counts: dict[str, NDArray[np.int64]] = {}  # of a case, (class, outside or inside, level)
    for name, path in join(project.paths.member(project.ensemble.dataset, member), table, store, folds).items():
        scan, maps = store.scan(name), read_prediction(path).maps
        if maps is None:
            raise SystemExit(f"{member} predicts no maps")
        truth = scan.class_masks()
        row = np.zeros(truth[0].size, np.uint8)
        own = np.stack([level_counts(q.ravel(), t.ravel(), row, 1)[0] for q, t in zip(maps, truth, strict=True)])
        counts[scan.case] = counts.get(scan.case, np.zeros_like(own)) + own
    found = {}
    for case, above in counts.items():
        outside, inside = above[:, 0], above[:, 1]
        total = outside + inside + inside[:, :1]
        found[case] = np.asarray(nan_mean(np.where(total > 0, 2 * inside / np.maximum(total, 1), np.nan), axis=0))
    return found


def main() -> None:
    """Print a row for each fold and for all that are scored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", nargs="?", default="lgg/lgg_lite0", help="ENSEMBLE/MEMBER")
    parser.add_argument("--fix", type=int, nargs="+", default=[1, 2], help="folds that the level is chosen on")
    parser.add_argument("--score", type=int, nargs="+", default=[0, 3, 4])
    options = parser.parse_args()
    if set(options.fix) & set(options.score):
        parser.error("a fold can't both choose the level and be scored")
    ensemble, _, member = options.member.partition("/")
    project = open_project(Paths.from_environment(), ensemble, jobs=1, device="cpu")
    chosen = np.stack(list(dice_at_levels(project, member, options.fix).values()))
    level = int(np.argmax(np.asarray(nan_mean(chosen, axis=0))[1:])) + 1
    print(f"{member}: level {level} is best on folds {options.fix}: {nan_mean(chosen[:, level]):.4f}")
    rows, all_cases = [], []
    for fold in options.score:
        values = np.array([dice[level] for dice in dice_at_levels(project, member, [fold]).values()])
        all_cases.append(values)
        rows.append((str(fold), len(values), float(nan_mean(values)), *bootstrap_interval(values)))
    values = np.concatenate(all_cases)
    rows.append(("all", len(values), float(nan_mean(values)), *bootstrap_interval(values)))
    frame = pd.DataFrame(rows, columns=["fold", "cases", "dice_case", "low", "high"])
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


if __name__ == "__main__":
    main()
