"""Runs that are killed: each attempt is a process (or one a rank) of its own, which ends by SIGKILL where told."""

import multiprocessing
import os
import signal
import socket
from pathlib import Path
from typing import Any, Literal

import torch

from casefold.config.experiments import Experiment
from casefold.folds import FoldTable
from casefold.train.loop import Habits
from casefold.train.run import Job, train

Where = Literal["step", "save", "after"]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["casefold.train.run", "casefold.data.augment", "monai.transforms", "chain"])


def make_job(config: Experiment, table: FoldTable, store: Path, run: Path, workers: int = 0) -> Job:
    """A run on the CPU that saves after every step."""
    return Job(config, table, "0", store, run, "cpu", habits=Habits(workers=workers, save_steps=1))


def attempt(job: Job, ranks: int = 1, kill_at: int | None = None, where: Where = "after") -> list[int]:
    """Train in processes of their own; gives their exit codes. kill_at: every rank dies at this step, counted from 1.

    where: inside the `step`, before the weights change; inside the `save`, before the file has its name; or `after` it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [CONTEXT.Process(target=_rank, args=(job, rank, ranks, port, kill_at, where)) for rank in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        if process.exitcode != 0:  # the others would wait for it for ever
            for other in processes:
                other.kill()
    return [process.exitcode for process in processes if process.exitcode is not None]


def _rank(job: Job, rank: int, ranks: int, port: int, kill_at: int | None, where: Where) -> None:
    torch.set_num_threads(1)
    if ranks > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
                       "LOCAL_WORLD_SIZE": str(ranks), "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "chain",
                       "GROUP_RANK": "0", "NODE_RANK": "0"}  # fmt: skip
    if kill_at is not None:
        _plant(job, kill_at, where)
    train(job)


def _plant(job: Job, kill_at: int, where: Where) -> None:
    """Let this process die at a step: of what it does there only the half that `where` says is done."""
    from casefold.train import loop, state
    from casefold.train.step import Stepper

    last = job.run / "last.pt"
    done = torch.load(last, weights_only=True)["progress"]["step"] if last.is_file() else 0
    save, agree = loop._save, Stepper._agree
    made = [done]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_half(path: Path, content: bytes) -> None:
        (path.parent / f".{path.name}.half.part").write_bytes(content[: len(content) // 2])
        die()

    def agreeing(self: Stepper, *words: Any) -> Any:
        made[0] += 1
        if where == "step" and made[0] == kill_at:
            die()
        return agree(self, *words)

    def saving(fabric: Any, current: Any, run: Path) -> None:
        now = current.progress.step == kill_at
        if now and where == "save":
            state.write_bytes = write_half
        save(fabric, current, run)
        if now:
            die()

    loop._save, Stepper._agree = saving, agreeing  # type: ignore[method-assign]
