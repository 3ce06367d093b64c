"""Samples a second of training with and without loading processes, and the share of time spent waiting for data.

CASEFOLD_DATA=... CASEFOLD_STORE=... python benchmarks/loading_speed.py [ENSEMBLE/MEMBER ...] [--workers 0 2]

Trains the member for some short epochs on a part of the prepared scans, without validation, one thread a process. The
first epoch is not counted: processes start in it, and caches fill. Wall and waiting are those of the run's timing.csv;
without loading processes the trainer loads by itself, and its waiting is that work. CPU-seconds are of all processes.
"""

import argparse
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import torch

from casefold.config.paths import Paths
from casefold.models.build import build
from casefold.pipeline.project import open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.train.loop import Habits, fit, make_fabric
from casefold.train.run import Job, datasets

MEMBERS = ("lgg/lgg_lite0", "hippocampus/hippo_unet3d")


def measure(name: str, workers: int, epochs: int, share: float) -> dict[str, Any]:
    """One row: the last epochs of a short training."""
    ensemble, _, member = name.partition("/")
    words = [f"train.epochs={epochs}", f"train.validate_every={epochs}"]
    project = open_project(Paths.from_environment(), ensemble, words, jobs=1, device="cpu")
    config, store = project.trained[member], prepare_step(project)
    table = folds_step(project, store)
    names = table.learnable(store)
    names = names[: max(1, round(share * len(names)))]
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            config, table, "full", project.store_root, Path(folder), "cpu", project.paths.data,
            Habits(workers), int(project.dataset.cache_gib * 2**30),
        )  # fmt: skip
        fabric = make_fabric(config, "cpu")
        torch.manual_seed(config.train.seed)
        net = build(config, len(store.scan(names[0]).image), len(store.classes), pretrained=True)
        dataset, sampler = datasets(job, store, names, 0, 1)
        fit(
            fabric, config, net, dataset, sampler, job.run, job.habits, None, lambda row: None, job.title, {},
        )  # fmt: skip
        timing = pd.read_csv(job.run / "timing.csv")
    later = timing.iloc[1:].sum()
    return {
        "member": member, "workers": workers, "samples": int(later["items"]),
        "samples_a_s": later["items"] / later["wall_s"], "samples_a_cpu_s": later["items"] / later["cpu_s"],
        "waiting": later["wait_s"] / later["wall_s"], "cpu_s": later["cpu_s"], "wall_s": later["wall_s"],
        "load": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    """Measure members and numbers of processes in turn, some times over, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("members", nargs="*", default=list(MEMBERS), help="ENSEMBLE/MEMBER")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.5, help="of the scans")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    print(f"torch: {torch.get_num_threads()} thread, OpenCV: {cv2.getNumThreads()}", flush=True)
    rows = []
    for _ in range(options.repeats):
        for name in options.members:
            for workers in options.workers:
                rows.append(measure(name, workers, options.epochs, options.share))
                print(
                    "  ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()),
                    flush=True,
                )
    frame = pd.DataFrame(rows).groupby(["member", "workers"], sort=False).mean()
    print(frame.to_string(float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
