"""What every term compares: logits and truth, the voxels that count, and what the logits mean."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Compared:
    """logits: (batch, class[+1 background first under softmax], *spatial). truth: 0..1, (batch, class, *spatial).

    keep: 0 or 1, (batch, 1 or class, *spatial). exclusive: a voxel has one class or none; the logits are softmax's.
    smoothing: how far the targets of cross-entropy move to the middle, 0..1.
    """

    logits: Tensor
    truth: Tensor
    keep: Tensor
    exclusive: bool
    smoothing: float


def probabilities(given: Compared) -> Tensor:
    """Of the classes, without background."""
    return given.logits.softmax(1)[:, 1:] if given.exclusive else given.logits.sigmoid()


def with_background(truth: Tensor) -> Tensor:
    """Exclusive shares that add up to 1, background first; where masks overlap the first class counts."""
    filled = truth.cumsum(1).clamp(max=1)
    return torch.cat([1 - filled[:, -1:], filled[:, :1], filled.diff(dim=1)], dim=1)


def kept_mean(values: Tensor, keep: Tensor) -> Tensor:
    """The mean over what is kept; 0, with a gradient of 0, where nothing is."""
    kept = keep.expand_as(values)
    return (values * kept).sum() / kept.sum().clamp(min=1)
