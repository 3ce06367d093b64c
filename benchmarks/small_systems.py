"""Winners' systems of UW-Madison, small, against the best single member at the same CPU-time of training, on LGG.

CASEFOLD_DATA=... CASEFOLD_STORE=... CASEFOLD_RUNS=... python benchmarks/small_systems.py
Trains what is missing of five folds (hours), tunes each system for 3D Dice, and compares them case by case on masks
whose recipe was tuned without the case. CPU-minutes are those of a fold's trainings, a system's detector among them.
"""

import argparse
import logging

import pandas as pd

from casefold.config.paths import Paths
from casefold.files import read_json
from casefold.pipeline.evaluation import oof_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.report_compared import compare_step
from casefold.pipeline.tuning import tune_step

ALONE = "small_one"
SYSTEMS = ("small_1st", "small_3rd", "small_5th", "small_8th")
# what one idea changes and nothing else: members, at level 128
IDEAS = {
    "crop by a detector": ("small_3rd_seg3", "small_3rd_whole"),
    "5 slices, begun with stage one": ("small_3rd_seg5", "small_3rd_seg3"),
}
WAYS = ["what", "tuned", "cross_fitted", "gain", "gain_low", "gain_high"]  # gain: over equal weights with one level


def cpu_minutes(project: Project, fold: int) -> float:
    """Of all trainings that a fold of a system rests on."""
    names = [*project.members, *project.detectors]
    return float(sum(read_json(project.run(name, str(fold)) / "manifest.json")["cpu_s"] for name in names)) / 60


def compared(paths: Paths, one: str, other: str, jobs: int) -> dict[str, object]:
    """One minus the other, paired by case."""
    _, found = compare_step(paths, one, other, jobs)
    verdict = "undecided" if found.within_noise else "pays" if found.difference > 0 else "costs"
    return {"minus": found.difference, "low": found.low, "high": found.high, "better": found.better,
            "worse": found.worse, "so it": verdict}  # fmt: skip


def main() -> None:
    """Print the systems' table, the ideas', and of each system every way of tuning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folds", type=int, nargs="+", help="only these [default: every fold]")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    paths = Paths.from_environment()
    lines, ways = [], {}
    for name in (ALONE, *SYSTEMS):
        project = open_project(paths, name, jobs=options.jobs)
        oof_step(project, options.folds)
        recipe, scores = tune_step(project, options.folds)
        ways[name] = scores.dropna(subset=["cross_fitted"])[WAYS]
        spent = [cpu_minutes(project, fold) for fold in recipe.folds]
        lines.append(
            {
                "system": name,
                "members": len(project.members),
                "cpu_min": sum(spent) / len(spent),
                "most": max(spent),
                "dice_case": ways[name].loc[ways[name]["what"] == "recipe", "cross_fitted"].iloc[0],
                **({} if name == ALONE else compared(paths, name, ALONE, options.jobs)),
            }
        )
    show("Systems: 3D Dice, cross-fitted, minus the single member's", pd.DataFrame(lines))
    ideas = [
        {"idea": idea, "with": one, "without": other, **compared(paths, one, other, options.jobs)}
        for idea, (one, other) in IDEAS.items()
    ]
    show("Ideas: one member minus another", pd.DataFrame(ideas))
    for name, frame in ways.items():
        show(f"{name}: every way of tuning", frame)


def show(title: str, frame: pd.DataFrame) -> None:
    """Print a table."""
    print(
        f"\n{title}\n{frame.to_string(index=False, float_format=lambda value: f'{value:.4f}', na_rep='')}", flush=True
    )


if __name__ == "__main__":
    main()
