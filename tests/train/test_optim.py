"""Optimisers, schedules and averages in literal numbers."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from casefold.config.training import (
    Constant,
    Cosine,
    Ema,
    Linear,
    NoAverage,
    OneCycle,
    Poly,
    Restarts,
    ScheduleConfig,
    Steps,
    Swa,
    Train,
)
from casefold.train.optim import Average, build_optimizer, schedule_factor


@pytest.mark.parametrize(
    ("warmup", "factors"),
    [
        (0.2, [1 / 3, 2 / 3, 1, (1 + math.cos(math.pi / 8)) / 2]),
        (0.0, [1 / 2, 1, (1 + math.cos(math.pi / 9)) / 2, (1 + math.cos(math.pi * 2 / 9)) / 2]),
    ],
)
def test_a_schedule_begins_with_its_warmup(warmup: float, factors: list[float]) -> None:
    factor = schedule_factor(Cosine(warmup=warmup), 10)
    assert [factor(step) for step in range(4)] == pytest.approx(factors, abs=1e-12)


# 11 steps, one of warm-up: at step s the progress is (s - 1) / 10
@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        (Cosine(warmup=0), 6, 0.5),
        (Cosine(warmup=0), 12, 0.0),
        (Cosine(warmup=0, final=0.2), 6, 0.6),
        (Cosine(warmup=0, final=0.2), 11, 0.2),
        (Linear(name="linear", warmup=0), 4, 0.7),
        (Linear(name="linear", warmup=0, final=0.5), 11, 0.5),
        (Poly(name="poly", warmup=0), 6, 0.5**0.9),
        (Poly(name="poly", warmup=0, power=2), 4, 0.49),
        (Steps(name="steps", warmup=0), 5, 1.0),
        (Steps(name="steps", warmup=0), 6, 0.1),
        (Steps(name="steps", warmup=0, at=(0.2, 0.4), factor=0.5), 5, 0.25),
        (Restarts(name="restarts", warmup=0, count=2), 1, 1.0),
        (Restarts(name="restarts", warmup=0, count=2), 5, (1 + math.cos(math.pi * 0.8)) / 2),
        (Restarts(name="restarts", warmup=0, count=2), 6, 1.0),  # half way the second one begins
        (Restarts(name="restarts", warmup=0, count=2), 11, 0.0),
        (Restarts(name="restarts", warmup=0, count=2, longer=4), 3, 1.0),  # lengths 1 : 4, so at a fifth
        (Constant(name="constant", warmup=0), 9, 1.0),
    ],
)
def test_a_schedule_by_hand(schedule: ScheduleConfig, step: int, factor: float) -> None:
    assert schedule_factor(schedule, 11)(step) == pytest.approx(factor, abs=1e-12)


def test_one_cycle_rises_and_falls() -> None:
    factor = schedule_factor(OneCycle(name="one_cycle", rise=0.25), 8)
    # from 1/25 to 1 by half a cosine over two steps, then down to 1/250,000
    assert [factor(step) for step in (0, 1, 2, 8)] == pytest.approx([0.04, 0.52, 1.0, 4e-6], abs=1e-12)
    assert factor(5) == pytest.approx((1 + 4e-6) / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "weight"),
    [
        # the gradient is 1 and the rate 0.1: Adam's first step is of the length of the rate
        ({"name": "adamw"}, 1 - 0.1),
        ({"name": "adam"}, 1 - 0.1),
        ({"name": "sgd", "momentum": 0.0}, 1 - 0.1),
        ({"name": "sgd", "momentum": 0.5}, 1 - 0.1 * 1.5),  # Nesterov: gradient + momentum x gradient
        ({"name": "sgd", "momentum": 0.5, "nesterov": False}, 1 - 0.1),
        # sqrt(1e-6) / sqrt(0.1 + 1e-6) of the rate
        ({"name": "adadelta"}, 1 - 0.1 * math.sqrt(1e-6 / (0.1 + 1e-6))),
    ],
)
def test_the_first_step_of_an_optimiser(optimizer: dict[str, Any], weight: float) -> None:
    parameter = nn.Parameter(torch.tensor(1.0))
    train = Train.model_validate({"epochs": 1, "lr": 0.1, "weight_decay": 0.0, "optimizer": optimizer})
    built = build_optimizer(train, [parameter])
    parameter.grad = torch.tensor(1.0)
    built.step()
    assert parameter.item() == pytest.approx(weight, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "weight"),
    [("adamw", 1 - 0.1 * 0.5), ("adam", 1 - 0.1), ("sgd", 1 - 0.1 * 0.5 * 1.9)],
)
def test_weight_decay_without_a_gradient(name: str, weight: float) -> None:
    # AdamW shrinks by rate x decay; for Adam and SGD the decay is a gradient of 0.5, which Adam brings to length 1
    parameter = nn.Parameter(torch.tensor(1.0))
    train = Train.model_validate({"epochs": 1, "lr": 0.1, "weight_decay": 0.5, "optimizer": {"name": name}})
    built = build_optimizer(train, [parameter])
    parameter.grad = torch.tensor(0.0)
    built.step()
    assert parameter.item() == pytest.approx(weight, abs=1e-6)


def fill(net: nn.Linear, value: float) -> None:
    with torch.no_grad():
        net.weight.fill_(value)


def test_ema_by_hand() -> None:
    net = nn.Linear(1, 1, bias=False)
    average = Average(Train(epochs=1, average=Ema(decay=0.2)), net)
    found = []
    for value in (8.0, 19.0, 1.0):
        fill(net, value)
        average.after_step()
        average.after_epoch(1)
        found.append(average.weights().weight.item())
    # decay: the first is taken as it is, then (1 + 1) / (10 + 1) = 2 / 11, then 3 / 12 is more than 0.2
    second = 8 * 2 / 11 + 19 * 9 / 11
    assert found == pytest.approx([8.0, second, second * 0.2 + 1.0 * 0.8], rel=1e-6)


def test_ema_averages_running_statistics_and_copies_counters() -> None:
    net = nn.BatchNorm1d(1)
    average = Average(Train(epochs=1), net)
    for mean in (11.0, 22.0):
        assert net.running_mean is not None and net.num_batches_tracked is not None
        net.running_mean.fill_(mean)
        net.num_batches_tracked += 1
        average.after_step()
    weights = average.weights()
    assert weights.running_mean.item() == pytest.approx(11 * 2 / 11 + 22 * 9 / 11)
    assert weights.num_batches_tracked.item() == 2
    assert not average.wants_batch_statistics


def test_swa_is_the_mean_of_the_late_epochs() -> None:
    net = nn.Linear(1, 1, bias=False)
    average = Average(Train(epochs=4, average=Swa(name="swa", start=0.5)), net)
    for done, value in enumerate((100.0, 50.0, 3.0, 5.0), start=1):
        fill(net, value)
        average.after_step()
        average.after_epoch(done)
        if done == 2:
            assert average.weights() is net  # nothing taken yet
    assert average.weights().weight.item() == 4.0


@pytest.mark.parametrize(("net", "wanted"), [(nn.BatchNorm2d(1), True), (nn.InstanceNorm2d(1), False)])
def test_swa_wants_batch_statistics_anew_where_there_are_some(net: nn.Module, wanted: bool) -> None:
    average = Average(Train(epochs=1, average=Swa(name="swa", start=0.0)), net)
    assert not average.wants_batch_statistics
    average.after_epoch(1)
    assert average.wants_batch_statistics is wanted


def test_no_average_is_the_net_itself() -> None:
    net = nn.Linear(1, 1)
    average = Average(Train(epochs=1, average=NoAverage(name="none")), net)
    average.after_step()
    average.after_epoch(1)
    assert average.model is None and average.weights() is net
