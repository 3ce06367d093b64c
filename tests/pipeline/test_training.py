"""Fan-out to a cluster's jobs, and the order of runs that begin with one another's weights."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from casefold.config.ensembles import Ensemble
from casefold.config.experiments import Experiment
from casefold.config.paths import Paths
from casefold.core import CasefoldError, ConfigError
from casefold.files import read_json
from casefold.folds import FoldTable
from casefold.models.weights import read_info
from casefold.pipeline import training
from casefold.pipeline.project import Project
from casefold.pipeline.training import Fleet, loading_processes, train_step
from casefold.store import Store
from casefold.train.run import Job, train
from toy_members import seg3d

SMALL = {"data": {"patch": (2, 8, 8), "overlap": 0.0}}


@pytest.fixture
def project(toy_paths: Paths, toy_config: Any, toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> Project:
    """Two members on the toy data set's prepared store and folds; runs go to a folder of their own."""
    paths = Paths(toy_paths.data, toy_paths.store, tmp_path / "runs", toy_paths.configs, toy_paths.folds)
    members: dict[str, Experiment] = {name: seg3d(name=name, **SMALL) for name in ("first", "second")}
    ensemble = Ensemble(name="both", dataset="toy", members=("seg3d/first", "seg3d/second"))
    return Project(paths, ensemble, toy_config, members, jobs=1, device="cpu")


def train_or_die(job: Job) -> dict[str, Any]:
    """What the cluster runs: fold 1 of the second member is killed the first time."""
    died = job.run.parent / "died"
    if job.title == "seg3d/second 1" and not died.exists():
        died.parent.mkdir(parents=True, exist_ok=True)
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return train(job)


@pytest.mark.long
def test_a_killed_job_of_a_cluster_is_listed_and_a_second_call_runs_only_that_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # jobs can't import the tests
    monkeypatch.setattr(training, "train", train_or_die)
    fleet = Fleet("local", {"timeout_min": 5})
    with pytest.raises(CasefoldError, match=r"1 of 4 runs failed; .* does only these:\n  seg3d/second 1: "):
        train_step(project, ["0", "1"], fleet=fleet)
    manifests = {path.parent: path.stat().st_mtime_ns for path in project.paths.runs.rglob("manifest.json")}
    assert sorted(f"{run.parent.name} {run.name}" for run in manifests) == [
        "first fold0",
        "first fold1",
        "second fold0",
    ]
    submitted = len(list((project.paths.runs / "toy" / "cluster").glob("*_submitted.pkl")))
    done = train_step(project, ["0", "1"], fleet=fleet)
    assert sorted(done) == ["seg3d/first 0", "seg3d/first 1", "seg3d/second 0", "seg3d/second 1"]
    assert all(manifest["state"] == "done" for manifest in done.values())
    assert {run: (run / "manifest.json").stat().st_mtime_ns for run in manifests} == manifests
    assert len(list((project.paths.runs / "toy" / "cluster").glob("*_submitted.pkl"))) == submitted + 1


def test_a_parameter_that_submitit_does_not_take_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"--cluster-set: submitit does not take \{'no_such_word': 1\}"):
        train_step(project, ["0"], fleet=Fleet("local", {"no_such_word": 1}))


def begun_with(project: Project, **sources: str) -> Project:
    """The project with members that begin with the weights of others."""
    members = {
        name: seg3d(name=name, train={"init_from": {"member": sources[name]}} if name in sources else {}, **SMALL)
        for name in project.members
    }
    return Project(project.paths, project.ensemble, project.dataset, members, 1, "cpu")


def test_a_member_is_trained_after_the_one_it_begins_with(project: Project) -> None:
    done = train_step(begun_with(project, first="second"), ["0"])
    first, second = (project.run(name, "0") for name in ("first", "second"))
    assert (second / "weights.safetensors").stat().st_mtime_ns < (first / "log.csv").stat().st_mtime_ns
    inputs = read_json(first / "manifest.json")["inputs"]
    assert inputs["initial"] == done["seg3d/second 0"]["weights_hash"]
    assert read_info(first / "weights.safetensors").seen_cases == read_info(second / "weights.safetensors").seen_cases


def test_members_that_begin_with_one_another_are_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"\['first', 'second'\] begin with one another's weights"):
        train_step(begun_with(project, first="second", second="first"), ["0"])


@pytest.mark.parametrize(("cores", "gpus", "wanted"), [(4, 2, 2), (32, 4, 8), (96, 1, 8), (2, 1, 2)])
def test_a_gpu_gets_loading_processes_by_the_cores_there_are(
    cores: int, gpus: int, wanted: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loading_processes(project) == 0  # on a CPU trainings fill the cores
    monkeypatch.setattr(training, "pick_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert loading_processes(project) == wanted
