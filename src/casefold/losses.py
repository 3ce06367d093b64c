"""The losses by name, from MONAI and torch; each takes logits and refuses what can't be logits."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, TverskyLoss
from torch import Tensor

from casefold.config.experiments import Loss
from casefold.core import DataError
from casefold.models.build import Outputs

Term = Callable[[Tensor, Tensor, Tensor, str], Tensor]
SMOOTH = 1e-5
LOGITS_TO_JUDGE = 1024  # so many logits of a real network never all lie in 0..1


def _bce(logits: Tensor, target: Tensor, keep: Tensor, activation: str) -> Tensor:
    return _mean(F.binary_cross_entropy_with_logits(logits, target, reduction="none"), keep)


def _focal(logits: Tensor, target: Tensor, keep: Tensor, activation: str) -> Tensor:
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return _mean(bce * (1 - torch.exp(-bce)) ** 2, keep)


def _ce(logits: Tensor, target: Tensor, keep: Tensor, activation: str) -> Tensor:
    return _mean(F.cross_entropy(logits, _with_background(target), reduction="none")[:, None], keep)


def _dice(logits: Tensor, target: Tensor, keep: Tensor, activation: str) -> Tensor:
    loss = DiceLoss(batch=True, smooth_nr=SMOOTH, smooth_dr=SMOOTH)
    result: Tensor = loss(_probabilities(logits, activation) * keep, target * keep)
    return result


def _tversky(logits: Tensor, target: Tensor, keep: Tensor, activation: str) -> Tensor:
    loss = TverskyLoss(batch=True, alpha=0.3, beta=0.7, smooth_nr=SMOOTH, smooth_dr=SMOOTH)
    result: Tensor = loss(_probabilities(logits, activation) * keep, target * keep)
    return result


TERMS: dict[str, Term] = {"bce": _bce, "ce": _ce, "dice": _dice, "focal": _focal, "tversky": _tversky}


def total_loss(
    losses: Sequence[Loss], outputs: Outputs, target: dict[str, Tensor], activation: str
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the terms, and each term's value by `on.name`.

    outputs: logits, `maps` (batch, class[+1], *spatial) and/or `presence` (batch, class). target: `maps` float 0/1
    (batch, class, *spatial), `keep` (batch, 1, *spatial; 0 where a voxel does not count), `presence` (batch, class).
    Dice and Tversky pool the batch; where a class is absent from truth and prediction they give 0.
    Raises DataError for a target that is not of the logits' shape, and for probabilities in the logits' place.
    """
    total, parts = torch.zeros((), device=next(iter(outputs.values())).device), {}
    for loss in losses:
        logits, truth = outputs[loss.on].float(), target[loss.on]
        if loss.on == "presence":
            if logits.shape[1] == 1:
                truth = truth.amax(dim=1, keepdim=True)
            keep = torch.ones_like(truth)
        else:
            keep = target["keep"]
        background = 1 if loss.on == "maps" and activation == "softmax" else 0
        if (logits.shape[0], logits.shape[1] - background, *logits.shape[2:]) != tuple(truth.shape):
            raise DataError(f"loss {loss.name}: logits of {tuple(logits.shape)} for a target of {tuple(truth.shape)}")
        if logits.numel() >= LOGITS_TO_JUDGE:
            low, high = logits.detach().aminmax()
            if low >= 0 and high <= 1:
                raise DataError(
                    f"loss {loss.name} wants logits, but every value lies in 0..1: were these probabilities?"
                )
        value = TERMS[loss.name](logits, truth, keep, activation)
        total = total + loss.weight * value
        parts[f"{loss.on}.{loss.name}"] = float(value.detach())
    return total, parts


def _probabilities(logits: Tensor, activation: str) -> Tensor:
    return logits.softmax(1)[:, 1:] if activation == "softmax" else logits.sigmoid()


def _with_background(target: Tensor) -> Tensor:
    """Class indices from exclusive masks, 0 where there is none; where masks overlap the first class counts."""
    background = 1 - target.amax(dim=1, keepdim=True)
    return torch.cat([background, target], dim=1).argmax(dim=1)


def _mean(values: Tensor, keep: Tensor) -> Tensor:
    kept = keep.expand_as(values)
    return (values * kept).sum() / kept.sum().clamp(min=1)
