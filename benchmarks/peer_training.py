"""Trains the peers of `peers.py` with their own scripts, each fold once: what is finished in the work folder stays."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casefold.core import DataError

DATASET = "Dataset004_Hippocampus"
NNUNET = {"3d_fullres": "nnUNetTrainerBudgetBS2", "2d": "nnUNetTrainerBudgetBS32"}  # configuration: trainer
MONAI = ("--threads", "1", "--amp", "--net", "unet", "--bs", "4", "--lr", "2e-3")
NO_END = "1000000"  # seconds by the clock; the budget is one of CPU time
Split = Mapping[str, Sequence[str]]
Spent = tuple[float, float]  # CPU-seconds of a training, and patches (or slices) a CPU-second


@dataclass(frozen=True)
class Bench:
    """Where the peers train: their scripts, the raw data, a work folder, CPU-seconds a fold, and nnU-Net's Python."""

    scripts: Path
    data: Path
    work: Path
    cpu_s: float
    nnunet_python: Path | None

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every process that works for a peer.

        nnU-Net runs all Python files of nnUNet_extTrainer, so that folder holds a copy of the trainers' file alone.
        """
        own = {
            "nnUNet_raw": self.work / "raw", "nnUNet_preprocessed": self.work / "pre",
            "nnUNet_results": self.work / "res", "nnUNet_extTrainer": self.work / "ext",
            "nnUNet_n_proc_DA": 1, "nnUNet_compile": "f", "OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1,
            "OPENBLAS_NUM_THREADS": 1, "NNUNET_THREADS": 1, "NNUNET_SKIP_VAL": 1, "NNUNET_BUDGET_S": NO_END,
            "NNUNET_BUDGET_CPU": self.cpu_s, "NNUNET_MARKS": "", "NNUNET_LOG": 50,
        }  # fmt: skip
        return {**os.environ, "PYTHONPATH": "", **{name: str(value) for name, value in own.items()}}

    def model(self, configuration: str) -> Path:
        """nnU-Net's folder of trained folds."""
        return self.work / "res" / DATASET / f"{NNUNET[configuration]}__nnUNetPlans__{configuration}"

    def call(self, log: str, *command: str | Path) -> None:
        """Run a command; what it prints goes to `log` in the work folder. Raises DataError where it fails."""
        path = self.work / log
        print(f"running {' '.join(map(str, command[:6]))} ..., see {path}", flush=True)
        with path.open("w") as stream:
            code = subprocess.run(
                [str(word) for word in command], env=self.environment, cwd=self.work, stdout=stream, stderr=stream
            ).returncode
        if code:
            raise DataError(f"a peer's command ended with {code}; its last words stand in {path}")

    def nnunet(self, verb: str) -> Path:
        """A command of nnU-Net's environment; raises DataError where no environment was given."""
        if self.nnunet_python is None:
            raise DataError("nnU-Net wants --nnunet-python, the Python of an environment with nnunetv2")
        return self.nnunet_python.with_name(verb)


def write_splits(bench: Bench, splits: Sequence[Split]) -> Path:
    """`splits.json`, once; raises DataError where another split is there already."""
    path = bench.work / "splits.json"
    bench.work.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.write_text(json.dumps(splits))
    there = json.loads(path.read_text())
    if [{part: sorted(names) for part, names in split.items()} for split in there] != [
        {part: sorted(names) for part, names in split.items()} for split in splits
    ]:
        raise DataError(f"{path} is not the split of the fold table; give another --work")
    return path


def train_nnunet(bench: Bench, configuration: str, fold: int) -> Spent:
    """One fold."""
    done = bench.model(configuration) / f"fold_{fold}"
    if not (done / "checkpoint_final.pth").is_file():
        _plan_nnunet(bench)
        bench.call(
            f"nnunet_{configuration}_{fold}.log", bench.nnunet("nnUNetv2_train"), "4", configuration, str(fold),
            "-tr", NNUNET[configuration], "-device", "cpu",
        )  # fmt: skip
    return _spent(bench, done / "budget_log.json", "patches_per_cpu_s")


def train_monai(bench: Bench, fold: int) -> Spent:
    """One fold, to `monai/unet_FOLD.json` and `.pt`."""
    done = bench.work / "monai" / f"unet_{fold}"
    if not done.with_suffix(".pt").is_file():
        done.parent.mkdir(exist_ok=True)
        bench.call(
            f"monai_{fold}.log", sys.executable, bench.scripts / "monai_baseline.py", "--raw", bench.data,
            "--splits", "splits.json", *MONAI, "--wall", NO_END, "--cpu", str(bench.cpu_s), "--marks", "",
            "--fold", str(fold), "--tag", done.name, "--out", "monai",
        )  # fmt: skip
    return _spent(bench, done.with_suffix(".json"), "patches_cpu_s")


def _plan_nnunet(bench: Bench) -> None:
    """Raw data, plans and preprocessed cases in nnU-Net's own form, and the folder of the trainers."""
    for name in ("raw", "pre", "res", "ext"):
        (bench.work / name).mkdir(exist_ok=True)
    shutil.copy(bench.scripts / "nnunet_budget.py", bench.work / "ext")
    first: Any = json.loads((bench.work / "splits.json").read_text())[0]
    cases, planned = len(first["train"]) + len(first["val"]), bench.work / "pre" / DATASET
    if all(len(list((planned / f"nnUNetPlans_{name}").glob("*.pkl"))) == cases for name in NNUNET):
        return
    prepare = bench.scripts / "nnunet_prepare.py"
    bench.call("nnunet_prepare.log", bench.nnunet("python"), prepare, bench.data, "splits.json")
    bench.call(
        "nnunet_plan.log", bench.nnunet("nnUNetv2_plan_and_preprocess"), "-d", "4", "-c", *NNUNET, "-np", "1", "1"
    )


def _spent(bench: Bench, log: Path, rate: str) -> Spent:
    """What a finished training took; raises DataError where its budget was another one."""
    said: Any = json.loads(log.read_text())
    cpu_s = float(said["cpu"])
    if abs(cpu_s / bench.cpu_s - 1) > 0.1:  # a step of nnU-Net takes seconds
        raise DataError(
            f"{log} is of a training of {cpu_s:.0f} CPU-seconds, not {bench.cpu_s:.0f}; give another --work"
        )
    return cpu_s, float(said[rate])
