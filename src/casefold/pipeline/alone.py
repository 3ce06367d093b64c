"""A task in a process of its own, so that the peak of memory is the task's."""

import logging
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from casefold.core import CasefoldError
from casefold.pipeline.training import start_worker

Result = TypeVar("Result")


def alone(threads: int, task: Callable[..., Result], *words: Any) -> Result:
    """What a task gives in a process that does nothing else, of so many threads; its errors are raised here.

    The process is forked from a server that has imported the libraries: they count in its memory, and what this process
    has used does not (a process spawned from here would begin with the peak that stands here).
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["casefold.pipeline.training", "monai.inferers"])
    start = (threads, logging.getLogger().level)
    try:
        with ProcessPoolExecutor(1, mp_context=context, initializer=start_worker, initargs=start) as pool:
            return pool.submit(task, *words).result()
    except BrokenProcessPool as e:
        raise CasefoldError(
            "a process was killed, most likely for want of memory; the same command does only the rest"
        ) from e
