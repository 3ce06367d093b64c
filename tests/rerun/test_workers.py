"""Processes that are killed, hang or end: what is written stays valid, and a scan costs itself alone."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import toy
from casefold.core import Masks, Scan
from casefold.files import WriteError
from casefold.rerun import scans as predicting
from casefold.rerun import workers
from casefold.rerun.notebook import RERUN, Report, run_notebook
from casefold.rerun.opened import Bundle, open_bundle
from casefold.rerun.workers import devices_of
from casefold.submission import check_csv, read_csv
from toy_bundle import ids, noise, write_bundle, write_planes, write_sample

NAMES = [f"case{number}_day0" for number in (41, 42, 43, 44, 45)]
SLICES = 4
FORK = multiprocessing.get_context("fork")  # so that a made-up ensemble is there in the processes too
Infer = Callable[..., Masks]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_bundle(tmp_path_factory.mktemp("workers") / "bundle"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five hidden scans and their sample."""
    monkeypatch.delenv(RERUN, raising=False)
    root = tmp_path / "toy"
    for name in NAMES:
        write_planes(root, name, noise((SLICES, 28, 36)))
    write_sample(root, [one for name in NAMES for one in ids(name, SLICES)])
    return root


class Ensemble:
    """What stands for a loaded one."""

    def with_folds(self, count: int) -> "Ensemble":
        return self


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Infer], None]:
    """Put a function in the place of the networks, in this process and in those it forks."""

    def put(infer: Infer) -> None:
        monkeypatch.setattr(predicting, "load_ensemble_models", lambda *_, **__: Ensemble())
        monkeypatch.setattr(predicting, "infer", infer)
        monkeypatch.setattr(workers, "SPAWN", FORK)

    return put


def bright(loaded: Any, scan: Scan, **more: Any) -> Masks:
    """Every pixel of every class: one run of a whole slice."""
    masks = np.ones((len(toy.CLASSES), *scan.grid.shape), bool)
    return Masks(scan.case, scan.name, toy.CLASSES, scan.slice_names, masks)


def run(bundle: Bundle, data: Path, **options: Any) -> tuple[Report, dict[str, set[str]]]:
    """A run in processes of its own, and by scan the texts that its submission holds."""
    target = data.parent / "submission.csv"
    report = run_notebook(bundle, data, target, **{"deadline_s": 3600.0, "device": "cpu", "every": 1, **options})
    texts: dict[str, set[str]] = {name: set() for name in NAMES}
    for (name, _), text in read_csv(target).items():
        texts[name.partition("_slice")[0]].add(text)
    return report, texts


WHOLE = {f"1 {28 * 36}"}
EMPTY = {""}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_that_is_killed_costs_the_scan_it_was_at(
    bundle: Bundle, data: Path, made_up: Callable[[Infer], None], jobs: int
) -> None:
    def deadly(loaded: Any, scan: Scan, **more: Any) -> Masks:
        if scan.name in NAMES[1:3]:
            os.kill(os.getpid(), signal.SIGKILL)
        return bright(loaded, scan)

    made_up(deadly)
    report, texts = run(bundle, data, jobs=jobs)
    told = "the process that predicted it was killed (exit code -9), most likely for want of memory"
    assert report.failed == dict.fromkeys(NAMES[1:3], told)
    assert texts == {name: EMPTY if name in NAMES[1:3] else WHOLE for name in NAMES}
    assert (report.rerun, report.faults, report.unreached) == (True, [], [])


def test_a_process_that_hangs_is_ended_in_time(bundle: Bundle, data: Path, made_up: Callable[[Infer], None]) -> None:
    def hanging(loaded: Any, scan: Scan, **more: Any) -> Masks:
        if scan.name == NAMES[2]:
            time.sleep(3600)
        return bright(loaded, scan)

    made_up(hanging)
    report, texts = run(bundle, data, deadline_s=8.0)
    assert report.unreached == NAMES[2:] and report.failed == {}
    assert texts == {name: WHOLE if name in NAMES[:2] else EMPTY for name in NAMES}


def test_a_fault_that_is_no_scans_is_told_of_all_that_are_left(
    bundle: Bundle, data: Path, made_up: Callable[[Infer], None]
) -> None:
    def full(loaded: Any, scan: Scan, **more: Any) -> Masks:
        if scan.name == NAMES[3]:
            raise WriteError(28, "No space left on device", "there")
        return bright(loaded, scan)

    made_up(full)
    report, texts = run(bundle, data)
    assert list(report.failed) == NAMES[3:]
    assert all("WriteError: there can't be written: No space left" in told for told in report.failed.values())
    assert texts == {name: WHOLE if name in NAMES[:3] else EMPTY for name in NAMES}


def test_anything_that_a_scan_raises_costs_that_scan(
    bundle: Bundle, data: Path, made_up: Callable[[Infer], None]
) -> None:
    def failing(loaded: Any, scan: Scan, **more: Any) -> Masks:
        if scan.name == NAMES[0]:
            raise MemoryError("1 TiB")
        return bright(loaded, scan)

    made_up(failing)
    report, texts = run(bundle, data)
    assert report.failed == {NAMES[0]: "MemoryError: 1 TiB"}
    assert texts == {name: EMPTY if name == NAMES[0] else WHOLE for name in NAMES}


def killed_after(bundle: Bundle, data: Path, target: Path, scans: int, wait_s: float) -> Iterator[None]:
    """A run of its own, killed so many seconds after so many scans are predicted; yields at each look before."""
    process = FORK.Process(
        target=run_notebook,
        args=(bundle, data, target, 3600.0, "cpu"),
        kwargs={"every": 1, "apart": False},
    )
    process.start()
    while not target.exists() and process.is_alive():
        time.sleep(0.001)
    while len(list(target.parent.glob(".submission_parts/*/*.json"))) < scans and process.is_alive():
        yield
    time.sleep(wait_s)
    process.kill()
    process.join()
    yield


def test_a_kill_at_any_moment_leaves_a_valid_submission(
    bundle: Bundle, data: Path, made_up: Callable[[Infer], None]
) -> None:
    """Twelve runs, killed later and later; looked at all the time, too."""

    def slow(loaded: Any, scan: Scan, **more: Any) -> Masks:
        time.sleep(0.05)
        return bright(loaded, scan)

    made_up(slow)
    sizes = dict.fromkeys([one for name in NAMES for one in ids(name, SLICES)], (28, 36))
    sample = data / "sample_submission.csv"
    for number in range(12):
        target = data.parent / f"run{number}" / "submission.csv"
        for _ in killed_after(bundle, data, target, number // 2, 0.03 * (number % 2)):
            check_csv(target, sample, sizes, toy.CLASSES)
        filled = sum(bool(text) for text in read_csv(target).values()) / (SLICES * len(toy.CLASSES))
        assert number // 2 - 1 <= filled <= len(NAMES)  # the last scan may not be in it yet


def test_every_gpu_takes_a_share_and_a_cpu_as_many_processes_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_of("cpu", 3) == ["cpu", "cpu", "cpu"] and devices_of("cuda:1", 1) == ["cuda:1"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices_of("auto", 1) == ["cuda:0", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices_of("auto", 2) == ["cpu", "cpu"]


@pytest.mark.long
def test_two_processes_give_what_one_gives(bundle: Bundle, data: Path) -> None:
    """The bundle's own nets, in processes that are started afresh."""
    alone, first = run(bundle, data, apart=False)
    other = data.parent / "other"
    other.mkdir()
    data = data.rename(other / "toy")
    both, second = run(bundle, data, jobs=2)
    assert first == second and first[NAMES[0]] != EMPTY
    assert replace(both, seconds=0.0) == replace(alone, seconds=0.0)
