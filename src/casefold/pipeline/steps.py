"""prepare, folds, train: each goes on where it stopped, and does nothing where it is done."""

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from casefold.core import CasefoldError, ConfigError
from casefold.files import write_bytes
from casefold.folds import FoldTable, make, read, words_of, write
from casefold.pipeline.project import FULL, Project, pick
from casefold.prepare import prepare
from casefold.readers.table import dropped
from casefold.store import Store
from casefold.train.run import Job, is_done, move_aside, train

logger = logging.getLogger(__name__)


def prepare_step(
    project: Project, limit: int | None = None, cases: Sequence[str] = (), stay_partial: bool = False
) -> Store:
    """Raw scans into the store: all, or, for a quick look, the first `limit` of them, of these cases.

    stay_partial: what an earlier call left out stays out; so for every other step, which takes the store as it is.
    """

    def bar(names: Iterator[str], total: int) -> Iterator[str]:
        yield from tqdm(names, "prepare", total=total, disable=None)

    gone = dropped(project.dataset, project.raw)
    if gone:
        listed = ", ".join(f"{name} ({slices})" for name, slices in gone.items())
        logger.info("drop_scans removes %d scans, %d slices: %s", len(gone), sum(gone.values()), listed)
    store = prepare(
        project.dataset, project.raw, project.store_root, project.jobs, bar, limit, cases, stay_partial=stay_partial
    )
    counts = len(store.case_of), len(set(store.case_of.values())), len(store.slices)
    logger.info("store: %d scans of %d cases, %d slices", *counts)
    if store.left_out:
        logger.warning("the store is partial: %d scans are left out; `prepare` adds them", len(store.left_out))
    return store


def folds_step(project: Project, store: Store, given: Path | None = None) -> FoldTable:
    """The fold table: the one that is there, the one given (copied), or a new one; verified in any case."""
    path = project.table_path
    if given is not None:
        read(given, store, project.groups(store))
        if path.is_file() and path.read_bytes() != given.read_bytes():
            raise ConfigError(f"{path} is there and is not {given}; remove it first if all runs on it may go")
        if not path.is_file():
            write_bytes(path, given.read_bytes())
    if not path.is_file():
        folds = project.dataset.folds
        write(make(folds, store, words_of(folds, project.raw, store)), store, path)
        logger.info("wrote %s; commit it: every run and every score hangs on it", path)
    return project.table(store)


def train_step(
    project: Project, folds: Sequence[str] | None, members: Sequence[str] = (), redo: bool = False, workers: int = 0
) -> dict[str, dict[str, Any]]:
    """Train the members on folds (None: every fold), each run once; gives the manifests by `member fold`.

    A run that fails does not stop the others; they are named together at the end.
    """
    store = prepare_step(project, stay_partial=True)
    table = folds_step(project, store)
    wanted = [str(fold) for fold in range(table.count)] if folds is None else list(folds)
    for fold in wanted:
        if fold != FULL:
            table.split(store, int(fold))
    store_root, device, cache_bytes = project.store_root, project.device, int(project.dataset.cache_gib * 2**30)
    jobs = [
        Job(project.members[name], table, fold, store_root, project.run(name, fold), device, workers, cache_bytes)
        for name in sorted(pick(project, members), key=lambda name: project.members[name].kind == "cls")  # type: ignore[attr-defined]
        for fold in wanted
    ]
    if redo:
        for job in jobs:
            move_aside(job.run)
    waiting = [job for job in jobs if not is_done(job, store)]
    logger.info("train: %d of %d runs to do", len(waiting), len(jobs))
    if waiting:
        _train_all(waiting, project.jobs)
    return {job.title: train(job) for job in jobs}


def pool(processes: int) -> ProcessPoolExecutor:
    """Worker processes that share the cores between them."""
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // processes)
    level = logging.getLogger().level
    return ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start_worker, initargs=(threads, level))


def _start_worker(threads: int, level: int) -> None:
    logging.basicConfig(level=level, format="%(message)s")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    torch.set_num_threads(threads)


def _train_all(jobs: list[Job], processes: int) -> None:
    failed: dict[str, BaseException] = {}
    if min(processes, len(jobs)) == 1:
        for job in jobs:
            try:
                train(job)
            except (CasefoldError, OSError) as e:
                failed[job.title] = e
    else:
        with pool(min(processes, len(jobs))) as workers:
            waiting = {workers.submit(train, job): job for job in jobs}
            for done in as_completed(waiting):
                error = done.exception()
                if error is not None:
                    failed[waiting[done].title] = error
    if failed:
        lines = "\n".join(f"  {title}: {type(e).__name__}: {e}" for title, e in failed.items())
        if any(isinstance(e, BrokenProcessPool) for e in failed.values()):
            lines += "\na process was killed, most likely for want of memory: call again with fewer --jobs"
        raise CasefoldError(
            f"{len(failed)} of {len(jobs)} runs failed; the rest is kept; the same command does only these:\n{lines}"
        ) from next(iter(failed.values()))
