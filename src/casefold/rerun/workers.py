"""Processes that predict, one a device, watched: a dying one costs the scan it was at, a hanging one ends in time."""

import logging
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from casefold.readers import RawScan
from casefold.rerun.scans import Task, is_done, predict_share

logger = logging.getLogger(__name__)
POLL_S = 0.5
SPAWN = multiprocessing.get_context("spawn")


def devices_of(device: str, jobs: int) -> list[str]:
    """The devices to predict on side by side: `auto` is every GPU, else the CPU; jobs: processes on one device."""
    if device == "auto" and torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu" if device == "auto" else device] * max(1, jobs)


@dataclass
class _Worker:
    """A process, what it has said so far, and the scans that it was given."""

    task: Task
    share: list[RawScan]
    threads: int
    process: BaseProcess = field(init=False)
    said: Connection = field(init=False)
    at: str | None = None
    fault: str | None = None

    def start(self) -> None:
        self.at = None
        self.said, saying = SPAWN.Pipe(duplex=False)
        level = logging.getLogger().level
        self.process = SPAWN.Process(
            target=_work, args=(self.task, self.share, saying, self.threads, level), daemon=True
        )
        self.process.start()
        saying.close()  # the child's end: when it dies, reading ends

    def hear(self, failed: dict[str, str]) -> None:
        """Take in what the process has said; a scan that it did not get to the end of stays in `at`."""
        try:
            while not self.said.closed and self.said.poll():
                name, reason = self.said.recv()
                if name is None:
                    self.fault = reason
                elif reason is not None:
                    failed[name] = reason
                else:
                    self.at = name
        except (EOFError, OSError):  # cut short by a kill
            self.said.close()  # else waiting for more would never wait


def supervise(
    task: Task, raws: Sequence[RawScan], devices: Sequence[str], watch: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """Predict scans in a process a device; gives those that failed, each with the reason.

    A process that dies is started again without the scan it was at. All are ended at the task's `until`. watch: called
    twice a second or more often. What the processes leave undone when they are ended is neither predicted nor failed.
    """
    failed: dict[str, str] = {}
    used = devices[: max(1, min(len(devices), len(raws)))]
    threads = max(1, torch.get_num_threads() // len(used))
    workers = [
        _Worker(replace(task, device=device), list(raws[start :: len(used)]), threads)
        for start, device in enumerate(used)
    ]
    running: list[_Worker] = []
    try:
        for worker in workers:
            worker.start()
            running.append(worker)
        while running and (task.until is None or time.monotonic() < task.until):
            open_ends = [worker.said for worker in running if not worker.said.closed]
            wait([*(worker.process.sentinel for worker in running), *open_ends], POLL_S)
            watch()
            for worker in list(running):
                ended = not worker.process.is_alive()  # before hearing: all that it said is then there
                worker.hear(failed)
                if ended and not _goes_on(worker, failed):
                    worker.said.close()
                    running.remove(worker)
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.join()
            worker.said.close()
    return failed


def _goes_on(worker: _Worker, failed: dict[str, str]) -> bool:
    """Start a process anew where it was killed over a scan; where anything else ended it, what is left has failed."""
    code = worker.process.exitcode
    if code == 0:
        return False
    killed = f"the process that predicted it was killed (exit code {code}), most likely for want of memory"
    told = worker.fault or killed
    left = [raw for raw in worker.share if raw.name not in failed and not is_done(worker.task, raw)]
    lost = [raw for raw in left if worker.fault is not None or worker.at in (None, raw.name)]
    failed |= {raw.name: told for raw in lost}
    worker.share = [raw for raw in left if raw not in lost]
    logger.warning("on %s: %s; %d scans are left", worker.task.device, told, len(worker.share))
    if not worker.share:
        return False
    worker.said.close()
    worker.start()
    return True


def _work(task: Task, raws: Sequence[RawScan], saying: Connection, threads: int, level: int) -> None:
    logging.basicConfig(level=level, format="%(message)s")
    torch.set_num_threads(threads)
    try:
        predict_share(task, raws, lambda name, reason: saying.send((name, reason)))
    except Exception as e:
        saying.send((None, f"{type(e).__name__}: {e}"))
        raise
