"""A trained 3D member narrowed, then trained on, beside the same narrow net trained as long from nothing.

CASEFOLD_DATA=... CASEFOLD_RUNS=... python benchmarks/trained_on.py [--amounts 0.2 0.4 0.6 0.8] [--epochs 7]
Trains the member's fold first where it is not. Held-out Dice at level 128, CPU milliseconds of one thread a scan.
"""

import argparse
import logging
from dataclasses import replace

import pandas as pd
import torch

from casefold.config.experiments import Experiment, as_plain
from casefold.config.load import parse_experiment, read_yaml
from casefold.config.paths import Paths
from casefold.files import read_json
from casefold.pipeline.compressing import keep_step, measure
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.training import train_step

LR = 1e-3  # of the training on; from nothing the member's own


def changed(config: Experiment, name: str, epochs: int, **train: object) -> Experiment:
    """The same member under another name, trained otherwise, validated at the end."""
    plain = as_plain(config)
    train = {"epochs": epochs, "validate_every": epochs, **train}
    return type(config).model_validate(plain | {"name": name, "train": plain["train"] | train})


def rows_of(project: Project, member: str, fold: int, amount: float, epochs: int) -> list[dict[str, object]]:
    """A narrowed net as it is, trained on, and from nothing."""
    kept = f"{member}_less{100 * amount:.0f}"
    run = project.run(kept, str(fold))
    if not run.exists():
        keep_step(project, member, fold, amount, kept)
    narrow = parse_experiment(read_yaml(run / "config.yaml"), run / "config.yaml")
    after = {
        "trained on": changed(narrow, f"{kept}_on", epochs, lr=LR, init_from={"member": kept}),
        "from nothing": changed(narrow, f"{kept}_new", epochs),
    }
    train_step(replace(project, members={kept: narrow, **{c.name: c for c in after.values()}}), [str(fold)])
    names = {"narrowed": kept, **{what: config.name for what, config in after.items()}}
    return [{"amount": amount, "net": what, **row(project, name, fold)} for what, name in names.items()]


def row(project: Project, member: str, fold: int) -> dict[str, object]:
    """What a run cost, and its time and Dice on what is held out of it."""
    store, run = project.store(), project.run(member, str(fold))
    found = measure(run, store.root, project.table(store).split(store, fold)[1])
    return {
        "cpu_s": read_json(run / "manifest.json")["cpu_s"],
        "ms_a_scan": found["ms_a_scan"],
        "dice": found["dice_case"],
    }


def main() -> None:
    """Print a row a net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble", default="hippocampus")
    parser.add_argument("--member", default="hippo_unet3d")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--amounts", type=float, nargs="+", default=[0.2, 0.4, 0.6, 0.8])
    parser.add_argument("--epochs", type=int, default=7)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    project = open_project(Paths.from_environment(), options.ensemble, jobs=1)
    train_step(project, [str(options.fold)], [options.member])
    rows: list[dict[str, object]] = [{"amount": 0.0, "net": "as trained", **row(project, options.member, options.fold)}]
    for amount in options.amounts:
        rows += rows_of(project, options.member, options.fold, amount, options.epochs)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}"))


if __name__ == "__main__":
    main()
