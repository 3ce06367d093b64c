"""What is wrong with the pixels of single slices: constant, cut off, clipped, no number, metal."""

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.check.findings import Finding, on_slices
from casefold.check.overview import Bools, Overview
from casefold.check.table import PIXELS
from casefold.core import Scan

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def not_a_number(scan: Scan) -> list[Finding]:
    """NaN and infinity."""
    if not np.issubdtype(scan.image.dtype, np.inexact):
        return []
    counts = {z: int((~np.isfinite(scan.image[:, z])).sum()) for z in range(scan.grid.shape[0])}
    told = "as many as {} voxels of a slice are NaN or infinite"
    return on_slices("not a number", scan, {z: count for z, count in counts.items() if count}, told)


def constant(scan: Scan, where: str, filled: Sequence[int] = ()) -> list[Finding]:
    """Slices of a single value, in any modality but those that were filled in; those at the ends are told apart."""
    flat = np.array([[(plane == plane.flat[0]).all() for plane in modality] for modality in scan.image])
    flat[list(filled)] = False
    if flat.all(axis=1).any():
        which = np.flatnonzero(flat.all(axis=1)) + 1
        told = f"modality {', '.join(map(str, which))} of {len(flat)} is" if len(flat) > 1 else "every pixel is"
        return [Finding("constant scan", scan.case, scan.name, where, f"{told} {scan.image[which[0] - 1].flat[0]}")]
    slices = np.flatnonzero(flat.any(axis=0))
    inner = np.flatnonzero(~flat.any(axis=0))
    told = "every pixel has one value"
    ends = {int(z): 1.0 for z in slices if inner.size == 0 or not inner[0] < z < inner[-1]}
    middle = {int(z): 1.0 for z in slices if int(z) not in ends}
    return on_slices("constant slice", scan, middle, told) + on_slices("blank end", scan, ends, told)


def truncated(seen: Overview) -> dict[int, float]:
    """Slices that one flat value covers along a straight line, and how much (%) of the fuller neighbour's tissue."""
    limits, depth = PIXELS["truncated image"].limits, len(seen.image)
    shares: dict[int, float] = {}
    area = seen.tissue.sum(axis=(1, 2))
    for z in np.flatnonzero(~seen.constant):
        beside = [n for n in (z - 1, z + 1) if 0 <= n < depth and seen.follows[min(n, z)] and area[n]]
        if not beside:
            continue
        other = max(beside, key=lambda n: int(area[n]))
        lost = seen.blank[z] & seen.tissue[other]
        share = float(lost.sum() / area[other])
        if share >= limits["lost_share"]:
            drawn = ~seen.blank[other]  # of the neighbour's picture, what is left here and what is gone
            if parted_share(drawn & ~seen.blank[z], drawn & seen.blank[z]) >= limits["parted_share"]:
                shares[int(z)] = 100 * share
    return shares


def parted_share(one: Bools, two: Bools) -> float:
    """How well a straight line parts two sets of pixels: 1 wholly, 0.5 not at all; 0 where a set is empty.

    The line is Fisher's; the share is the chance that a pixel of one set lies before a pixel of the other.
    """
    if not one.any() or not two.any():
        return 0.0
    a, b = (np.argwhere(part).astype(np.float64) for part in (one, two))
    within = (np.cov(a.T, bias=True) + np.cov(b.T, bias=True)) / 2 + np.eye(2)
    across = np.linalg.solve(within, b.mean(0) - a.mean(0))
    before = np.sort(a @ across)
    places = [np.searchsorted(before, b @ across, side) for side in SIDES]
    return float(np.mean(places) / len(before))


def saturated(scan: Scan) -> list[Finding]:
    """Slices with a large share of pixels at the scan's maximum, unless that is what surrounds the picture."""
    least = PIXELS["saturated"].limits["share"]
    shares: dict[int, float] = {}
    for modality in scan.image:
        top = modality.max()
        if top == modality.min():
            continue
        for z, plane in enumerate(modality):
            full = plane == top
            edge = np.concatenate([full[0], full[-1], full[:, 0], full[:, -1]])
            share = float(full.mean())
            if share >= least and edge.mean() < 0.5 and not full.all():
                shares[z] = max(100 * share, shares.get(z, 0.0))
    return on_slices("saturated", scan, shares, "{:.0f} % of the pixels are at the scan's maximum")


def metal(scan: Scan, seen: Overview) -> list[Finding]:
    """Of a CT: slices with metal, and those of them whose tissue is rough with streaks."""
    limits, times, volume = PIXELS["metal"].limits, PIXELS["streaks"].limits["times"], scan.image[0]
    if np.issubdtype(volume.dtype, np.unsignedinteger) or volume.min() >= limits["ct_below_hu"]:
        return []
    counts = {z: int((plane > limits["metal_above_hu"]).sum()) for z, plane in enumerate(volume)}
    bright = {z: float(count) for z, count in counts.items() if count >= limits["pixels"]}
    rough = np.array([_roughness(plane, tissue) for plane, tissue in zip(seen.image, seen.tissue, strict=True)])
    usual = np.median(rough[[z for z in counts if z not in bright]]) if len(bright) < len(counts) else np.inf
    streaks = {z: float(rough[z] / usual) for z in bright if rough[z] > times * usual > 0}
    told = "up to {:.0f} pixels of a slice above " + f"{limits['metal_above_hu']:g} HU"
    return on_slices("metal", scan, bright, told) + on_slices(
        "streaks", scan, streaks, "the tissue is {:.1f} times as rough as on the slices without metal"
    )


def _roughness(plane: NDArray[Any], tissue: Bools) -> float:
    """The median of the absolute Laplacian over a slice's tissue; 0 where there is none."""
    return float(np.median(np.abs(cv2.Laplacian(plane, cv2.CV_32F))[tissue])) if tissue.any() else 0.0
