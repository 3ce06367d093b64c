"""Each loss against values worked out on 2 x 2 logits; what `keep` leaves out must not matter at all."""

import math
import re
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from casefold.config.experiments import Loss, LossName
from casefold.core import DataError
from casefold.losses import SMOOTH, TERMS, total_loss

# probabilities 0.5 0.75 / 0.25 0.5, of which the upper row is to be found
LOGITS = torch.tensor([[[[0.0, math.log(3)], [-math.log(3), 0.0]]]])
TARGET = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
KEEP = torch.ones(1, 1, 2, 2)
INSIDE, OUTSIDE, MISSED = 0.5 + 0.75, 0.25 + 0.5, 0.5 + 0.25
# two classes and background: at the left voxel 1/6 for background, 2/6 and 3/6; at the right one 1/2, 1/4, 1/4
EXCLUSIVE = torch.log(torch.tensor([[[[1.0, 2.0]], [[2.0, 1.0]], [[3.0, 1.0]]]]))
LABELS = torch.tensor([[[[0.0, 0.0]], [[1.0, 0.0]]]])  # the second class at the left voxel, background at the right


def loss_of(
    name: str, logits: Tensor = LOGITS, target: Tensor = TARGET, keep: Tensor = KEEP, activation: str = "sigmoid"
) -> float:
    total, parts = total_loss([Loss(name=name)], {"maps": logits}, {"maps": target, "keep": keep}, activation)
    assert parts == {f"maps.{name}": total.item()}
    return total.item()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bce", -(math.log(0.5) + math.log(0.75) + math.log(0.75) + math.log(0.5)) / 4),
        ("focal", (math.log(2) * 0.5**2 + math.log(4 / 3) * 0.25**2) * 2 / 4),
        ("dice", 1 - (2 * INSIDE + SMOOTH) / (2 + INSIDE + OUTSIDE + SMOOTH)),
        ("tversky", 1 - (INSIDE + SMOOTH) / (INSIDE + 0.3 * OUTSIDE + 0.7 * MISSED + SMOOTH)),
    ],
)
def test_by_hand(name: str, value: float) -> None:
    assert loss_of(name) == pytest.approx(value, abs=1e-6)


def test_dice_and_tversky_in_plain_numbers() -> None:
    assert loss_of("dice") == pytest.approx(1 - 2.5 / 4, abs=1e-5)
    assert loss_of("tversky") == pytest.approx(1 - 1.25 / (1.25 + 0.225 + 0.525), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce", (math.log(2) + math.log(2)) / 2),
        # the first class is nowhere, so its share of Dice is 1 - 0 / (1/3 + 1/4); the second is found by half
        ("dice", (1 + 1 - 2 * 0.5 / (1 + 0.5 + 0.25)) / 2),
        ("tversky", (1 + 1 - 0.5 / (0.5 + 0.3 * 0.25 + 0.7 * 0.5)) / 2),
    ],
)
def test_softmax_by_hand(name: str, value: float) -> None:
    keep = torch.ones(1, 1, 1, 2)
    assert loss_of(name, EXCLUSIVE, LABELS, keep, "softmax") == pytest.approx(value, abs=1e-4)


def test_cross_entropy_takes_the_first_class_where_masks_overlap() -> None:
    both = torch.ones(1, 2, 1, 1)
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).reshape(1, 3, 1, 1)
    assert loss_of("ce", logits, both, torch.ones(1, 1, 1, 1), "softmax") == pytest.approx(-math.log(0.3), abs=1e-6)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_better_prediction_has_a_lower_loss(name: str) -> None:
    activation = "softmax" if name == "ce" else "sigmoid"
    wanted = TARGET * 2 - 1
    right = torch.cat([-wanted, wanted], dim=1) if name == "ce" else wanted
    values = [loss_of(name, right * strength, activation=activation) for strength in (-5, -1, 0, 1, 5, 20)]
    assert values == sorted(values, reverse=True) and len(set(values)) == 6
    assert values[-1] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_voxels_that_are_not_kept_do_not_count(name: str) -> None:
    activation, channels = ("softmax", 3) if name == "ce" else ("sigmoid", 2)
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(2, channels, 3, 4, generator=random)
    target = (torch.rand(2, 2, 3, 4, generator=random) < 0.4).float()
    keep = torch.ones(2, 1, 3, 4)
    keep[..., 3] = 0
    other_logits, other_target = logits.clone(), target.clone()
    other_logits[..., 3], other_target[..., 3] = 9.0, 1 - target[..., 3]
    value = loss_of(name, logits, target, keep, activation)
    assert loss_of(name, other_logits, other_target, keep, activation) == value
    cropped = loss_of(name, logits[..., :3], target[..., :3], keep[..., :3], activation)
    assert value == pytest.approx(cropped, abs=1e-6)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_nothing_kept_gives_nothing_to_learn(name: str) -> None:
    activation, channels = ("softmax", 2) if name == "ce" else ("sigmoid", 1)
    logits = torch.zeros(1, channels, 2, 2, requires_grad=True)
    target = {"maps": TARGET, "keep": torch.zeros(1, 1, 2, 2)}
    total, _ = total_loss([Loss(name=name)], {"maps": logits}, target, activation)
    total.backward()
    assert total.item() == 0
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_the_batch_is_pooled(name: str) -> None:
    logits, target = torch.cat([LOGITS, LOGITS - 9]), torch.cat([TARGET, TARGET * 0])
    side_by_side = loss_of(name, torch.cat([LOGITS, LOGITS - 9], 3), torch.cat([TARGET, TARGET * 0], 3), KEEP[..., :1])
    assert loss_of(name, logits, target, torch.ones(2, 1, 2, 2)) == pytest.approx(side_by_side, abs=1e-7)


def test_a_presence_of_any_class_is_the_union_of_the_classes() -> None:
    target = {"presence": torch.tensor([[0.0, 1.0], [0.0, 0.0]])}
    outputs = {"presence": torch.tensor([[math.log(3)], [math.log(3)]])}
    total, parts = total_loss([Loss(name="bce", on="presence")], outputs, target, "sigmoid")
    assert total.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, abs=1e-6)
    assert list(parts) == ["presence.bce"]


def test_a_presence_by_class_is_compared_class_by_class() -> None:
    target = {"presence": torch.tensor([[0.0, 1.0]])}
    outputs = {"presence": torch.tensor([[math.log(3), math.log(3)]])}
    total, _ = total_loss([Loss(name="bce", on="presence")], outputs, target, "softmax")
    assert total.item() == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2, abs=1e-6)


def test_the_total_is_the_weighted_sum() -> None:
    losses = [Loss(name="bce", weight=0.5), Loss(name="dice", weight=3), Loss(name="bce", weight=2, on="presence")]
    outputs = {"maps": LOGITS, "presence": torch.zeros(1, 1)}
    target = {"maps": TARGET, "keep": KEEP, "presence": torch.ones(1, 1)}
    total, parts = total_loss(losses, outputs, target, "sigmoid")
    assert parts["presence.bce"] == pytest.approx(math.log(2), abs=1e-6)
    by_hand = 0.5 * loss_of("bce") + 3 * loss_of("dice") + 2 * math.log(2)
    assert total.item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "on", "logits", "target", "activation", "message"),
    [
        (
            "bce",
            "maps",
            (1, 1, 2, 2),
            (1, 2, 2, 2),
            "sigmoid",
            "loss bce: logits of (1, 1, 2, 2) for a target of (1, 2",
        ),
        (
            "dice",
            "maps",
            (1, 1, 2, 2),
            (1, 1, 2, 3),
            "sigmoid",
            "loss dice: logits of (1, 1, 2, 2) for a target of (1,",
        ),
        ("ce", "maps", (1, 1, 2, 2), (1, 1, 2, 2), "softmax", "loss ce: logits of (1, 1, 2, 2) for a target of (1, 1,"),
        ("bce", "presence", (2, 3), (2, 2), "sigmoid", "loss bce: logits of (2, 3) for a target of (2, 2)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    name: str, on: Any, logits: tuple[int, ...], target: tuple[int, ...], activation: str, message: str
) -> None:
    given = {on: torch.zeros(target), "keep": torch.ones(target[0], 1, *target[2:])}
    with pytest.raises(DataError, match=re.escape(message)):
        total_loss([Loss(name=name, on=on)], {on: torch.zeros(logits)}, given, activation)


def test_the_words_of_the_config_are_those_of_the_table() -> None:
    assert sorted(get_args(LossName)) == sorted(TERMS)


def test_probabilities_in_the_place_of_logits_are_refused() -> None:
    target = {"maps": torch.zeros(1, 1, 32, 32), "keep": torch.ones(1, 1, 32, 32)}
    with pytest.raises(DataError, match=r"every value lies in 0\.\.1: were these probabilities"):
        total_loss((Loss(name="bce"),), {"maps": torch.rand(1, 1, 32, 32)}, target, "sigmoid")
