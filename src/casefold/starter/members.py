"""Which of the general experiments a data set starts with, by what its scans look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from casefold.core import Scan
from casefold.starter.guess import Finding

EMPTY_SHARE = 0.4  # of slices without any class: from here on a gate is worth its training
DEEP, WIDE = 48, 160  # voxels: a volume that is wide but not deep has thick slices
ANISOTROPY = 2.5  # slice distance over pixel size


@dataclass(frozen=True)
class Looked:
    """What a few scans, read whole, look like: the medians of z, y, x; slice distance over pixel size or None."""

    shape: tuple[int, int, int]
    anisotropy: float | None
    empty_share: float
    type_name: str
    modalities: int


def look(scans: Sequence[Scan]) -> Looked:
    """Sum up scans that were read."""
    z, y, x = (int(size) for size in np.median([scan.grid.shape for scan in scans], axis=0))
    ratios = [scan.grid.spacing_mm[0] / min(scan.grid.spacing_mm[1:]) for scan in scans if scan.grid.spacing_mm]
    empty = [~scan.masks.any(axis=(1, 2)) for scan in scans if scan.masks is not None]
    share = float(np.concatenate(empty).mean()) if empty else 0.0
    return Looked(
        (z, y, x), float(np.median(ratios)) if ratios else None, share, str(scans[0].image.dtype), len(scans[0].image)
    )


def starter_ensemble(name: str, looked: Looked | None, flat: bool) -> dict[str, Finding[Any]]:
    """The fields of the ensemble. looked: None where no scan could be read; flat: each scan is one slice."""
    members = {"seg25d/start_2d": "images of one slice"}
    gated = not flat and looked is not None and looked.empty_share >= EMPTY_SHARE
    if not flat:
        members = {"seg25d/start_25d": "slices with their neighbours, 2D weights from ImageNet"}
        if gated and looked is not None:
            share = f"a gate, for {looked.empty_share:.0%} of the slices looked at hold no class"
            members = {"cls/start_cls": share, **members}
        if looked is not None:
            members |= [_volume_member(looked)]
    why = "\n".join(f"{member}: {reason}" for member, reason in members.items())
    fields: dict[str, Finding[Any]] = {
        "name": Finding(name),
        "dataset": Finding(name),
        "members": Finding(list(members), why),
    }
    return fields | ({"gate": Finding({"members": ["start_cls"]})} if gated else {})


def _volume_member(looked: Looked) -> tuple[str, str]:
    z, y, x = looked.shape
    wide = max(y, x) > WIDE
    if wide and (z < DEEP or (looked.anisotropy or 1) >= ANISOTROPY):
        return "seg3d/start_3d_flat", f"3D at half size in plane, patches of few slices, for scans of {z} x {y} x {x}"
    if wide:
        return "seg3d/start_3d_large", f"3D at half size, for scans of {z} x {y} x {x}"
    return "seg3d/start_3d", f"3D at full size, for scans of {z} x {y} x {x}; a smaller scan is padded"
