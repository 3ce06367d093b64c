"""Scans shared out among processes that load no trainer, which would take each of them 460 MB."""

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from tqdm import tqdm

from casefold.core import DataError
from casefold.processes import end_with_parent

SCANS_A_PROCESS = 3  # fewer are done before another process has started
A = TypeVar("A")
B = TypeVar("B")


def every(jobs: int, function: Callable[[A], B], wanted: Sequence[A], told: str) -> list[B]:
    """The function of each, in their order, with a bar; in this process where there are few.

    jobs: processes at most; what they load is what the function's module imports. Raises DataError where one is killed.
    """
    processes = min(jobs, len(wanted) // SCANS_A_PROCESS)
    if processes < 2:
        return _listed(map(function, wanted), told, len(wanted))
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start_worker) as pool:
            return _listed(pool.map(function, wanted), told, len(wanted))
    except BrokenProcessPool as e:
        raise DataError(
            f"one of {processes} processes was killed, as where memory runs out; --jobs {processes - 1} "
            "takes less, and goes on with what is done"
        ) from e


def _start_worker() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def _listed(results: Iterable[B], told: str, count: int) -> list[B]:
    return list(tqdm(results, told, total=count, disable=None if count else True))
