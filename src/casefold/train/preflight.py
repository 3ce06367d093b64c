"""Before a night's training: shapes, one batch learnt by heart, memory, and the time that all of it will take."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from casefold.core import CasefoldError
from casefold.models.build import build, memory_format, parameters
from casefold.store import Store
from casefold.train.loop import make_fabric
from casefold.train.machine import cpu_seconds, peak_megabytes
from casefold.train.optim import build_optimizer
from casefold.train.run import Job, datasets, predict_with
from casefold.train.step import Stepper

STEPS = 12
WARM = 2  # the first steps pay for kernels and caches


@dataclass(frozen=True)
class Preflight:
    """What one run would be: shapes of a batch, its loss before and after `STEPS` steps on it, seconds and megabytes.

    step_s: by the clock; step_cpu_s: of the CPU, over all threads; load_s: loading a step's batches, of the CPU.
    epoch_s: an epoch's steps, loading included. validation_s: one validation, and OOF.
    """

    title: str
    shapes: dict[str, tuple[int, ...]]
    parameters: int
    first_loss: float
    last_loss: float
    steps_an_epoch: int
    step_s: float
    step_cpu_s: float
    load_s: float
    validation_s: float
    peak_mb: float
    epochs: int
    validations: int

    @property
    def epoch_s(self) -> float:
        """An epoch's steps with the loading of their batches in the same process."""
        return self.steps_an_epoch * (self.step_s + self.load_s)

    @property
    def total_s(self) -> float:
        """The whole run: epochs, validations, and OOF at its end."""
        return self.epochs * self.epoch_s + (self.validations + 1) * self.validation_s

    def epochs_within(self, seconds: float) -> int:
        """The most epochs, at least 1, that end in time, their validations and OOF included."""
        fixed = self.validation_s * 2
        each = self.epoch_s + self.validation_s * max(0, self.validations - 1) / max(1, self.epochs)
        return max(1, int((seconds - fixed) / each))


def preflight(job: Job) -> Preflight:
    """Learn one batch by heart and measure; nothing is written. Raises CasefoldError where the loss does not fall."""
    store = Store(job.store)
    names, held = (job.table.learnable(store), []) if job.fold == "full" else job.table.split(store, int(job.fold))
    config, fabric = job.config, make_fabric(job.config, job.device)
    torch.manual_seed(config.train.seed)
    raw = build(config, len(store.scan(names[0]).image), len(store.classes), pretrained=True).to(fabric.device)
    raw = raw.to(memory_format=memory_format(raw))
    model, optimizer = fabric.setup(raw, build_optimizer(config.train, raw.parameters()))
    dataset, sampler = datasets(job, store, names, 0, 1)
    loader = iter(torch.utils.data.DataLoader(dataset, batch_sampler=sampler))
    next(loader)  # fills the caches
    began = cpu_seconds()
    batch = next(loader, None) or next(iter(torch.utils.data.DataLoader(dataset, batch_sampler=sampler)))
    load_s = cpu_seconds() - began
    stepper, losses, times, cpu_times = Stepper(fabric, config, model, optimizer), [], [], []
    raw.train()
    for _ in range(STEPS):
        began, cpu_began = time.perf_counter(), cpu_seconds()
        parts, _ = stepper.step([batch], 0, 0, False)
        times.append(time.perf_counter() - began)
        cpu_times.append(cpu_seconds() - cpu_began)
        losses.append(parts["loss"])
    if min(losses[WARM:]) >= losses[0]:
        raise CasefoldError(
            f"{job.title}: {STEPS} steps on one batch did not lower its loss ({losses[0]:.4g} to {losses[-1]:.4g}); "
            "look at train.lr and at what the batch holds"
        )
    scan = store.scan((held or names)[0])
    began = time.perf_counter()
    predict_with(config, raw, store.classes, scan, fabric.device, job.detectors())
    every, epochs = config.train.validate_every, config.train.epochs
    return Preflight(
        title=job.title,
        shapes={name: tuple(value.shape) for name, value in batch.items() if isinstance(value, torch.Tensor)},
        parameters=parameters(raw),
        first_loss=losses[0],
        last_loss=losses[-1],
        steps_an_epoch=round(np.mean([sampler.length(at) for at in range(epochs)])) // config.train.accumulate,
        step_s=float(np.median(times[WARM:])) * config.train.accumulate,
        step_cpu_s=float(np.median(cpu_times[WARM:])) * config.train.accumulate,
        load_s=load_s * config.train.accumulate,
        validation_s=(time.perf_counter() - began) * len(held),
        peak_mb=peak_megabytes(),
        epochs=epochs,
        validations=-(-epochs // every) if held else 0,
    )
