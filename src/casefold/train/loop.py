"""The loop: epochs of keyed batches on Lightning Fabric, averaged weights, whole-scan validation, checkpoints."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader
from tqdm import tqdm

from casefold.config.experiments import Experiment, Seg3d
from casefold.config.training import Train
from casefold.core import CasefoldError, ConfigError, DataError
from casefold.data.sampler import BatchSampler
from casefold.models.build import PaddedNet, memory_format
from casefold.models.precision import Precision, pick_device, resolve
from casefold.models.volumes import level_depths
from casefold.train.log import write_rows
from casefold.train.machine import cpu_seconds, peak_megabytes
from casefold.train.optim import Average, build_optimizer, schedule_factor
from casefold.train.state import Progress, State
from casefold.train.step import Stepper
from casefold.train.stop import StoppedError, noting_signals

FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
Validate = Callable[[nn.Module], dict[str, float]]
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Habits:
    """What changes no result: loading processes, boards beside `log.csv` (tensorboard, wandb), and when besides the end
    of an epoch a checkpoint is written."""

    workers: int = 0
    boards: tuple[str, ...] = ()
    save_minutes: float = 10.0
    save_steps: int | None = None


def make_fabric(config: Experiment, device: str) -> Fabric:
    """Fabric in the precision that the config asks for: on one device, or on all that `torchrun` was given."""
    target = pick_device(device)
    precision: Any = FABRIC_PRECISION[_safe_precision(config, target)]
    ranks, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(
        accelerator=target.type, devices=local, num_nodes=ranks // local, precision=precision,
        strategy="ddp" if ranks > 1 else "auto",
    )  # fmt: skip
    fabric.launch()
    return fabric


def fit(
    fabric: Fabric, config: Experiment, net: PaddedNet, dataset: Any, sampler: BatchSampler, run: Path,
    habits: Habits, validate: Validate | None, report: Report, title: str, fixed: dict[str, Any],
) -> tuple[nn.Module, Progress]:  # fmt: skip
    """Train to the last epoch, going on from the checkpoint in `run`; gives the weights to use, and progress.

    validate: called with them every `validate_every` epochs and at the last, on every rank. report: called with each
    epoch's row. fixed: what a checkpoint must have been saved under. Raises StoppedError after SIGTERM, all saved.
    """
    train = config.train
    raw = net.to(fabric.device).to(memory_format=memory_format(net))
    average = Average(train, raw)
    optimizer = build_optimizer(train, raw.parameters())
    steps = _steps(train, sampler)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule_factor(train.schedule, steps))
    scaler = getattr(fabric._precision, "scaler", None)  # fabric leaves the AMP scaler out of what it saves
    state = State(raw, average, optimizer, scheduler, scaler, fixed)
    state.load(run)
    progress = state.progress
    model, fabric_optimizer = fabric.setup(torch.compile(raw) if train.compile else raw, optimizer)
    stepper = Stepper(fabric, config, model, fabric_optimizer, progress.split)
    loader = DataLoader(
        dataset, batch_sampler=sampler, num_workers=habits.workers, pin_memory=fabric.device.type == "cuda",
        multiprocessing_context=_loading_processes() if habits.workers else None,
        persistent_workers=habits.workers > 0,
    )  # fmt: skip
    bar = tqdm(total=steps, initial=progress.step, desc=title, leave=False, disable=_no_bar(fabric))
    with noting_signals() as stop, bar:
        while progress.epoch < train.epochs and not progress.stopped:
            raw.train()
            clock = Clock(progress.spent)
            for batches in islice(_groups(loader, sampler, progress, train.accumulate, clock), steps - progress.step):
                parts, stopping = stepper.step(batches, progress.epoch, progress.batch, bool(stop))
                scheduler.step()
                average.after_step()
                progress.parts.append(parts)
                progress.batch += len(batches)
                progress.step += 1
                progress.split = stepper.split
                clock.items += sum(len(batch["image"]) for batch in batches)
                bar.update()
                bar.set_postfix(loss=f"{parts['loss']:.4f}")
                if stopping or clock.save_is_due(habits, progress.step):
                    progress.spent = clock.spent()
                    _save(fabric, state, run)
                if stopping:
                    raise StoppedError(stop.exit_code)
            progress.epoch, progress.batch = progress.epoch + 1, 0
            average.after_epoch(progress.epoch)
            row, rates = _row(progress, float(scheduler.get_last_lr()[0])), clock.rates()
            if validate is not None and (progress.epoch % train.validate_every == 0 or progress.epoch == train.epochs):
                _settle(fabric, average, loader, sampler)
                row |= validate(average.weights())
                _judge(state, row, train.patience)
            progress.rows.append(row)
            progress.timing.append({"epoch": progress.epoch, **clock.spent(), **rates})
            progress.spent, progress.parts = {}, []
            _save(fabric, state, run)
            report(row | rates | {"cpu_s": progress.cpu_s})
    _settle(fabric, average, loader, sampler)
    weights = average.weights()
    if state.best_weights is not None:
        weights.load_state_dict(state.best_weights)
    return weights, progress


class Clock:
    """What an epoch took so far, over all processes that worked on it."""

    def __init__(self, before: dict[str, float]) -> None:
        self.before, self.wall, self.cpu = before, time.perf_counter(), cpu_seconds()
        self.saved, self.waited, self.items = self.wall, 0.0, 0

    def spent(self) -> dict[str, float]:
        """Seconds of wall and CPU, seconds waited for data, items seen, and the peak of memory in MB."""
        now = {
            "wall_s": time.perf_counter() - self.wall,
            "cpu_s": cpu_seconds() - self.cpu,
            "wait_s": self.waited,
            "items": float(self.items),
        }
        total = {name: self.before.get(name, 0.0) + value for name, value in now.items()}
        return total | {"peak_mb": max(self.before.get("peak_mb", 0.0), peak_megabytes())}

    def rates(self) -> dict[str, float]:
        """Samples a second of wall, and the share of it spent waiting for data."""
        took = self.spent()
        return {"samples_a_s": took["items"] / took["wall_s"], "waiting": took["wait_s"] / took["wall_s"]}

    def save_is_due(self, habits: Habits, step: int) -> bool:
        """Whether it is time for a checkpoint within the epoch."""
        if habits.save_steps is not None and step % habits.save_steps == 0:
            return True
        if time.perf_counter() - self.saved < 60 * habits.save_minutes:
            return False
        self.saved = time.perf_counter()
        return True


def _steps(train: Train, sampler: BatchSampler) -> int:
    """The optimiser steps of a run; raises ConfigError where those that the config has do not end in its last epoch."""
    each = [sampler.length(epoch) // train.accumulate for epoch in range(train.epochs)]
    before, every = sum(each[:-1]), sum(each)
    if train.steps is not None and not before < train.steps <= every:
        raise ConfigError(
            f"train.steps: {train.steps} do not end in the last of {train.epochs} epochs, which has the steps "
            f"{before + 1} to {every}; give other epochs, or other steps"
        )
    return every if train.steps is None else train.steps


def _groups(
    loader: DataLoader[Any], sampler: BatchSampler, progress: Progress, size: int, clock: Clock
) -> Iterator[list[Any]]:
    """The batches of an epoch that are still to come, so many at a time as make a step."""
    sampler.epoch, sampler.skip = progress.epoch, progress.batch
    source = _told_plainly(loader)
    while True:
        began = time.perf_counter()
        batches = list(islice(source, size))
        clock.waited += time.perf_counter() - began
        if not batches:
            return
        yield batches


def _told_plainly(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches; what a loading process could not read, or its death, is told without torch's words around it."""
    try:
        yield from batches
    except DataError as e:
        raise DataError(str(e).rpartition(f"{DataError.__module__}.{DataError.__name__}: ")[2].strip()) from e
    except RuntimeError as e:
        if "DataLoader worker" not in str(e):
            raise
        raise CasefoldError(
            f"a data loading process died ({e}); the last checkpoint stands, and the same command goes on from it. "
            "Where memory is short, give fewer --workers"
        ) from e


def _row(progress: Progress, rate: float) -> dict[str, Any]:
    mean = {name: float(np.mean([part[name] for part in progress.parts])) for name in progress.parts[0]}
    return {"epoch": progress.epoch, "step": progress.step, "lr": rate, **mean}


def _judge(state: State, row: dict[str, Any], patience: int | None) -> None:
    """Early stopping: keep the best validated weights, and count the validations since."""
    if patience is None:
        return
    progress = state.progress
    score = next(value for name, value in row.items() if name.startswith("valid"))
    if progress.best is None or score > progress.best:
        progress.best, progress.since = score, 0
        state.best_weights = {
            name: value.detach().cpu().clone() for name, value in state.average.weights().state_dict().items()
        }
    else:
        progress.since += 1
        progress.stopped = progress.since >= patience


def _settle(fabric: Fabric, average: Average, loader: DataLoader[Any], sampler: BatchSampler) -> None:
    """The average's buffers, the same on every rank: batch statistics computed anew for SWA, else those of rank 0."""
    weights = average.weights()
    if average.wants_batch_statistics:
        sampler.epoch, sampler.skip = 0, 0
        update_bn((batch["image"] for batch in loader), weights, fabric.device)
        weights.eval()
    if fabric.world_size > 1:
        for buffer in weights.buffers():
            buffer.copy_(fabric.broadcast(buffer, src=0))


def _save(fabric: Fabric, state: State, run: Path) -> None:
    """A checkpoint and both logs, by rank 0; the others wait."""
    if fabric.is_global_zero:
        state.save(run)
        write_rows(state.progress.rows, run / "log.csv")
        write_rows(state.progress.timing, run / "timing.csv")
    fabric.barrier()


def _loading_processes() -> Any:
    """Processes forked from a clean server that has imported all they need: nothing is imported once a worker."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["casefold.data.patches", "casefold.data.slices", "monai.transforms"])
    return context


def _no_bar(fabric: Fabric) -> bool | None:
    """Bars of processes side by side would overwrite each other; None shows one where there is a terminal."""
    return True if multiprocessing.parent_process() is not None or not fabric.is_global_zero else None


def _safe_precision(config: Experiment, device: torch.device) -> Precision:
    """The precision to train in: on a CPU, fp32 for a 3D net with a level two voxels deep.

    There the bf16 weight gradient of a 3 x 3 x 3 convolution holds values never written (oneDNN in torch 2.14: another
    gradient at each call, now and then infinite); at every other depth it repeats exactly.
    """
    precision = resolve(config.train.precision, device)
    if precision != "bf16" or device.type != "cpu" or not isinstance(config, Seg3d):
        return precision
    if config.data.patch is not None and 2 not in level_depths(config.model, config.data.patch[0]):
        return precision
    if config.train.precision == "bf16":
        raise ConfigError(
            "train.precision: bf16 on a CPU gives wrong gradients where a level of the net is two voxels deep; take "
            "another data.patch depth, or write `precision: auto`, which is fp32 there"
        )
    return "fp32"
