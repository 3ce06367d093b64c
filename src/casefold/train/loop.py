"""The loop: epochs of keyed batches on Lightning Fabric, an averaged model, whole-scan validation, checkpoints."""

import math
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from casefold.config.experiments import Experiment, Schedule, Seg3d
from casefold.core import CasefoldError, ConfigError, DataError
from casefold.data.augment import seed_of
from casefold.data.sampler import BatchSampler
from casefold.losses import total_loss
from casefold.models.build import PaddedNet, level_depths, memory_format
from casefold.models.precision import Precision, pick_device, resolve
from casefold.train.log import write_rows
from casefold.train.state import Progress, State, averaged

FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
Validate = Callable[[nn.Module], dict[str, float]]
Report = Callable[[dict[str, Any]], None]


class DivergedError(CasefoldError):
    """The loss is no longer a number."""


def make_fabric(config: Experiment, device: str) -> Fabric:
    """Fabric on one device, in the precision that the config asks for there."""
    target = pick_device(device)
    precision = FABRIC_PRECISION[_safe_precision(config, target)]
    fabric = Fabric(accelerator=target.type, devices=1, precision=precision)
    fabric.launch()
    return fabric


def fit(
    fabric: Fabric, config: Experiment, net: PaddedNet, dataset: Any, sampler: BatchSampler, run: Path,
    workers: int, validate: Validate | None, report: Report, title: str,
) -> tuple[nn.Module, Progress]:  # fmt: skip
    """Train to the last epoch, going on from `run/last.pt` where there is one; gives the weights to use, and progress.

    validate: called with them every `validate_every` epochs and at the last. report: called with each epoch's row.
    """
    train = config.train
    sampler.epoch = 0
    steps = [_length(sampler, epoch) for epoch in range(train.epochs)]
    raw = net.to(fabric.device).to(memory_format=memory_format(net))
    average = averaged(train, raw)
    optimizer = torch.optim.AdamW(raw.parameters(), train.lr, weight_decay=train.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule_factor(train.schedule, sum(steps)))
    scaler = getattr(fabric._precision, "scaler", None)  # fabric leaves the AMP scaler out of what it saves
    state = State(raw, average, optimizer, scheduler, scaler, Progress())
    if (run / "last.pt").is_file():
        state.load(run / "last.pt")
    model, fabric_optimizer = fabric.setup(raw, optimizer)
    loader = DataLoader(
        dataset, batch_sampler=sampler, num_workers=workers, pin_memory=fabric.device.type == "cuda",
        multiprocessing_context="spawn" if workers else None, persistent_workers=False,
    )  # fmt: skip
    progress = state.progress
    no_bar = None if multiprocessing.parent_process() is None else True  # side by side they would overwrite each other
    while progress.epoch < train.epochs:
        wall, cpu = time.perf_counter(), cpu_seconds()
        sampler.epoch = progress.epoch
        raw.train()
        parts: list[dict[str, float]] = []
        bar = tqdm(loader, f"{title} epoch {progress.epoch + 1}/{train.epochs}", leave=False, disable=no_bar)
        for index, batch in enumerate(_told_plainly(bar)):
            torch.manual_seed(seed_of((train.seed, progress.epoch, index)))  # dropout and drop path draw from this
            part = _step(fabric, config, model, fabric_optimizer, batch, f"epoch {progress.epoch + 1}, batch {index}")
            scheduler.step()
            progress.step += 1
            if average is not None:
                average.update_parameters(raw)
            parts.append(part)
            bar.set_postfix(loss=f"{part['loss']:.4f}")
        progress.epoch += 1
        row: dict[str, Any] = {"epoch": progress.epoch, "step": progress.step, "lr": scheduler.get_last_lr()[0]}
        row |= {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
        if validate is not None and (progress.epoch % train.validate_every == 0 or progress.epoch == train.epochs):
            row |= validate(raw if average is None else average.module)
        progress.rows.append(row)
        spent = {"epoch": progress.epoch, "wall_s": time.perf_counter() - wall, "cpu_s": cpu_seconds() - cpu}
        progress.timing.append(spent)
        state.save(run / "last.pt")
        write_rows(progress.rows, run / "log.csv")
        write_rows(progress.timing, run / "timing.csv")
        report(row | {"cpu_s": progress.cpu_s})
    return (raw if average is None else average.module), progress


def _told_plainly(batches: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The batches; what a loading process could not read is told without that process's trace, which torch puts in."""
    try:
        yield from batches
    except DataError as e:
        raise DataError(str(e).rpartition(f"{DataError.__module__}.{DataError.__name__}: ")[2].strip()) from e


def _step(
    fabric: Fabric, config: Experiment, model: Any, optimizer: Any, batch: dict[str, Any], where: str
) -> dict[str, float]:
    target = {
        name: value.to(fabric.device, non_blocking=True) for name, value in batch.items() if isinstance(value, Tensor)
    }
    image = target.pop("image")
    if image.ndim == 4:
        image = image.contiguous(memory_format=torch.channels_last)
    outputs = model(image)
    activation = getattr(config.model, "activation", "sigmoid")  # type: ignore[attr-defined]
    loss, parts = total_loss(config.losses, outputs, target, activation)  # type: ignore[attr-defined]
    value = float(loss.detach())
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss became {value} in {where}, on {batch['name']}; lower train.lr, or look at those slices"
        )
    fabric.backward(loss)
    limit = config.train.clip_norm
    norm = fabric.clip_gradients(
        model, optimizer, max_norm=math.inf if limit is None else limit, error_if_nonfinite=False
    )
    if not math.isfinite(norm) and getattr(fabric._precision, "scaler", None) is None:
        raise DivergedError(f"the gradient became {float(norm)} in {where}, on {batch['name']}; lower train.lr")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"loss": value, **parts, "gradient_norm": float(norm), "predicted_positive": _positive(outputs, activation)}


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


def schedule_factor(schedule: Schedule, steps: int) -> Callable[[int], float]:
    """The learning rate's factor by step: up from near 0 over the warm-up, then half a cosine down to 0."""
    warm = max(1, round(schedule.warmup * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

    return factor


def cpu_seconds() -> float:
    """User and system seconds of this process and of its ended children."""
    import resource

    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _positive(outputs: dict[str, Tensor], activation: str) -> float:
    what = "maps" if "maps" in outputs else "presence"
    logits = outputs[what].detach()
    if what == "maps" and activation == "softmax":
        return float((logits.argmax(1) > 0).float().mean())
    return float((logits > 0).float().mean())


def _length(sampler: BatchSampler, epoch: int) -> int:
    sampler.epoch = epoch
    return len(sampler)
