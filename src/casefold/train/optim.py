"""Optimisers, schedules and averages of weights by name: one visible table each."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from casefold.config.training import (
    Adadelta,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Ema,
    Linear,
    OneCycle,
    Poly,
    Restarts,
    ScheduleConfig,
    Sgd,
    Steps,
    Swa,
    Train,
)  # fmt: skip

Factor = Callable[[float], float]
ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 25 / 1e4


def build_optimizer(train: Train, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of a config over a net's parameters."""
    rate: dict[str, Any] = {"lr": train.lr, "weight_decay": train.weight_decay}
    fast = rate | {"fused": True}  # one kernel for all tensors, on a GPU and on a CPU
    match train.optimizer:
        case AdamW(betas=betas):
            return torch.optim.AdamW(parameters, betas=betas, **fast)
        case Adam(betas=betas):
            return torch.optim.Adam(parameters, betas=betas, **fast)
        case Sgd(momentum=momentum, nesterov=nesterov):
            return torch.optim.SGD(parameters, momentum=momentum, nesterov=nesterov and momentum > 0, **fast)
        case Adadelta(rho=rho):
            return torch.optim.Adadelta(parameters, rho=rho, **rate)


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _one_cycle(rise: float) -> Factor:
    def factor(progress: float) -> float:
        if progress < rise:
            return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - _cosine(progress / rise))
        return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * _cosine((progress - rise) / (1 - rise))

    return factor


def _restarts(count: int, longer: float) -> Factor:
    lengths = [longer**index for index in range(count)]
    ends = [sum(lengths[: index + 1]) / sum(lengths) for index in range(count)]

    def factor(progress: float) -> float:
        start = 0.0
        for end in ends[:-1]:
            if progress < end:
                return _cosine((progress - start) / (end - start))
            start = end
        return _cosine((progress - start) / (1 - start))

    return factor


def _after_warmup(schedule: ScheduleConfig) -> Factor:
    """The rate's factor by progress 0..1 once the warm-up is over."""
    match schedule:
        case Cosine(final=final):
            return lambda progress: final + (1 - final) * _cosine(progress)
        case Linear(final=final):
            return lambda progress: final + (1 - final) * (1 - progress)
        case Poly(power=power):
            return lambda progress: (1 - progress) ** power
        case Steps(at=at, factor=factor):
            return lambda progress: factor ** sum(progress >= share for share in at)
        case Restarts(count=count, longer=longer):
            return _restarts(count, longer)
        case OneCycle(rise=rise):
            return _one_cycle(rise)
        case Constant():
            return lambda progress: 1.0


def schedule_factor(schedule: ScheduleConfig, steps: int) -> Callable[[int], float]:
    """The learning rate's factor by step: up from near 0 over the warm-up, then as the schedule says."""
    warm = 0 if isinstance(schedule, OneCycle) else max(1, round(schedule.warmup * steps))
    after = _after_warmup(schedule)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return after(min(1.0, (step - warm) / max(1, steps - warm)))

    return factor


class Average:
    """The averaged weights that are validated and kept: EMA after each step, SWA after each late epoch, or none."""

    def __init__(self, train: Train, model: nn.Module) -> None:
        self.config, self.epochs, self.raw = train.average, train.epochs, model
        self.model: AveragedModel | None = None
        if isinstance(self.config, Ema):
            self.model = AveragedModel(model, multi_avg_fn=_ema(self.config.decay), use_buffers=True)
        elif isinstance(self.config, Swa):
            self.model = AveragedModel(model)

    def after_step(self) -> None:
        """Take in the weights that a step made."""
        if self.model is not None and isinstance(self.config, Ema):
            self.model.update_parameters(self.raw)

    def after_epoch(self, done: int) -> None:
        """Take in the weights at the end of an epoch; done: epochs done."""
        if self.model is not None and isinstance(self.config, Swa) and done > self.config.start * self.epochs:
            self.model.update_parameters(self.raw)

    def weights(self) -> nn.Module:
        """The net to validate and to keep: the average once it holds something, else the raw net."""
        if self.model is None or int(self.model.n_averaged) == 0:
            return self.raw
        return self.model.module

    @property
    def wants_batch_statistics(self) -> bool:
        """Whether the average's batch norms have statistics of weights that nobody averaged."""
        norms = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self.raw.modules())
        return isinstance(self.config, Swa) and norms and self.weights() is not self.raw


def _ema(decay: float) -> Callable[..., None]:
    """The average of tensors of one type, in place; counters (of batch norm) are copied."""

    def average(old: list[Tensor], new: list[Tensor], count: Tensor | int) -> None:
        if old[0].is_floating_point():
            n = int(count)
            torch._foreach_lerp_(old, new, 1 - min(decay, (1 + n) / (10 + n)))
        else:
            torch._foreach_copy_(old, new)

    return average
