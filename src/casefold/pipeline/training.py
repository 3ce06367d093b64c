"""train: every member on every fold, each run once, in processes of this machine or as jobs of a cluster."""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from casefold.core import CasefoldError, ConfigError
from casefold.folds import FoldTable
from casefold.models.precision import pick_device
from casefold.pipeline.outside import import_step
from casefold.pipeline.project import FULL, Project, pick
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.processes import end_with_parent
from casefold.train.detector import DetectJob, train_detector
from casefold.train.loop import Habits, make_fabric
from casefold.train.run import Job, is_done, move_aside, train
from casefold.train.stop import StoppedError

logger = logging.getLogger(__name__)
Failures = dict[str, BaseException]
AnyJob = Job | DetectJob


@dataclass(frozen=True)
class Fleet:
    """Who trains: this machine, or a cluster through submitit; parameters: submitit's own (`slurm_partition`, ...)."""

    cluster: Literal["here", "slurm", "local"] = "here"
    parameters: dict[str, Any] = field(default_factory=dict)


def train_step(
    project: Project, folds: Sequence[str] | None, members: Sequence[str] = (), redo: bool = False,
    habits: Habits | None = None, fleet: Fleet | None = None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Train the members on folds (None: every fold), each run once; gives the manifests by `member fold`.

    members: none means all; those that detectors crop have these trained first, and a detector may be named alone.
    External members are imported before, whole. A run that fails does not stop the others; they are named together at
    the end. Under `torchrun` every process calls this, and they share each run.
    """
    habits = habits or Habits()
    own = [name for name in members if name not in project.detectors]
    jobs = plan(project, folds, own, habits) if own or not members else []
    detectors = plan_detectors(project, folds, members, habits)
    redo = redo and os.environ.get("RANK", "0") == "0"
    with _first_rank_first(project):
        store = project.store()
        if own or not members:
            import_step(project, store, project.table(store), pick(project, own), redo)
        if redo:
            aside = [one for one in detectors if not members or one.config.name in members]
            for run in [job.run for job in jobs] + [job.run for job in aside]:
                move_aside(run)
    for wave in _waves(jobs, detectors):
        store = project.store()
        waiting = [job for job in wave if not is_done(job, store)]
        logger.info("train: %d of %d runs to do", len(waiting), len(wave))
        if waiting:
            _raise(_train_all(project, waiting, fleet or Fleet()), len(waiting))
    every: list[AnyJob] = [*detectors, *jobs]
    return {job.title: _training(job)(job) for job in every}


def pool(processes: int) -> ProcessPoolExecutor:
    """Worker processes that share the cores between them."""
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // processes)
    level = logging.getLogger().level
    return ProcessPoolExecutor(processes, mp_context=spawn, initializer=start_worker, initargs=(threads, level))


def start_worker(threads: int, level: int) -> None:
    """Begin a worker process: its lines look like ours, and it uses its share of the cores."""
    end_with_parent()
    logging.basicConfig(level=level, format="%(message)s")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    torch.set_num_threads(threads)


def loading_processes(project: Project) -> int:
    """How many of each run are worth it: none on a CPU, whose cores trainings fill; two to eight for each GPU."""
    if pick_device(project.device).type != "cuda":
        return 0
    return max(2, min(8, (os.cpu_count() or 1) // torch.cuda.device_count()))


def plan(project: Project, folds: Sequence[str] | None, members: Sequence[str], habits: Habits) -> list[Job]:
    """The runs of members on folds, after `prepare` and `folds`; nothing is trained."""
    wanted = _tabled(project, folds)[1]
    own, store = project.trained, project.store()
    names = [name for name in pick(project, members) if name in own]
    names.sort(key=lambda name: own[name].kind == "cls")  # type: ignore[attr-defined]
    tables = project.tables(store, names)
    return [
        Job(
            own[name],
            tables[name],
            fold,
            project.store_root,
            project.run(name, fold),
            project.device,
            project.paths.data,
            habits,
            int(project.dataset.cache_gib * 2**30),
        )
        for name in names
        for fold in wanted
    ]


def plan_detectors(
    project: Project, folds: Sequence[str] | None, members: Sequence[str], habits: Habits
) -> list[DetectJob]:
    """The runs of the detectors that are among `members` or crop one of these (none: of all that crop) on folds."""
    cropping = project.detectors_of(list(members) or list(project.members))
    names = [name for name in project.detectors if name in members or name in cropping]
    if not names:
        return []
    table, wanted = _tabled(project, folds)
    roots = project.store_root, project.paths.data
    return [
        DetectJob(project.detectors[name], table, fold, roots[0], project.run(name, fold), project.device, roots[1],
                  habits.workers)
        for name in names
        for fold in wanted
    ]  # fmt: skip


def _tabled(project: Project, folds: Sequence[str] | None) -> tuple[FoldTable, list[str]]:
    """The fold table, after `prepare` and `folds`, and the folds that are meant, all of which it has."""
    with _first_rank_first(project):
        store = prepare_step(project, stay_partial=True)
        table = folds_step(project, store)
    wanted = [str(fold) for fold in range(table.count)] if folds is None else list(folds)
    for fold in wanted:
        if fold != FULL:
            table.split(store, int(fold))
    return table, wanted


@contextmanager
def _first_rank_first(project: Project) -> Iterator[None]:
    """Under `torchrun` the first process does what is in the block, then the others find it done."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not project.trained:
        yield
        return
    with make_fabric(next(iter(project.trained.values())), project.device).rank_zero_first():
        yield


def _waves(jobs: Sequence[Job], detectors: Sequence[DetectJob] = ()) -> Iterator[list[AnyJob]]:
    """The runs in the order in which they can be trained: detectors first, those that begin with another's later."""
    if detectors:
        yield list(detectors)
    left = list(jobs)
    while left:
        names = {job.config.name for job in left}
        free = [job for job in left if (job.config.train.init_from is None) or
                job.config.train.init_from.member not in names - {job.config.name}]  # fmt: skip
        if not free:
            raise ConfigError(
                f"train.init_from: {sorted(names)} begin with one another's weights, so none can be first"
            )
        yield list(free)
        left = [job for job in left if job not in free]


def _training(job: AnyJob) -> Callable[[Any], dict[str, Any]]:
    return train_detector if isinstance(job, DetectJob) else train


def _train_all(project: Project, jobs: list[AnyJob], fleet: Fleet) -> Failures:
    if fleet.cluster != "here":
        return _train_on_cluster(jobs, fleet, project.paths.runs / project.ensemble.dataset / "cluster")
    processes = min(project.jobs, len(jobs))
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return _train_in_turn(jobs)
    return _train_side_by_side(jobs, processes)


def _train_in_turn(jobs: list[AnyJob]) -> Failures:
    failed: Failures = {}
    for job in jobs:
        try:
            _training(job)(job)
        except (CasefoldError, OSError) as e:
            failed[job.title] = e
    return failed


def _train_side_by_side(jobs: list[AnyJob], processes: int) -> Failures:
    failed: Failures = {}
    with pool(processes) as workers:
        waiting = {workers.submit(_training(job), job): job for job in jobs}
        for done in as_completed(waiting):
            error = done.exception()
            if error is not None:
                failed[waiting[done].title] = error
    return failed


def _train_on_cluster(jobs: list[AnyJob], fleet: Fleet, folder: Path) -> Failures:
    """One cluster job a run; what a job prints lies in `folder`. Ends when all have ended."""
    import submitit

    executor = submitit.AutoExecutor(folder, cluster=fleet.cluster)
    try:
        executor.update_parameters(name="casefold", **fleet.parameters)
    except (NameError, TypeError, ValueError) as e:
        raise ConfigError(f"--cluster-set: submitit does not take {fleet.parameters}: {e}") from e
    submitted = [(job, executor.submit(_training(job), job)) for job in jobs]
    logger.info("submitted %d jobs, %s; their logs are in %s", len(jobs), [job.job_id for _, job in submitted], folder)
    failed: Failures = {}
    for job, handle in submitted:
        try:
            error = handle.exception()
        except submitit.core.utils.UncompletedJobError as e:  # killed: it left no result at all
            error = e
        if error is not None:
            failed[job.title] = error
    return failed


def _raise(failed: Failures, total: int) -> None:
    if not failed:
        return
    stopped = next((error for error in failed.values() if isinstance(error, StoppedError)), None)
    if stopped is not None:
        raise stopped
    lines = "\n".join(f"  {title}: {type(error).__name__}: {error}" for title, error in failed.items())
    if any(isinstance(error, BrokenProcessPool) for error in failed.values()):
        lines += "\na process was killed, most likely for want of memory: call again with fewer --jobs"
    raise CasefoldError(
        f"{len(failed)} of {total} runs failed; the rest is kept; the same command does only these:\n{lines}"
    ) from next(iter(failed.values()))
