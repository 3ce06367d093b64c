"""The weighted sum: presence, deep supervision, and what is refused."""

import math
import re
from typing import Any

import pytest
import torch
from worked import KEEP, LOGITS, TARGET, loss_of, row, term

from casefold.core import DataError
from casefold.losses import total_loss


def test_a_presence_of_any_class_is_the_union_of_the_classes() -> None:
    target = {"presence": torch.tensor([[0.0, 1.0], [0.0, 0.0]])}
    outputs = {"presence": torch.tensor([[math.log(3)], [math.log(3)]])}
    total, parts = total_loss([term("bce", on="presence")], outputs, target, "sigmoid")
    assert total.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, abs=1e-6)
    assert list(parts) == ["presence.bce"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bce", -(math.log(0.25) + math.log(0.75)) / 2),
        ("focal", -(0.75**2 * math.log(0.25) + 0.25**2 * math.log(0.75)) / 2),
        ("mse", (0.75**2 + 0.25**2) / 2),
    ],
)
def test_a_presence_is_compared_class_by_class_whatever_the_maps_activation(name: str, value: float) -> None:
    target = {"presence": torch.tensor([[0.0, 1.0]])}
    outputs = {"presence": torch.tensor([[math.log(3), math.log(3)]])}
    for activation in ("sigmoid", "softmax"):
        total, _ = total_loss([term(name, on="presence")], outputs, target, activation)
        assert total.item() == pytest.approx(value, abs=1e-6)


def test_the_total_is_the_weighted_sum() -> None:
    losses = [term("bce", weight=0.5), term("dice", weight=3), term("bce", weight=2, on="presence")]
    outputs = {"maps": LOGITS, "presence": torch.zeros(1, 1)}
    target = {"maps": TARGET, "keep": KEEP, "presence": torch.ones(1, 1)}
    total, parts = total_loss(losses, outputs, target, "sigmoid")
    assert parts["presence.bce"] == pytest.approx(math.log(2), abs=1e-6)
    by_hand = 0.5 * loss_of("bce") + 3 * loss_of("dice") + 2 * math.log(2)
    assert total.item() == pytest.approx(by_hand, abs=1e-6)


def test_a_name_that_stands_twice_keeps_both_parts() -> None:
    losses = [term("dice"), term("bce"), term("dice", squared=True)]
    _, parts = total_loss(losses, {"maps": LOGITS}, {"maps": TARGET, "keep": KEEP}, "sigmoid")
    assert list(parts) == ["maps.dice", "maps.bce", "maps.dice[2]"]
    assert parts["maps.dice"] == pytest.approx(1 - 2.5 / 4, abs=1e-5)
    assert parts["maps.dice[2]"] == pytest.approx(1 - 2.5 / (2 + 1.125), abs=1e-5)


def test_auxiliary_maps_are_compared_with_the_nearest_voxels_and_weigh_half_each_time() -> None:
    # of four voxels two are nearest to the second and the fourth, one to the third; a logit of log 3 is 0.75
    outputs = {"maps": row(0, 0, 0, 0), "maps@1": row(1, 1) * math.log(3), "maps@2": row(-1) * math.log(3)}
    target = {"maps": row(0, 1, 0, 0), "keep": row(1, 1, 1, 1)}
    total, parts = total_loss([term("bce", weight=7)], outputs, target, "sigmoid")
    full, half, quarter = math.log(2), -(math.log(0.75) + math.log(0.25)) / 2, -math.log(0.75)
    assert parts == pytest.approx({"maps.bce": full, "maps@1.bce": half, "maps@2.bce": quarter}, abs=1e-6)
    assert total.item() == pytest.approx(7 * (4 * full + 2 * half + 1 * quarter) / 7, abs=1e-5)


def test_auxiliary_maps_leave_out_what_is_not_kept() -> None:
    outputs = {"maps": row(0, 0, 0, 0), "maps@1": row(1, 1) * math.log(3)}
    target = {"maps": row(0, 1, 0, 0), "keep": row(1, 0, 1, 1)}
    _, parts = total_loss([term("bce")], outputs, target, "sigmoid")
    assert parts["maps@1.bce"] == pytest.approx(-math.log(0.25), abs=1e-6)


def test_auxiliary_maps_of_volumes_learn_too() -> None:
    outputs = {"maps": torch.zeros(2, 3, 4, 6, 6), "maps@1": torch.zeros(2, 3, 2, 3, 3, requires_grad=True)}
    target = {"maps": torch.zeros(2, 2, 4, 6, 6), "keep": torch.ones(2, 1, 4, 6, 6)}
    total, _ = total_loss([term("ce"), term("dice")], outputs, target, "softmax")
    total.backward()
    assert outputs["maps@1"].grad is not None and outputs["maps@1"].grad.any()


def test_presence_has_no_part_in_auxiliary_maps() -> None:
    outputs = {"maps": LOGITS, "maps@1": LOGITS, "presence": torch.zeros(1, 1)}
    target = {"maps": TARGET, "keep": KEEP, "presence": torch.ones(1, 1)}
    total, parts = total_loss([term("bce"), term("bce", on="presence")], outputs, target, "sigmoid")
    assert list(parts) == ["maps.bce", "maps@1.bce", "presence.bce"]
    assert total.item() == pytest.approx(loss_of("bce") + math.log(2), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "output", "logits", "target", "activation"),
    [
        ("bce", "maps", (1, 1, 2, 2), (1, 2, 2, 2), "sigmoid"),
        ("dice", "maps", (1, 1, 2, 2), (1, 1, 2, 3), "sigmoid"),
        ("ce", "maps", (1, 1, 2, 2), (1, 1, 2, 2), "softmax"),
        ("bce", "presence", (2, 3), (2, 2), "sigmoid"),
        ("bce", "maps@1", (1, 1, 4, 2), (1, 1, 2, 2), "sigmoid"),
        ("bce", "maps@1", (1, 1, 2), (1, 1, 2, 2), "sigmoid"),
        ("bce", "maps@1", (1, 2, 1, 1), (1, 1, 2, 2), "sigmoid"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    name: str, output: str, logits: tuple[int, ...], target: tuple[int, ...], activation: str
) -> None:
    on: Any = output.partition("@")[0]
    given = {on: torch.zeros(target), "keep": torch.ones(target[0], 1, *target[2:])}
    outputs = {on: torch.zeros(target), output: torch.zeros(logits)}
    size = target if output != "maps@1" or len(logits) != 4 or logits[2] > 2 else (1, 1, 1, 1)
    with pytest.raises(DataError, match=re.escape(f"loss {name}: logits of {logits} for a target of {size}")):
        total_loss([term(name, on=on)], outputs, given, activation)


def test_probabilities_in_the_place_of_logits_are_refused() -> None:
    target = {"maps": torch.zeros(1, 1, 32, 32), "keep": torch.ones(1, 1, 32, 32)}
    with pytest.raises(DataError, match=r"every value lies in 0\.\.1: were these probabilities"):
        total_loss([term("bce")], {"maps": torch.rand(1, 1, 32, 32)}, target, "sigmoid")


def test_an_output_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="loss bce reads presence, but the network gives maps"):
        total_loss([term("bce", on="presence")], {"maps": LOGITS}, {"maps": TARGET, "keep": KEEP}, "sigmoid")
