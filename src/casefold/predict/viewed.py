"""What a member says of a scan, seen through the member's own view and brought back to the whole scan."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.config.experiments import Cls, Seg3d, Seg25d
from casefold.config.inputs import DetectorCrop
from casefold.core import DataError, Scan, quantise
from casefold.predict.member import Member
from casefold.predict.slices import Bytes, SharedSlices, has_presence, slice_outputs
from casefold.predict.volumes import volume_outputs
from casefold.views import Box, crop_of, find_box, put_back, view_scan


def viewed_outputs(
    member: Member, scan: Scan, device: torch.device, wanted: NDArray[np.bool_], fast: bool, shared: SharedSlices
) -> dict[str, Bytes]:
    """`maps` (class, z, y, x) and/or `presence` (class, z) on the scan's own grid; 0 on unwanted slices.

    wanted: bool (z,). Networks that may be cropped apart are brought back one by one, as probabilities, and averaged
    on the scan's grid.
    """
    if not wanted.any():
        return _nothing(member, scan)
    parts = _parts(member, scan, shared)
    alone = len(parts) == 1
    total: dict[str, NDArray[Any]] = {}
    for part, box in parts:
        kept = shared if alone else SharedSlices()  # what one fold's box shows is not held in memory for the others
        said = _outputs(part, scan, box, device, wanted, fast, kept, rounded=alone)
        total = {name: total[name] + value for name, value in said.items()} if total else said
    if alone:
        return total
    return {name: quantise(np.divide(value, len(parts), dtype=np.float32)) for name, value in total.items()}


def _parts(member: Member, scan: Scan, shared: SharedSlices) -> list[tuple[Member, Box]]:
    """A member and the box that it sees; under a detector each of its networks by itself, with a box of its own."""
    crop = crop_of(member.config)
    if not isinstance(crop, DetectorCrop):
        return [(member, shared.box(crop, lambda: find_box(crop, scan)))]
    if len(member.detectors) != len(member.nets):
        raise DataError(
            f"{member.config.name} is cropped by the detector {crop.member} of each fold, but of its "
            f"{len(member.nets)} networks {len(member.detectors)} have one"
        )
    return [
        (replace(member, nets=(net,), detectors=(detector,)), find_box(crop, scan, detector))
        for net, detector in zip(member.nets, member.detectors, strict=True)
    ]


def _outputs(
    member: Member, scan: Scan, box: Box, device: torch.device, wanted: NDArray[np.bool_], fast: bool,
    shared: SharedSlices, rounded: bool,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """By networks that all see the same box: uint8, or where that is not `rounded` yet float32, 0..1."""
    config = member.config
    if isinstance(config, Seg3d):
        seen = view_scan(scan, box, "axial")
        maps = volume_outputs(member, config, seen, device, wanted, fast, rounded)
        return {"maps": put_back(maps, box, "axial", scan.grid.shape)}
    if not isinstance(config, Seg25d | Cls):
        raise DataError(f"no way to predict with {type(config).__name__}")
    plane = config.data.plane
    seen = view_scan(scan, box, plane)
    asked = wanted if plane == "axial" else np.ones(seen.grid.shape[0], np.bool_)
    cache = shared.cache(config.data, box)
    said = slice_outputs(member, config, seen, device, asked, fast, cache, rounded)
    if "maps" in said:
        said["maps"] = put_back(said["maps"], box, plane, scan.grid.shape)
        said["maps"][:, ~wanted] = 0
    return said


def _nothing(member: Member, scan: Scan) -> dict[str, Bytes]:
    """What is said where no slice is wanted: no network needs to run."""
    config, classes, said = member.config, len(member.classes), {}
    if isinstance(config, Seg25d | Seg3d):
        said["maps"] = np.zeros((classes, *scan.grid.shape), np.uint8)
    if isinstance(config, Seg25d | Cls) and has_presence(config):
        said["presence"] = np.zeros((classes, scan.grid.shape[0]), np.uint8)
    return said
