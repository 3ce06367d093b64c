"""What a deadline sheds and costs: the notebook's run with 30, 60 and 100 % of the time that the whole ensemble needs.

python benchmarks/deadline.py RUNS/DATASET/ensembles/NAME/recipe.yaml --dataset configs/datasets/demo.yaml --data DIR

Or a bundle's folder, with --data alone. The run sees a clock of its own: the process's CPU time, so that a machine
which does other things as well gives the same table. Predicting counts --slow times, so that loading weights weighs as
little as it does among a competition's many scans. The score is against the withheld truth.
"""

import argparse
import logging
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
import yaml
from pydantic import TypeAdapter

from casefold.config.base import Dataset
from casefold.config.datasets import DatasetConfig
from casefold.core import Masks
from casefold.files import hash_value
from casefold.infer import infer, load_ensemble_models
from casefold.readers.table import csv_form, find, load, truth_form
from casefold.recipe import load_recipe
from casefold.rerun import scans
from casefold.rerun.notebook import Report, run_notebook
from casefold.rerun.opened import SUMS, Bundle, open_bundle
from casefold.submission import Slice, score

Row = tuple[str, float, float, str, float]  # what, deadline and end in seconds, what the scans had, score


def of_runs(recipe_path: Path, dataset_path: Path, work: Path) -> Bundle:
    """Trained runs in the place of a bundle."""
    recipe = load_recipe(recipe_path)
    dataset: Dataset = TypeAdapter(DatasetConfig).validate_python(yaml.safe_load(dataset_path.read_text()))
    members = recipe_path.parents[2] / "members"
    runs = {name: [members / name / f"fold{fold}" for fold in recipe.folds] for name in recipe.members}
    (work / SUMS).write_text(hash_value(str(recipe_path)))  # what the results are kept under
    return Bundle(work, dataset, recipe, runs)


class SlowClock:
    """CPU-seconds of this process, those of `infer` counted so many times."""

    def __init__(self, times: float) -> None:
        self.times, self.added = times, 0.0

    def __call__(self) -> float:
        return time.process_time() + self.added

    def infer(self, *given: Any, **more: Any) -> Masks:
        """What `infer` gives, after having taken longer."""
        start = time.process_time()
        masks = infer(*given, **more)
        self.added += (self.times - 1) * (time.process_time() - start)
        return masks


def score_of(dataset: Dataset, data: Path, submission: Path, truth: Path) -> float:
    """The submission's score over all test scans."""
    slices: dict[str, Slice] = {}
    for scan in (load(dataset, raw) for raw in find(dataset, data, "test")):
        _, height, width = scan.grid.shape
        slices |= {name: Slice(scan.name, z, height, width) for z, name in enumerate(scan.slice_names)}
    form = csv_form(dataset)
    scored = score(submission, truth, slices, dataset.classes, form=form, truth_form=truth_form(dataset) or form)
    return float(scored.total.score)


def had(report: Report) -> str:
    """What the scans had, the most frequent first."""
    whole = report.scans - len(report.shed) - len(report.unreached)
    counts = Counter({"whole": whole, "nothing": len(report.unreached), **Counter(report.shed.values())})
    return "; ".join(f"{count} {plan}" for plan, count in counts.most_common() if count)


def main() -> None:
    """Run it without a deadline, then with each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a recipe beside its runs, or a bundle's folder")
    parser.add_argument("--dataset", type=Path, help="the data set's config, of a recipe")
    parser.add_argument("--data", type=Path, required=True, help="the competition's folder")
    parser.add_argument("--truth", type=Path, help="[default: hidden/solution.csv in it]")
    parser.add_argument("--slow", type=float, default=20.0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.6, 1.0])
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    truth = options.truth or options.data / "hidden" / "solution.csv"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        is_bundle = options.source.is_dir()
        bundle = open_bundle(options.source) if is_bundle else of_runs(options.source, options.dataset, work)

        def run(title: str, deadline_s: float | None, only: Bundle = bundle) -> Row:
            target = work / title / "submission.csv"
            clock = SlowClock(options.slow)
            with patch.object(time, "monotonic", clock), patch.object(scans, "infer", clock.infer):
                report = run_notebook(only, options.data, target, deadline_s, "cpu", apart=False)
            scored = score_of(bundle.dataset, options.data, target, truth)
            return title, deadline_s or float("nan"), report.seconds, had(report), scored

        lone = replace(bundle, recipe=replace(bundle.recipe, rungs=bundle.recipe.rungs[:1]))
        raw = find(bundle.dataset, options.data, "test")[0]
        infer(
            load_ensemble_models(bundle.recipe, bundle.runs, "cpu"), load(bundle.dataset, raw)
        )  # imports, for nothing
        rows = [run("no deadline", None, lone)]
        rows += [run(f"{share:.0%}", share * rows[0][2]) for share in options.shares]
    frame = pd.DataFrame(rows, columns=["time", "deadline_s", "ended_s", "scans by", "score"])
    print(f"seconds of a machine {options.slow:g} times slower, one process; the score is that of all scans")
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
