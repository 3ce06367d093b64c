"""Losses that know where the borders are: MONAI's Hausdorff by distance transforms, and the U-Net paper's weights."""

import numpy as np
import torch
from monai.losses import HausdorffDTLoss
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from casefold.config.losses import BorderCe, HausdorffDt
from casefold.losses.compared import Compared, kept_mean, probabilities, with_background
from casefold.losses.voxels import binary_entropy, exclusive_entropy


def hausdorff_dt(loss: HausdorffDt, given: Compared) -> Tensor:
    """Squared error by distance in voxels ** alpha, over a sample's kept voxels; what is not kept counts as empty."""
    chosen, truth = probabilities(given) * given.keep, given.truth * given.keep
    term = HausdorffDTLoss(alpha=loss.alpha, include_background=True, reduction="none")
    values: Tensor = term(chosen, truth)  # (batch, class, 1, ..), means over every voxel
    share = given.keep.flatten(1).mean(1).reshape(-1, *[1] * (values.ndim - 1))
    return (values / share.clamp(min=1 / given.keep[0].numel())).mean()


def border_ce(loss: BorderCe, given: Compared) -> Tensor:
    """Cross-entropy with border weights: of each class's own objects under sigmoid, of all classes' under softmax."""
    shares = with_background(given.truth)[:, 1:] if given.exclusive else given.truth
    objects = (shares * given.keep > 0.5).cpu().numpy()
    groups = objects if given.exclusive else objects.reshape(-1, 1, *objects.shape[2:])
    slices = groups.reshape(*groups.shape[:2], -1, *groups.shape[-2:])
    weights = np.stack(
        [border_weights(group[:, z], loss.w0, loss.sigma_px) for group in slices for z in range(group.shape[1])]
    )
    entropy = exclusive_entropy(given) if given.exclusive else binary_entropy(given)
    return kept_mean(entropy * torch.from_numpy(weights).to(entropy).reshape(entropy.shape), given.keep)


def border_weights(masks: NDArray[np.bool_], w0: float, sigma_px: float) -> NDArray[np.float64]:
    """1 + w0 exp(-(d1 + d2)^2 / (2 sigma_px^2)) of one slice (y, x), 1 where it holds fewer than two objects.

    masks: (class, y, x). d1, d2: pixels to the nearest and second nearest object, 0 inside; an object is a component of
    one class, joined by edges.
    """
    nearest, second = (np.full(masks.shape[1:], np.inf) for _ in range(2))
    for mask in masks:
        labels, count = ndimage.label(mask)
        for index in range(1, count + 1):
            distance = ndimage.distance_transform_edt(labels != index)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
    weights: NDArray[np.float64] = 1 + w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma_px**2))
    return weights
