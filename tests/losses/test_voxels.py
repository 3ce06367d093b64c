"""Losses over voxels against values worked out by hand."""

import math

import pytest
import torch
from worked import EXCLUSIVE, LABELS, logits_of, loss_of, row


@pytest.mark.parametrize(
    ("name", "options", "value"),
    [
        ("bce", {}, -(math.log(0.5) + math.log(0.75) + math.log(0.75) + math.log(0.5)) / 4),
        ("bce", {"pos_weight": 3}, -(3 * math.log(0.5) + 3 * math.log(0.75) + math.log(0.75) + math.log(0.5)) / 4),
        ("focal", {}, (math.log(2) * 0.5**2 + math.log(4 / 3) * 0.25**2) * 2 / 4),
        ("mse", {}, (0.25 + 0.0625 + 0.0625 + 0.25) / 4),
    ],
)
def test_by_hand(name: str, options: dict[str, float], value: float) -> None:
    assert loss_of(name, **options) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce", (math.log(2) + math.log(2)) / 2),
        ("focal", (math.log(2) * 0.5**2 + math.log(2) * 0.5**2) / 2),
        # without background: 1/3 of the absent class and 1/2 of the right one at the left, 1/4 of both at the right
        ("mse", (1 / 9 + 1 / 16 + 1 / 4 + 1 / 16) / 4),
    ],
)
def test_softmax_by_hand(name: str, value: float) -> None:
    assert loss_of(name, EXCLUSIVE, LABELS, activation="softmax") == pytest.approx(value, abs=1e-6)


def test_alpha_weighs_what_is_to_be_found_and_its_rest_the_others() -> None:
    logits = logits_of(0.75, 0.75)
    value = (0.2 * 0.25 * math.log(4 / 3) + 0.8 * 0.75 * math.log(4)) / 2
    assert loss_of("focal", logits, row(1, 0), gamma=1, alpha=0.2) == pytest.approx(value, abs=1e-6)
    # the right class, weight 0.2, and background, weight 0.8, each with a probability of one half
    value = (0.2 * 0.25 * math.log(2) + 0.8 * 0.25 * math.log(2)) / 2
    assert loss_of("focal", EXCLUSIVE, LABELS, activation="softmax", alpha=0.2) == pytest.approx(value, abs=1e-6)


def test_cross_entropy_takes_the_first_class_where_masks_overlap() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).reshape(1, 3, 1, 1)
    assert loss_of("ce", logits, torch.ones(1, 2, 1, 1), activation="softmax") == pytest.approx(
        -math.log(0.3), abs=1e-6
    )


def test_mixed_targets_are_shares() -> None:
    binary = -(0.4 * math.log(0.75) + 0.6 * math.log(0.25))
    assert loss_of("bce", logits_of(0.75), row(0.4)) == pytest.approx(binary, abs=1e-6)
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).reshape(1, 3, 1, 1)
    target = torch.tensor([0.25, 0.35]).reshape(1, 2, 1, 1)  # so 0.4 is left for background
    shares = -(0.4 * math.log(0.5) + 0.25 * math.log(0.3) + 0.35 * math.log(0.2))
    assert loss_of("ce", logits, target, activation="softmax") == pytest.approx(shares, abs=1e-6)


def test_smoothed_labels_under_sigmoid() -> None:
    # s = 0.2 makes targets of 0.9 and 0.1, the same loss for 0.75 and 0.25
    value = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    assert loss_of("bce", logits_of(0.75, 0.25), row(1, 0), smoothing=0.2) == pytest.approx(value, abs=1e-6)
    # MONAI's focal factor for a soft target t and a logit x is sigmoid(-x (2 t - 1)), here 1 / (1 + 3 ** 0.8)
    value *= (1 / (1 + 3**0.8)) ** 2
    assert loss_of("focal", logits_of(0.75, 0.25), row(1, 0), smoothing=0.2) == pytest.approx(value, abs=1e-6)


def test_smoothed_labels_under_softmax() -> None:
    # s = 0.3 over three answers makes 0.8, 0.1 and 0.1
    left = {0.5: 0.8, 1 / 3: 0.1, 1 / 6: 0.1}
    value = -sum(share * math.log(p) for p, share in left.items())
    logits, target = EXCLUSIVE[..., :1], LABELS[..., :1]
    assert loss_of("ce", logits, target, activation="softmax", smoothing=0.3) == pytest.approx(value, abs=1e-6)
    value = -sum(share * (1 - p) ** 2 * math.log(p) for p, share in left.items())
    assert loss_of("focal", logits, target, activation="softmax", smoothing=0.3) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("name", ["mse", "dice", "lovasz"])
def test_smoothing_is_for_cross_entropy_alone(name: str) -> None:
    assert loss_of(name, smoothing=0.2) == loss_of(name)
