"""The losses by name, and their weighted sum; each takes logits and refuses what can't be logits."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from casefold.config.losses import Term
from casefold.core import DataError
from casefold.losses.boundaries import border_ce, hausdorff_dt
from casefold.losses.compared import Compared
from casefold.losses.regions import dice, dice_fp, focal_tversky, generalized_dice, iou, lovasz, tversky
from casefold.losses.voxels import bce, ce, focal, mse
from casefold.models.build import Outputs

TERMS: dict[str, Callable[[Any, Compared], Tensor]] = {
    "bce": bce,
    "ce": ce,
    "mse": mse,
    "focal": focal,
    "border_ce": border_ce,
    "dice": dice,
    "iou": iou,
    "dice_fp": dice_fp,
    "tversky": tversky,
    "focal_tversky": focal_tversky,
    "lovasz": lovasz,
    "generalized_dice": generalized_dice,
    "hausdorff_dt": hausdorff_dt,
}
LOGITS_TO_JUDGE = 1024  # so many logits of a real network never all lie in 0..1


def total_loss(
    losses: Sequence[Term], outputs: Outputs, target: dict[str, Tensor], activation: str, smoothing: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the terms, and each term's own value by `output.name` (`output.name[index]` the second time).

    outputs: logits, `maps` (batch, class[+1], *spatial) and/or `presence` (batch, class or 1: any of them); `maps@1`,
    `maps@2`.. of deep supervision or auxiliary heads take the terms on maps too, as large or smaller. `maps@k` weighs
    0.5 ** k against 1 of `maps`, all divided by their sum (as nnU-Net does); its target is the nearest voxel's.
    target: `maps` float 0..1 (batch, class, *spatial), `keep` (batch, 1, *spatial; 0 where a voxel does not count),
    `presence` (batch, class). smoothing: of the labels, for cross-entropy and focal terms.
    A region term over a class that is absent from truth and prediction is 0.
    Raises DataError for a target that is not of the logits' shape, for probabilities in the logits' place, and for an
    output that is not there.
    """
    total, parts = torch.zeros((), device=next(iter(outputs.values())).device), {}
    for index, loss in enumerate(losses):
        for output, share in _shares(loss, outputs).items():
            value = TERMS[loss.name](loss, _compared(loss, output, outputs, target, activation, smoothing))
            total = total + loss.weight * share * value
            part = f"{output}.{loss.name}"
            parts[part if part not in parts else f"{part}[{index}]"] = float(value.detach())
    return total, parts


def _shares(loss: Term, outputs: Outputs) -> dict[str, float]:
    """The outputs that a term reads, and their shares of its weight."""
    if loss.on not in outputs:
        raise DataError(f"loss {loss.name} reads {loss.on}, but the network gives {', '.join(outputs)}")
    shares = {name: 0.5 ** int(name.partition("@")[2] or 0) for name in outputs if name.partition("@")[0] == loss.on}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def _compared(
    loss: Term, output: str, outputs: Outputs, target: dict[str, Tensor], activation: str, smoothing: float
) -> Compared:
    logits, truth = outputs[output].float(), target[loss.on]
    exclusive = loss.on == "maps" and activation == "softmax"
    if loss.on == "maps":
        keep, size, whole = target["keep"], logits.shape[2:], truth.shape[2:]
        if output != "maps" and len(size) == len(whole) and all(a <= b for a, b in zip(size, whole, strict=True)):
            truth, keep = (F.interpolate(values, size, mode="nearest-exact") for values in (truth, keep))
    else:
        truth = truth.amax(dim=1, keepdim=True) if logits.shape[1] == 1 else truth
        keep = torch.ones_like(truth)
    if (logits.shape[0], logits.shape[1] - exclusive, *logits.shape[2:]) != tuple(truth.shape):
        raise DataError(f"loss {loss.name}: logits of {tuple(logits.shape)} for a target of {tuple(truth.shape)}")
    if logits.numel() >= LOGITS_TO_JUDGE:
        low, high = logits.detach().aminmax()
        if low >= 0 and high <= 1:
            raise DataError(f"loss {loss.name} wants logits, but every value lies in 0..1: were these probabilities?")
    return Compared(logits, truth, keep, exclusive, smoothing)
