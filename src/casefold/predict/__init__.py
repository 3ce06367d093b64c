"""A member and a scan make a Prediction on the scan's own grid: flips and folds averaged, then quantised once."""

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.core import DataError, Prediction, Scan
from casefold.models.precision import autocast
from casefold.predict.member import Member, detectors_of, load_member
from casefold.predict.slices import SharedSlices
from casefold.predict.viewed import viewed_outputs

__all__ = ["Member", "SharedSlices", "detectors_of", "load_member", "predict"]


def predict(
    member: Member,
    scan: Scan,
    device: torch.device,
    slices: NDArray[np.bool_] | None = None,
    fast: bool = False,
    shared: SharedSlices | None = None,
) -> Prediction:
    """Maps and/or presence of one scan, whole, on its own grid, as uint8.

    scan needs `statistics`. slices: bool (z,), the wanted ones; the others are 0 in maps and presence. fast: other
    batches (slices packed tight, flips together), which may change a voxel by 1. shared: what members read of a scan.
    Without `fast`, the same member and scan give the same bytes wherever this is called from, and a wanted slice the
    bytes that it has where all are wanted; but a net that runs out of memory goes on in smaller batches.
    """
    config, depth = member.config, scan.grid.shape[0]
    wanted = np.ones(depth, np.bool_) if slices is None else slices
    if wanted.shape != (depth,) or wanted.dtype != np.bool_:
        raise DataError(
            f"the wanted slices of scan {scan.name} should be bool of shape {(depth,)}, but are {wanted.dtype} of "
            f"shape {wanted.shape}"
        )
    training = [net.training for net in member.nets]
    with torch.inference_mode(), autocast(config.train.precision, device):
        for net in member.nets:
            net.eval()
        said = viewed_outputs(member, scan, device, wanted, fast, shared or SharedSlices())
        for net, was in zip(member.nets, training, strict=True):
            net.train(was)
    return Prediction(
        case=scan.case,
        scan=scan.name,
        classes=member.classes,
        shape=scan.grid.shape,
        member=config.name,
        fold=member.fold,
        maps=said.get("maps"),
        presence=said.get("presence"),
        config_hash=member.config_hash,
        weights_hash=member.weights_hash,
    )
