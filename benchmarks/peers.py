"""Ours, nnU-Net 2.8 and a plain MONAI baseline on the same folds of the hippocampus, at equal CPU-time of training.

CASEFOLD_DATA=... CASEFOLD_RUNS=... python benchmarks/peers.py [--peers SCRIPTS --work DIR [--nnunet-python PYTHON]]

The same training cases, the same held-back ones, full volumes, no flips, one thread; CPU-seconds are user and system
time of a training and of its children. What is finished, in the work folder or below CASEFOLD_RUNS, is not run again;
without --nnunet-python nnU-Net is left out, without --peers all of them. Ours trains as its config says: its epochs are
to fit the budget. Of an ensemble the members' maps are averaged, with equal weights; its time is that of all of them.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from casefold.config.paths import Paths
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.training import train_step
from peer_scores import Run, differences, monai_dice, nnunet_dice, our_dice, table_of
from peer_training import NNUNET, Bench, train_monai, train_nnunet, write_splits

HERE = Path(__file__).resolve().parent


def our_runs(project: Project, name: str, members: list[str], folds: list[int]) -> Iterator[Run]:
    """Train what is missing of a member, or of several that are averaged, and score its OOF."""
    store = project.store()
    table = project.table(store)
    for fold in folds:
        manifests = train_step(project, [str(fold)], members).values()
        timing = pd.concat(pd.read_csv(project.run(member, str(fold)) / "timing.csv") for member in members).sum()
        spent = sum(manifest["cpu_s"] for manifest in manifests), float(timing["items"] / timing["cpu_s"])
        paths = [project.paths.member(project.ensemble.dataset, member) for member in members]
        yield Run(name, fold, spent, our_dice(paths, table, store, fold))


def peer_runs(bench: Bench, folds: list[int], nnunet_folds: list[int], held: list[list[str]]) -> Iterator[Run]:
    """Train what is missing of the peers and score it; held: the held-back cases of each fold."""
    if bench.nnunet_python is not None:
        for configuration in NNUNET:
            for fold in sorted(set(folds) & set(nnunet_folds)):
                spent = train_nnunet(bench, configuration, fold)
                yield Run(f"nnU-Net {configuration}", fold, spent, nnunet_dice(bench, configuration, fold, held[fold]))
    for fold in folds:
        yield Run("MONAI UNet", fold, train_monai(bench, fold), monai_dice(bench, fold, held[fold]))


def as_text(frame: pd.DataFrame) -> str:
    """A table with four digits."""
    return frame.to_string(index=False, float_format=lambda value: f"{value:.4f}")


def main() -> None:
    """Read the options, run what is missing, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--ours", nargs="+", default=["hippocampus/hippo_unet3d"], help="ENSEMBLE/MEMBER or ENSEMBLE ..."
    )
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], help="train.epochs=30 ..., for ours")
    parser.add_argument("--data", type=Path, help="above the raw data [default: CASEFOLD_DATA]")
    parser.add_argument("--runs", type=Path, help="of ours [default: CASEFOLD_RUNS]")
    parser.add_argument("--folds", nargs="+", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--nnunet-folds", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--nnunet-python", type=Path, help="of an environment with nnunetv2 and psutil")
    parser.add_argument("--peers", type=Path, help="the folder of the peers' scripts")
    parser.add_argument("--work", type=Path, help="where the peers train; --peers wants it")
    parser.add_argument("--cpu-s", type=float, default=600.0, help="of training a fold")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers.txt")
    options = parser.parse_args()
    if (options.peers is None) != (options.work is None):
        parser.error("--peers and --work go together")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    found = Paths.from_environment()
    paths = Paths(options.data or found.data, found.store, options.runs or found.runs, found.configs, found.folds)
    named = [name.partition("/") for name in options.ours]
    projects = {
        member or ensemble: (open_project(paths, ensemble, options.overrides, jobs=1), member)
        for ensemble, _, member in named
    }
    project = next(iter(projects.values()))[0]
    store = prepare_step(project)
    table = folds_step(project, store)
    runs: list[Run] = []
    for name, (own, member) in projects.items():
        runs += our_runs(own, name, [member] if member else sorted(own.members), options.folds)
    if options.peers is not None:
        splits = [dict(zip(("train", "val"), table.split(store, fold), strict=True)) for fold in range(table.count)]
        bench = Bench(
            options.peers.resolve(),
            project.raw.resolve(),
            options.work.resolve(),
            options.cpu_s,
            options.nnunet_python and options.nnunet_python.absolute(),
        )
        write_splits(bench, splits)
        runs += peer_runs(bench, options.folds, options.nnunet_folds, [split["val"] for split in splits])
    late = [f"{run.name} fold {run.fold}" for run in runs if run.spent[0] > 1.1 * options.cpu_s]
    text = (
        f"Hippocampus, {options.cpu_s:.0f} CPU-seconds of training a fold, one thread; Dice on held-back volumes, no "
        f"flips.\n{as_text(table_of(runs))}\n"
        + (
            "\nOurs minus a peer: the mean of both labels by case, with its paired bootstrap interval (95 %).\n"
            f"{as_text(differences(runs, list(projects)))}\n"
            if options.peers is not None
            else ""
        )
        + (f"Over the budget, so no fair comparison: {', '.join(late)}.\n" if late else "")
    )
    print(text)
    options.out.write_text(text)


if __name__ == "__main__":
    main()
