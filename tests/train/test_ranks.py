"""Several processes on one run, as `torchrun` starts them; and steps of several batches."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from chain import attempt, make_job
from safetensors.torch import load_file

import toy
from casefold.config.experiments import Experiment, as_plain
from casefold.config.paths import Paths
from casefold.folds import FoldTable
from casefold.oof import join
from casefold.store import Store
from casefold.train.run import Job
from toy_members import seg3d

SOURCES = Path(__file__).parents[2] / "src"


def test_torchrun_trains_validates_and_writes_each_scan_once(toy_paths: Paths, tmp_path: Path) -> None:
    toy.write_config(tmp_path / "configs", folds={"kind": "case", "count": 2})
    member = as_plain(seg3d(data={"patch": (2, 8, 8), "overlap": 0.0}, train={"epochs": 2, "batch_size": 2}))
    ensemble = {"name": "solo", "dataset": "toy", "members": ["seg3d/toy_3d"]}
    for name, content in (("seg3d/toy_3d", member), ("ensembles/solo", ensemble)):
        target = tmp_path / "configs" / f"{name}.yaml"
        target.parent.mkdir(exist_ok=True)
        target.write_text(yaml.safe_dump(content))
    roots = {f"CASEFOLD_{name.upper()}": str(tmp_path / name) for name in ("store", "runs", "configs", "folds")}
    environment = {**os.environ, **roots, "CASEFOLD_DATA": str(toy_paths.data), "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*command, "casefold.cli", "fold", "0", "solo", "--device", "cpu"],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "runs" / "toy" / "members" / "toy_3d" / "fold0"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["state"] == "done" and list(manifest["score"]) == ["valid_dice"]
    store = Store(tmp_path / "store" / "toy")
    table = pd.read_csv(tmp_path / "folds" / "toy.csv").set_index("case")["fold"]
    held = sorted(name for name in store.labelled() if table[store.case_of[name]] == 0)
    assert sorted(path.stem for path in (run / "oof").iterdir()) == held
    scored = [line for line in done.stderr.splitlines() if "valid_dice" in line and "epoch 2" in line]
    assert len(scored) == 1  # rank 0 alone reports


def weights_after(job: Job, ranks: int = 1) -> dict[str, Any]:
    assert attempt(job, ranks) == [0] * ranks
    return load_file(job.run / "weights.safetensors")


@pytest.mark.parametrize(("batch", "accumulate", "ranks"), [(4, 2, 1), (4, 1, 2), (2, 2, 2)])
def test_eight_items_a_step_make_the_same_weights_however_they_are_cut(
    batch: int, accumulate: int, ranks: int, toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    # losses by item, instance norm, no dropout; SGD, for Adam blows up the rounding of gradients that should be 0
    def config(batch_size: int, accumulate: int) -> Experiment:
        train = {"epochs": 2, "batch_size": batch_size, "accumulate": accumulate, "lr": 0.1,
                 "optimizer": {"name": "sgd"}, "average": {"name": "none"}}  # fmt: skip
        return seg3d(train=train, losses=[{"name": "bce"}], sampler={"per_scan": 4}, augment="light")

    jobs = [
        make_job(config(*numbers), toy_table, toy_store.root, tmp_path / name / "fold0")
        for name, numbers in (("whole", (8, 1)), ("cut", (batch, accumulate)))
    ]
    whole, cut = weights_after(jobs[0]), weights_after(jobs[1], ranks)
    assert max(float((whole[name] - cut[name]).abs().max()) for name in whole) < 1e-5
    logs = [pd.read_csv(job.run / "log.csv") for job in jobs]
    assert len(logs[0]) == len(logs[1]) == 2 and logs[0]["step"].tolist() == logs[1]["step"].tolist()
    np.testing.assert_allclose(logs[0]["loss"], logs[1]["loss"], atol=1e-5)
    np.testing.assert_allclose(logs[0]["valid_dice"], logs[1]["valid_dice"], atol=1e-3)
    assert len(join(tmp_path / "cut", toy_table, toy_store, [0])) == len(toy_table.split(toy_store, 0)[1])
