"""Losses over whole regions, from MONAI; the Lovász extension is ours.

smp's LovaszLoss pools the classes under sigmoid, and under softmax always counts background and drops absent classes.
"""

from typing import Any

import torch
from monai.losses import DiceLoss, GeneralizedDiceLoss, TverskyLoss
from torch import Tensor

from casefold.config.losses import Dice, DiceFp, FocalTversky, GeneralizedDice, Iou, Lovasz, Region, Tversky
from casefold.losses.compared import Compared, probabilities

SMOOTH = 1e-5
TINY = 1e-12  # a power below 1 has no gradient at 0


def dice(loss: Dice, given: Compared) -> Tensor:
    """Soft Dice."""
    return _over_classes(loss, given, DiceLoss, squared_pred=loss.squared)


def iou(loss: Iou, given: Compared) -> Tensor:
    """Soft intersection over union."""
    return _over_classes(loss, given, DiceLoss, jaccard=True)


def tversky(loss: Tversky, given: Compared) -> Tensor:
    """Tversky loss."""
    return _over_classes(loss, given, TverskyLoss, alpha=loss.alpha, beta=loss.beta)


def dice_fp(loss: DiceFp, given: Compared) -> Tensor:
    """Dice with a false-positive penalty; the literal form is the bounded one stretched and shifted.

    (1 + p) I / (L + p P) is Tversky's index with p / (1 + p) for false positives and 1 / (1 + p) for false negatives.
    """
    p = loss.p
    bounded = _over_classes(loss, given, TverskyLoss, alpha=p / (1 + p), beta=1 / (1 + p))
    return bounded if loss.form == "bounded" else 1 - 2 * p / (1 + p) * (1 - bounded)


def focal_tversky(loss: FocalTversky, given: Compared) -> Tensor:
    """Focal Tversky loss."""
    power = 1 / loss.gamma
    chosen, truth = _kept(given)
    values = _by_class(loss, chosen, truth, TverskyLoss, alpha=loss.alpha, beta=loss.beta)
    return _class_mean(loss, values.clamp(min=TINY) ** power - TINY**power, truth)


def generalized_dice(loss: GeneralizedDice, given: Compared) -> Tensor:
    """Generalised Dice; has one value for all classes, so absent ones are blanked out where they should not count."""
    chosen, truth = _kept(given)
    if loss.present_only:
        present = _present(loss, truth)
        chosen = chosen * present.reshape(*present.shape, *[1] * (truth.ndim - 2))
    return _by_class(loss, chosen, truth, GeneralizedDiceLoss).mean()


def lovasz(loss: Lovasz, given: Compared) -> Tensor:
    """Lovász hinge or softmax, class by class; soft targets count as 0 or 1, by one half."""
    truth = (given.truth > 0.5).float()
    if given.exclusive:
        errors = (truth - probabilities(given)).abs()
    else:
        errors = (1 - given.logits * (2 * truth - 1)).relu()
    keep = given.keep.expand_as(truth)
    errors, inside, kept = (_pooled(loss, part) for part in (errors, truth * keep, keep))
    values = lovasz_extension(errors, inside, kept)
    if loss.symmetric:  # a voxel errs as much about what is outside as about what is inside
        values = (values + lovasz_extension(errors, kept - inside, kept)) / 2
    return _class_mean(loss, values, truth * keep)


def lovasz_extension(errors: Tensor, truth: Tensor, keep: Tensor) -> Tensor:
    """Of 1 - IoU, along the last axis (Berman 2018, algorithm 1); errors from 0 on; 0 where nothing is kept."""
    errors, order = torch.where(keep > 0, errors, -1).sort(dim=-1, descending=True)
    truth, keep = truth.gather(-1, order), keep.gather(-1, order)
    whole = truth.sum(-1, keepdim=True)
    union = whole + (keep - truth).cumsum(-1)
    jaccard = 1 - (whole - truth.cumsum(-1)) / union.clamp(min=1)
    steps = torch.cat([jaccard[..., :1], jaccard.diff(dim=-1)], dim=-1)
    return (errors.relu() * steps).sum(-1)


def _over_classes(loss: Region, given: Compared, term: Any, **options: Any) -> Tensor:
    chosen, truth = _kept(given)
    return _class_mean(loss, _by_class(loss, chosen, truth, term, **options), truth)


def _kept(given: Compared) -> tuple[Tensor, Tensor]:
    return probabilities(given) * given.keep, given.truth * given.keep


def _by_class(loss: Region, chosen: Tensor, truth: Tensor, term: Any, **options: Any) -> Tensor:
    """A MONAI loss as (1 or batch, class); soft targets take the form that is 0 where all is right (Wang 2023)."""
    soft = bool(truth.frac().any())
    options |= {"batch": loss.pool == "batch", "soft_label": soft, "smooth_nr": SMOOTH, "smooth_dr": SMOOTH}
    values: Tensor = term(reduction="none", **options)(chosen, truth)
    return values.reshape(1 if loss.pool == "batch" else len(truth), -1)


def _class_mean(loss: Region, values: Tensor, truth: Tensor) -> Tensor:
    """The mean over the classes, then over the samples, of (1 or batch, class)."""
    if not loss.present_only:
        return values.mean()
    present = _present(loss, truth)
    return ((values * present).sum(1) / present.sum(1).clamp(min=1)).mean()


def _present(loss: Region, truth: Tensor) -> Tensor:
    """Which classes the truth holds, bool (1 or batch, class)."""
    present = truth.flatten(2).amax(2) > 0
    return present.any(0, keepdim=True) if loss.pool == "batch" else present


def _pooled(loss: Region, values: Tensor) -> Tensor:
    """(1 or batch, class, voxels)."""
    return values.transpose(0, 1).flatten(1)[None] if loss.pool == "batch" else values.flatten(2)
