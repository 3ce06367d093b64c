"""What a report costs at UW-Madison's size: time, anonymous memory and the page's size by the number of scans.

python benchmarks/report_scale.py [--scans 34 274] [--images] [--work DIR]; the files go to a temporary folder and are
removed.

The scans and members are those of tune_scale.py: six segmenters and a classifier as gate over 274 scans of 85 cases.
They are tuned before, by a short search with a step of post-processing, and that is not counted. --images writes noise
with the organs in it instead of empty images, which takes 5 GB of disk for all scans. Nothing can be said of the gap
between training and validation, for the weights are no nets.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from casefold.config.load import read_yaml
from casefold.core import unpack_masks
from casefold.files import read_record, write_json, write_text
from casefold.pipeline.project import open_project
from casefold.pipeline.reporting import report_step
from casefold.pipeline.tuning import tune_step
from tune_scale import CLASSES, GIB, MINUTE, NAME, PROCESSES, Planned, paths_in, planned, tree, write_inputs

TUNE = {
    "objective": "uw_score",
    "levels": [80, 110, 140],
    "peaks": [],
    "averages": ["probabilities"],
    "weight_steps": 1,
    "post": [[{"name": "small_components", "min_voxels": 100}]],
    "rungs": 1,
}


def write_image(scan: Planned, work: Path) -> None:
    """Noise as that of an MR scan, brighter where an organ is."""
    folder = paths_in(work).store / NAME / "scans" / scan.name
    random = np.random.default_rng(scan.number)
    masks = unpack_masks(np.load(folder / "masks.npy"), len(CLASSES))
    image = np.lib.format.open_memmap(folder / "image.npy", "r+")
    for z in range(scan.shape[0]):
        bright = 300.0 + 250.0 * masks[0, z] + 180.0 * masks[1, z] + 400.0 * masks[2, z]
        image[0, z] = random.normal(bright, 60).clip(0, 4000)


def prepare(scans: Sequence[Planned], work: Path, images: bool) -> None:
    """All that a report reads: store, OOF and a recipe."""
    write_inputs(scans, paths_in(work))
    path = paths_in(work).configs / f"ensembles/{NAME}.yaml"
    write_text(path, yaml.safe_dump({**read_yaml(path), "tune": TUNE}))
    if images:
        for scan in scans:
            write_image(scan, work)
    for manifest in paths_in(work).runs.glob(
        "*/members/*/*/manifest.json"
    ):  # so slow that no training scan is predicted
        write_json(manifest, read_record(manifest) | {"s_a_scan": 60.0})
    tune_step(open_project(paths_in(work), NAME, jobs=PROCESSES, device="cpu"))


def report(work: Path) -> None:
    """Make the page of what lies in `work`, in a process of its own, and write what it cost."""
    torch.set_num_threads(1)
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.1):
            peak = max(peak, sum(size for size, _ in tree().values()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        path, content = report_step(open_project(paths_in(work), NAME, jobs=PROCESSES, device="cpu"))
    finally:
        ended.set()
        watcher.join()
    cost: dict[str, Any] = {"wall_s": time.perf_counter() - start, "cpu_s": sum(os.times()[:4]), "peak": peak}
    records = sum(one.stat().st_size for one in path.parent.glob("report_scans/*/*"))
    write_json(work / "cost.json", cost | {"page": path.stat().st_size, "records": records})
    print(content.scores.ways.to_string(float_format=lambda value: f"{value:.4f}"), flush=True)


def measure(scans: Sequence[Planned], work: Path, images: bool) -> dict[str, Any]:
    """A row of what a report on these scans costs, made afresh."""
    prepare(scans, work, images)
    out = paths_in(work).ensemble(NAME, NAME)
    shutil.rmtree(out / "report_scans", ignore_errors=True)
    subprocess.run([sys.executable, __file__, "--report", str(work)], check=True)
    cost = json.loads((work / "cost.json").read_text())
    return {
        "scans": len(scans),
        "wall_min": cost["wall_s"] / MINUTE,
        "cpu_s": cost["cpu_s"],
        "min_on_2_cores": cost["cpu_s"] / PROCESSES / MINUTE,
        "anon_gib": cost["peak"] / GIB,
        "page_mb": cost["page"] / 1e6,
        "records_mb": cost["records"] / 1e6,
    }


def spread(count: int) -> list[Planned]:
    """So many of the scans, evenly from the first to the last."""
    every = planned()
    return [every[at] for at in np.unique(np.linspace(0, len(every) - 1, count).round().astype(int))]


def main() -> None:
    """Print a row for each number of scans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[34, 274])
    parser.add_argument("--images", action="store_true", help="noise instead of empty images")
    parser.add_argument("--work", type=Path, help="kept, and gone on with; else a temporary folder")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report is not None:
        report(given.report)
        return
    rows = []
    for count in sorted(given.scans):
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary) if given.work is None else given.work / str(count)
            rows.append(measure(spread(count), work, given.images))
    print("\n" + pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
