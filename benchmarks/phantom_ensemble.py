"""The demo's ensemble against one small 2D U-Net at equal CPU-time: cross-fitted OOF scores on the phantom.

python benchmarks/phantom_ensemble.py [--work DIR]; trains what is missing. One thread a process.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from casefold.config.paths import Paths
from casefold.files import read_json
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.tuning import tune_step


def cpu_seconds(project: Project) -> float:
    """CPU-seconds of all the runs of an ensemble."""
    table = project.table(project.store())
    runs = [project.run(name, str(fold)) for name in project.members for fold in range(table.count)]
    return float(sum(read_json(run / "manifest.json")["cpu_s"] for run in runs))


def single(paths: Paths, epochs: int) -> tuple[pd.DataFrame, float]:
    """Scores and CPU-seconds of the 2D U-Net after this many epochs."""
    project = open_project(
        replace(paths, runs=paths.runs / f"unet2d_{epochs}"), "demo_unet2d", [f"train.epochs={epochs}"]
    )
    _, scores = tune_step(project)
    return scores, cpu_seconds(project)


def main() -> None:
    """Print one row each, with what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark_phantom"))
    paths = replace(Paths.from_environment(), runs=parser.parse_args().work)
    logging.basicConfig(level=logging.WARNING)
    project = open_project(paths, "demo")
    _, scores = tune_step(project)
    budget = cpu_seconds(project)
    _, probe = single(paths, 4)
    epochs = max(4, round(4 * budget / probe))
    alone, spent = single(paths, epochs)
    rows = [
        {
            "what": what,
            "cpu_s": cost,
            **frame.set_index("what").loc["recipe, cross-fitted", ["dice_slice", "dice_case", "uw_score"]],
        }
        for what, cost, frame in (("ensemble", budget, scores), (f"2D U-Net, {epochs} epochs", spent, alone))
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
