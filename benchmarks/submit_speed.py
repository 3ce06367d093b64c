"""Cases a CPU-second of `submit` on a folder of NIfTI files beside nnU-Net's: reading and writing count, start-up not.

CASEFOLD_DATA=... CASEFOLD_RUNS=... python benchmarks/submit_speed.py --work DIR --nnunet-python PYTHON

One member's one fold against the same fold of nnU-Net as `peers.py` trained it in --work; no flips, one thread, both in
turn. Start-up is imports, loading weights, and for either side a first case for nothing. Beside it the whole commands.
"""

import argparse
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import torch
import yaml

from casefold.config.paths import Paths
from casefold.core import DataError
from casefold.infer import Loaded, load_ensemble_models
from casefold.pipeline import submitting
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.recipe import load_recipe
from casefold.rerun import scans
from peer_training import NNUNET, Bench

NAME = "submit_speed"
Seconds = tuple[float, float]  # of CPU, and by the clock


def lone_member(paths: Paths, ensemble: str, member: str, fold: int, folder: Path) -> Project:
    """An ensemble of that member alone, tuned on that fold; its config is the run's own, its results go to `folder`."""
    dataset = open_project(paths, ensemble).ensemble.dataset
    run = paths.run(dataset, member, str(fold))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config.pop("schema")  # a mark of what is saved; a config that is read has none
    shutil.copytree(paths.configs / "datasets", folder / "configs" / "datasets")
    for part in ("ensembles", config["kind"]):
        (folder / "configs" / part).mkdir()
    (folder / "configs" / config["kind"] / f"{member}.yaml").write_text(yaml.safe_dump(config))
    content = {"name": NAME, "dataset": dataset, "members": [f"{config['kind']}/{member}"]}
    (folder / "configs" / "ensembles" / f"{NAME}.yaml").write_text(yaml.safe_dump(content))
    own = paths.member(dataset, member)
    runs = replace(paths, runs=folder / "runs", configs=folder / "configs")
    runs.member(dataset, member).parent.mkdir(parents=True)
    runs.member(dataset, member).symlink_to(own.resolve())
    project = open_project(runs, NAME, jobs=1, device="cpu")
    tune_step(project, [fold])
    return project


def ours_in_process(project: Project, loaded: Loaded, images: Path, folder: Path) -> Seconds:
    """`submit` as the command calls it, but for the weights, which are there already."""
    with patch.object(scans, "load_ensemble_models", lambda *_, **__: loaded):
        cpu, wall = time.process_time(), time.perf_counter()
        written = submitting.submit_step(project, images, folder, None)
        spent = time.process_time() - cpu, time.perf_counter() - wall
    if len(list(written.iterdir())) != len(list(images.iterdir())):
        raise DataError(f"{written} lacks label maps")
    return spent


def nnunet_in_process(bench: Bench, configuration: str, fold: int, images: Path, folder: Path) -> Seconds:
    """By nnU-Net's own Python."""
    folder.mkdir()
    out, script = folder.with_suffix(".json"), Path(__file__).resolve().with_name("nnunet_cases.py")
    bench.call(
        "submit_speed.log", bench.nnunet("python"), script, "--model", bench.model(configuration), "--fold", str(fold),
        "--images", images, "--write", folder, "--names", *sorted(path.name for path in images.iterdir()), "--out", out,
    )  # fmt: skip
    said = json.loads(out.read_text())
    return said["cpu_s"], said["wall_s"]


def whole(command: list[str], environment: dict[str, str]) -> Seconds:
    """A command with all its processes."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - wall


def our_command(project: Project, images: Path, out: Path) -> Seconds:
    """`casefold submit`."""
    paths = project.paths
    roots = {f"CASEFOLD_{name.upper()}": str(root.resolve()) for name, root in vars(paths).items()}
    command = [sys.executable, "-m", "casefold.cli", "submit", NAME, "--input", str(images), "--out", str(out)]
    return whole([*command, "--jobs", "1", "--device", "cpu"], {**os.environ, **roots, "OMP_NUM_THREADS": "1"})


def nnunet_command(bench: Bench, configuration: str, fold: int, images: Path, out: Path) -> Seconds:
    """`nnUNetv2_predict`, with one process for reading and one for writing."""
    command = f"-d 4 -c {configuration} -f {fold} -tr {NNUNET[configuration]} -device cpu -npp 1 -nps 1 --disable_tta"
    verb = str(bench.nnunet("nnUNetv2_predict"))
    return whole([verb, "-i", str(images), "-o", str(out), *command.split()], bench.environment)


def main() -> None:
    """Measure both sides in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="hippocampus/hippo_unet3d", help="ENSEMBLE/MEMBER")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--nnunet-fold", type=int, default=1)
    parser.add_argument("--configuration", choices=list(NNUNET), default="3d_fullres", help="of nnU-Net")
    parser.add_argument("--nnunet-python", type=Path, required=True, help="of an environment with nnunetv2")
    parser.add_argument("--work", type=Path, required=True, help="where nnU-Net was trained by peers.py")
    parser.add_argument("--cases", type=int, default=52)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    ensemble, _, member = options.ours.partition("/")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = lone_member(Paths.from_environment(), ensemble, member, options.fold, folder)
        bench = Bench(folder, project.raw, options.work.resolve(), 0.0, options.nnunet_python.absolute())
        images, numbered, first = (folder / part for part in ("images", "numbered", "first"))
        for part in (images, numbered, first):
            part.mkdir()
        files = sorted((project.raw / "imagesTr").glob("*.nii.gz"))[: options.cases]
        for path in files:
            shutil.copy(path, images)
            shutil.copy(path, numbered / path.name.replace(".nii.gz", "_0000.nii.gz"))
        shutil.copy(files[0], first)
        recipe = load_recipe(recipe_path(project))
        loaded = load_ensemble_models(recipe, {member: [project.run(member, str(options.fold))]}, "cpu")
        ours_in_process(project, loaded, first, folder / "nothing")
        own = partial(ours_in_process, project, loaded, images)
        peer = partial(nnunet_in_process, bench, options.configuration, options.nnunet_fold, images)
        rows = []
        for turn in range(options.repeats):
            rows.append(("ours, in process", *own(folder / f"ours{turn}")))
            rows.append(("nnU-Net, in process", *peer(folder / f"peer{turn}")))
        rows.append(("ours, whole command", *our_command(project, images, folder / "ours")))
        command = nnunet_command(bench, options.configuration, options.nnunet_fold, numbered, folder / "peer")
        rows.append(("nnU-Net, whole command", *command))
    frame = pd.DataFrame(rows, columns=["what", "cpu_s", "wall_s"])
    mean = frame.groupby("what", sort=False).mean()
    mean["cases_a_cpu_s"] = len(files) / mean["cpu_s"]
    print(f"{len(files)} cases, {member} fold {options.fold} beside nnU-Net {options.configuration}; each turn:")
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    print(f"\nmeans\n{mean.to_string(float_format=lambda value: f'{value:.2f}')}")
    rates = mean["cases_a_cpu_s"]
    for what in ("in process", "whole command"):
        times = rates[f"ours, {what}"] / rates[f"nnU-Net, {what}"]
        print(f"{what}: {times:.1f} times nnU-Net's cases a CPU-second")


if __name__ == "__main__":
    main()
