"""Losses that are means over voxels, from torch and MONAI."""

import torch.nn.functional as F
from monai.losses import FocalLoss
from torch import Tensor

from casefold.config.losses import Bce, Ce, Focal, Mse
from casefold.losses.compared import Compared, kept_mean, probabilities, with_background


def bce(loss: Bce, given: Compared) -> Tensor:
    """Binary cross-entropy."""
    return kept_mean(binary_entropy(given, loss.pos_weight), given.keep)


def ce(loss: Ce, given: Compared) -> Tensor:
    """Cross-entropy."""
    return kept_mean(exclusive_entropy(given), given.keep)


def mse(loss: Mse, given: Compared) -> Tensor:
    """Squared error of the probabilities."""
    return kept_mean((probabilities(given) - given.truth) ** 2, given.keep)


def focal(loss: Focal, given: Compared) -> Tensor:
    """Focal loss; under softmax alpha weighs every class but background."""
    term = FocalLoss(gamma=loss.gamma, alpha=loss.alpha, use_softmax=given.exclusive, reduction="none")
    if not given.exclusive:
        return kept_mean(term(given.logits, _smooth(given.truth, given.smoothing, 2)), given.keep)
    truth = with_background(given.truth)
    values = term(given.logits, _smooth(truth, given.smoothing, truth.shape[1]))
    return kept_mean(values.sum(1, keepdim=True), given.keep)


def binary_entropy(given: Compared, pos_weight: float = 1.0) -> Tensor:
    """(batch, class, *spatial); targets t become t (1 - s) + s / 2."""
    truth = _smooth(given.truth, given.smoothing, 2)
    weight = None if pos_weight == 1 else truth.new_tensor(pos_weight)
    return F.binary_cross_entropy_with_logits(given.logits, truth, reduction="none", pos_weight=weight)


def exclusive_entropy(given: Compared) -> Tensor:
    """(batch, 1, *spatial); smoothed as torch does, s / (classes and background) for each."""
    truth = with_background(given.truth)  # shares, not indices: soft targets stay, and it is 6 times faster on a CPU
    return F.cross_entropy(given.logits, truth, reduction="none", label_smoothing=given.smoothing)[:, None]


def _smooth(truth: Tensor, smoothing: float, answers: int) -> Tensor:
    return truth * (1 - smoothing) + smoothing / answers if smoothing > 0 else truth
