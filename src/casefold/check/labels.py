"""What is wrong with the masks of one scan."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from casefold.check.findings import Finding, on_slices, runs
from casefold.check.overview import Bools, Overview
from casefold.check.table import LABELS
from casefold.core import DataError, Scan

Filled = list[NDArray[np.uint8]]


def masks_of(scan: Scan, seen: Overview) -> list[Finding]:
    """Everything about the masks of a labelled scan; slices that are to be ignored are passed over."""
    if scan.masks is None or not scan.masks.any():
        return [Finding("all empty", scan.case, scan.name, scan.name, f"no mask on any of {scan.grid.shape[0]} slices")]
    known = np.ones(scan.grid.shape[0], bool)
    if scan.ignore is not None:
        known &= ~scan.ignore.all(axis=(1, 2))
    body = [_filled(plane) for plane in seen.tissue] if seen.surrounded else None
    found = []
    for label in scan.classes:
        volume = class_mask(scan, label)
        found += _outside(scan, seen, label, volume, body) + _out_of_line(scan, seen, label, volume, known)
    return found


def class_mask(scan: Scan, label: str) -> Bools:
    """One class of a labelled scan, bool (z, y, x); all at once may not fit in memory."""
    if scan.masks is None:
        raise DataError(f"scan {scan.name} has no labels, so it has no mask of {label}")
    return np.asarray(scan.masks & scan.masks.dtype.type(1 << scan.classes.index(label)) != 0)


def overlap(one: Bools, two: Bools) -> float:
    """Intersection over union; 0 where both are empty."""
    union = int((one | two).sum())
    return int((one & two).sum()) / union if union else 0.0


def _filled(tissue: Bools) -> NDArray[np.uint8]:
    """A slice's tissue with its holes filled and a margin of 2 overview pixels."""
    return np.asarray(ndimage.binary_fill_holes(ndimage.binary_dilation(tissue, iterations=2)), np.uint8)


def _outside(scan: Scan, seen: Overview, label: str, volume: Bools, body: Filled | None) -> list[Finding]:
    """Slices whose mask lies in the air round the body, or where no body is known, on the slice's flat minimum."""
    limits = LABELS["mask outside the body"].limits
    shares: dict[int, float] = {}
    dim = seen.air + limits["brightness"] * (seen.bright - seen.air)
    for z in np.flatnonzero(volume.sum(axis=(1, 2)) >= limits["pixels"]):
        mask, inside = volume[z], scan.image[:, z][:, volume[z]]
        if body is None:
            flat = (inside == inside[:, :1]).all() and inside[0, 0] == scan.image[0, z].min()
            out = 1.0 if flat else 0.0
        else:
            held = cv2.resize(body[z], mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
            out = 1 - float(held[mask].mean()) if inside[0].mean() < dim else 0.0
        if out >= limits["share"]:
            shares[int(z)] = 100 * out
    return on_slices("mask outside the body", scan, shares, f"{{:.0f}} % of {label} lies where nothing is")


def _out_of_line(scan: Scan, seen: Overview, label: str, volume: Bools, known: Bools) -> list[Finding]:
    """Slices whose mask is missing or elsewhere while those before and after agree."""
    hole, line = LABELS["mask missing between slices"].limits, LABELS["mask out of line"].limits
    there = np.asarray(volume.any(axis=(1, 2)))
    missing: dict[int, float] = {}
    for run in runs(np.flatnonzero(~there).tolist()):
        before, after = run[0] - 1, run[-1] + 1
        if before < 0 or after >= len(there) or len(run) > hole["slices"]:
            continue
        if known[before : after + 1].all() and seen.follows[before:after].all():
            agreed = overlap(volume[before], volume[after])
            if agreed >= hole["neighbours"]:
                missing |= dict.fromkeys(run, agreed)
    stray: dict[int, float] = {}
    for z in range(1, len(there) - 1):
        if there[z - 1 : z + 2].all() and known[z - 1 : z + 2].all() and seen.follows[z - 1 : z + 1].all():
            before, here, after = volume[z - 1 : z + 2]
            agreed = overlap(before, after)
            if agreed >= line["neighbours"] and max(overlap(before, here), overlap(here, after)) <= line["own"]:
                stray[z] = agreed
    return on_slices(
        "mask missing between slices", scan, missing, f"no {label}, though the masks round it overlap by {{:.2f}}"
    ) + on_slices("mask out of line", scan, stray, f"{label} covers neither neighbour's, and these overlap by {{:.2f}}")
