"""What holds for every loss under every activation that it may have."""

from typing import Any

import pytest
import torch
from worked import TARGET, loss_of, term

from casefold.losses import TERMS, total_loss

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "bce": [{}, {"pos_weight": 3.0}],
    "focal": [{}, {"gamma": 1.0, "alpha": 0.25}],
    "dice": [{}, {"pool": "sample"}, {"squared": True}, {"present_only": True}],
    "dice_fp": [{}, {"form": "literal"}],
    "lovasz": [{}, {"pool": "sample", "present_only": True}, {"symmetric": True}],
    "generalized_dice": [{}, {"pool": "sample"}],
}
ACTIVATIONS = {"bce": ["sigmoid"], "ce": ["softmax"]}
CASES = [
    pytest.param(name, options, activation, id=f"{name}-{options}-{activation}")
    for name in sorted(TERMS)
    for options in OPTIONS.get(name, [{}])
    for activation in ACTIVATIONS.get(name, ["sigmoid", "softmax"])
]
every = pytest.mark.parametrize(("name", "options", "activation"), CASES)


def drawn(activation: str, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and exclusive truths of two samples and two classes, drawn from a seed."""
    random = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (2, 1, *shape), generator=random)
    logits = torch.randn(2, 3 if activation == "softmax" else 2, *shape, generator=random)
    return logits, torch.cat([label == 1, label == 2], dim=1).float()


@every
def test_a_better_prediction_has_a_lower_loss(name: str, options: dict[str, Any], activation: str) -> None:
    wanted = TARGET * 2 - 1
    right = torch.cat([-wanted, wanted], dim=1) / 2 if activation == "softmax" else wanted
    strengths = (-5, -1, 0, 0.9, 20)
    values = [loss_of(name, right * strength, activation=activation, **options) for strength in strengths]
    assert values == sorted(values, reverse=True) and len(set(values)) == 5
    assert values[-1] == pytest.approx(-1 / 3 if options == {"form": "literal"} else 0, abs=1e-4)


@every
def test_voxels_that_are_not_kept_do_not_count(name: str, options: dict[str, Any], activation: str) -> None:
    logits, target = drawn(activation, 3, 4)
    keep = torch.ones(2, 1, 3, 4)
    keep[..., 3] = 0
    other_logits, other_target = logits.clone(), target.clone()
    other_logits[..., 3], other_target[..., 3] = 9.0, 1 - target[..., 3]
    value = loss_of(name, logits, target, keep, activation, **options)
    assert loss_of(name, other_logits, other_target, keep, activation, **options) == value
    if name != "hausdorff_dt":  # what is not kept is a border to it
        cropped = loss_of(name, logits[..., :3], target[..., :3], activation=activation, **options)
        assert value == pytest.approx(cropped, rel=1e-5)


@every
def test_nothing_kept_gives_nothing_to_learn(name: str, options: dict[str, Any], activation: str) -> None:
    logits, target = drawn(activation, 3, 4)
    logits.requires_grad_()
    given = {"maps": target, "keep": torch.zeros(2, 1, 3, 4)}
    total, _ = total_loss([term(name, **options)], {"maps": logits}, given, activation)
    total.backward()
    assert total.item() == pytest.approx(-1 / 3 if options == {"form": "literal"} else 0, abs=1e-6)
    assert logits.grad is not None and not logits.grad.any()


@every
@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_gradients_are_numbers(name: str, options: dict[str, Any], activation: str, size: float) -> None:
    logits, target = drawn(activation, 2, 3, 4)
    target[1] = 0
    logits = (logits * size).requires_grad_()
    given = {"maps": target, "keep": torch.ones(2, 1, 2, 3, 4)}
    total, _ = total_loss([term(name, **options)], {"maps": logits}, given, activation)
    total.backward()
    assert torch.isfinite(total)
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert logits.grad.any() or size == 0 or size == 100


@every
def test_where_there_is_nothing_to_find_finding_nothing_is_right(
    name: str, options: dict[str, Any], activation: str
) -> None:
    found = torch.full((1, 2 if activation == "softmax" else 1, 2, 2), 30.0)
    if activation == "softmax":
        found[:, 0] = 0
    nothing, everything = (
        loss_of(name, sign * found, TARGET * 0, activation=activation, **options) for sign in (-1, 1)
    )
    assert nothing == pytest.approx(-1 / 3 if options == {"form": "literal"} else 0, abs=1e-6)
    if name == "generalized_dice" or "present_only" in options:
        assert everything == 0  # no class is there to be weighed
    elif name == "hausdorff_dt":
        assert everything == 0  # a map that is full has no border, as an empty one
    else:
        assert everything > nothing + 0.9


@every
def test_a_volume_of_one_slice_is_a_slice(name: str, options: dict[str, Any], activation: str) -> None:
    logits, target = drawn(activation, 3, 4)
    flat = loss_of(name, logits, target, activation=activation, **options)
    deep = loss_of(name, logits[:, :, None], target[:, :, None], activation=activation, **options)
    assert deep == pytest.approx(flat, rel=1e-6)


@pytest.mark.parametrize("name", sorted(set(TERMS) - {"ce", "lovasz"}))
def test_softmax_of_a_class_and_background_is_the_sigmoid_of_their_difference(name: str) -> None:
    logits, target = drawn("sigmoid", 3, 4)
    logits, target = logits[:, :1], target[:, :1]
    both = torch.cat([torch.ones_like(logits), logits + 1], dim=1)
    softmax = loss_of("ce" if name == "bce" else name, both, target, activation="softmax")
    assert softmax == pytest.approx(loss_of(name, logits, target), rel=1e-5)
