"""Small logits and truths whose losses can be worked out by hand, and the shortest way to a loss."""

import math
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from casefold.config.losses import LossConfig, Term
from casefold.losses import total_loss

# probabilities 0.5 0.75 / 0.25 0.5, of which the upper row is to be found
LOGITS = torch.tensor([[[[0.0, math.log(3)], [-math.log(3), 0.0]]]])
TARGET = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
KEEP = torch.ones(1, 1, 2, 2)
# two classes and background: at the left voxel 1/6 for background, 2/6 and 3/6; at the right one 1/2, 1/4, 1/4
EXCLUSIVE = torch.log(torch.tensor([[[[1.0, 2.0]], [[2.0, 1.0]], [[3.0, 1.0]]]]))
LABELS = torch.tensor([[[[0.0, 0.0]], [[1.0, 0.0]]]])  # the second class at the left voxel, background at the right


def term(name: str, **options: Any) -> Term:
    return TypeAdapter(LossConfig).validate_python({"name": name, **options})


def loss_of(
    name: str,
    logits: Tensor = LOGITS,
    target: Tensor = TARGET,
    keep: Tensor | None = None,
    activation: str = "sigmoid",
    smoothing: float = 0.0,
    **options: Any,
) -> float:
    """The value of one term on maps, every voxel kept unless told."""
    keep = torch.ones(len(target), 1, *target.shape[2:]) if keep is None else keep
    given = {"maps": target, "keep": keep}
    total, parts = total_loss([term(name, **options)], {"maps": logits}, given, activation, smoothing)
    assert parts == {f"maps.{name}": total.item()}
    return total.item()


def logits_of(*probabilities: float) -> Tensor:
    """One sample, one class, one row."""
    return torch.logit(torch.tensor(probabilities)).reshape(1, 1, 1, -1)


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)
