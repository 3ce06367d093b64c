"""What a report costs at UW-Madison's size: time, anonymous memory and the page's size by the number of scans.

python benchmarks/report_scale.py [--scans 17 34] [--images] [--work DIR]; the files go to a temporary folder and are
removed.

The scans and members are those of tune_scale.py: six segmenters and a classifier as gate over 274 scans of 85 cases,
the smaller sizes its first scans; what it left in DIR is gone on with. The recipe is written down, one like those that
its search finds, and the search's scores beside it are made up. `casefold report` runs as a user would call it, on two
processes. --images writes noise with the organs in it instead of empty images, which takes 5 GB of disk for all scans.
Nothing can be said of the gap between training and validation, for the weights are no nets.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casefold.config.postprocess import DropRuns, SmallComponents
from casefold.core import unpack_masks
from casefold.files import read_record, write_json
from casefold.pipeline.evaluation import evaluation_inputs, write_current
from casefold.pipeline.project import Project
from casefold.pipeline.tuning import honest_path, recipe_path
from casefold.recipe import GateRule, Recipe, Rung, save_recipe, save_rungs
from tune_scale import (
    CLASSES,
    GATE,
    GIB,
    MINUTE,
    NAME,
    PROCESSES,
    SEGMENTERS,
    Planned,
    paths_in,
    planned,
    tree,
    write_inputs,
)

ROOTS = ("data", "store", "runs", "configs", "folds")
RUNG = Rung(
    weights={name: dict.fromkeys(CLASSES, weight) for name, weight in {"m0": 3, "m1": 3, "m2": 1, "m3": 1}.items()},
    levels={"large_bowel": 121, "small_bowel": 133, "stomach": 121},
    peaks={"large_bowel": 145, "small_bowel": 0, "stomach": 217},
    average="logits",
    score=0.9,
    cross_fitted=0.9,
    seconds_a_scan=60.0,
    gate=GateRule((GATE,), "presence", dict.fromkeys(CLASSES, 110)),
    post=(DropRuns(classes=("large_bowel",), min_slices=2), SmallComponents(classes=("stomach",), min_voxels=500)),
)


def write_image(scan: Planned, work: Path) -> None:
    """Noise as that of an MR scan, brighter where an organ is."""
    folder = paths_in(work).store / NAME / "scans" / scan.name
    random = np.random.default_rng(scan.number)
    masks = unpack_masks(np.load(folder / "masks.npy"), len(CLASSES))
    image = np.lib.format.open_memmap(folder / "image.npy", "r+")
    for z in range(scan.shape[0]):
        bright = 300.0 + 250.0 * masks[0, z] + 180.0 * masks[1, z] + 400.0 * masks[2, z]
        image[0, z] = random.normal(bright, 60).clip(0, 4000)


def prepare(scans: Sequence[Planned], work: Path, images: bool) -> Project:
    """All that a report reads: store, OOF, a recipe and each case's rung."""
    project = write_inputs(scans, paths_in(work))
    if images:
        for scan in scans:
            write_image(scan, work)
    for manifest in project.paths.runs.glob("*/members/*/*/manifest.json"):  # so slow that no training scan is read
        write_json(manifest, read_record(manifest) | {"s_a_scan": 60.0})
    store = project.store()
    table = project.table(store)
    folds = tuple(range(table.count))
    save_rungs(dict.fromkeys(store.case_of.values(), RUNG), honest_path(project))
    save_recipe(Recipe(NAME, NAME, CLASSES, (RUNG,), "folds", folds), recipe_path(project))
    found = pd.DataFrame({"what": ["recipe", *SEGMENTERS], "tuned": 0.9, "cross_fitted": 0.9})
    write_current(found, project.out / "scores.csv", evaluation_inputs(project, table, store, folds))
    shutil.rmtree(project.out / "report_scans", ignore_errors=True)
    return project


def measure(scans: Sequence[Planned], work: Path, images: bool) -> dict[str, Any]:
    """A row of what a report on these scans costs, made afresh."""
    out = prepare(scans, work, images).out
    roots = {f"CASEFOLD_{name.upper()}": str(work / name) for name in ROOTS}
    words = [sys.executable, "-m", "casefold.cli", "report", NAME, "--jobs", str(PROCESSES), "--device", "cpu"]
    peak, start, before = 0, time.perf_counter(), os.times()
    process = subprocess.Popen(words, env={**os.environ, **roots, "OMP_NUM_THREADS": "1"})
    while process.poll() is None:
        peak = max(peak, sum(size for pid, (size, _) in tree().items() if pid != os.getpid()))
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"report ended with {process.returncode}")
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "scans": len(scans),
        "wall_min": (time.perf_counter() - start) / MINUTE,
        "cpu_s": cpu_s,
        "min_on_2_cores": cpu_s / PROCESSES / MINUTE,
        "anon_gib": peak / GIB,
        "page_mb": (out / "report.html").stat().st_size / 1e6,
        "records_mb": sum(one.stat().st_size for one in out.glob("report_scans/*/*")) / 1e6,
    }


def main() -> None:
    """Print a row for each number of scans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[17, 34])
    parser.add_argument("--images", action="store_true", help="noise instead of empty images")
    parser.add_argument("--work", type=Path, help="kept, and gone on with; else a temporary folder for each size")
    given = parser.parse_args()
    rows = []
    for count in sorted(given.scans):
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary) if given.work is None else given.work
            rows.append(measure(planned()[:count], work, given.images))
    frame = pd.DataFrame(rows)
    print("\n" + frame.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    if len(frame) > 1:
        slope, offset = np.polyfit(frame["scans"], frame["cpu_s"], 1)
        whole = offset + slope * len(planned())
        print(
            f"\nCPU-seconds: {offset:.0f} + {slope:.2f} a scan; for {len(planned())} scans {whole:.0f}, which two free "
            f"cores do in {whole / PROCESSES / MINUTE:.1f} minutes"
        )


if __name__ == "__main__":
    main()
