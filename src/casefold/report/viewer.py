"""A scan packed for the page's viewer: the slices around what is labelled or found, and every source's masks, as JSON.

A mask of a slice is a text of runs: background and mask in turn, row after row, each length a LEB128 number, all of it
in base64; what follows the last run is background. assets/viewer.js reads it back.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError, Scan
from casefold.metrics.overlap import dice_of, overlap

VIEWER_BYTES = 16_000_000  # of all scans on a page, which leaves the rest of it room below 25 MB
MARGIN = 2  # slices shown on either side of what is labelled or found
SHOWN = (0.5, 99.5)  # percentiles of a scan that are drawn black and white
Masks = NDArray[np.bool_]


class Detail(NamedTuple):
    """How closely a scan is shown: WebP quality, a slice's longest side, every how many slices."""

    quality: int
    longest_px: int
    every: int


DETAILS = (Detail(75, 512, 1), Detail(60, 448, 1), Detail(50, 384, 1), Detail(40, 320, 1), Detail(40, 320, 2))


@dataclass(frozen=True)
class Packed:
    """A scan as the page holds it.

    group: why it is shown (worst, best, suspect ...). score: NaN where it has none. text: its JSON.
    """

    scan: str
    group: str
    score: float
    text: str


class Mark(NamedTuple):
    """A voxel to point out: the one behind a class's Hausdorff distance."""

    label: str
    z: int
    y: int
    x: int


def pack(
    scan: Scan,
    found: Mapping[str, Masks],
    *,
    group: str,
    score: float = math.nan,
    marks: Sequence[Mark] = (),
    modality: int = 0,
    colour: bool = False,
    budget: int = VIEWER_BYTES // 16,
) -> Packed:
    """The scan with its truth and each source's masks (class, z, y, x), of no more than `budget` bytes if that can be.

    found: the ensemble's masks and each member's, in the order in which the viewer offers them. colour: the first three
    modalities are one RGB image. Too much for the budget, it is shown less closely, in the end with fewer slices.
    """
    sources = ({} if scan.masks is None else {"truth": scan.class_masks()}) | dict(found)
    for name, masks in sources.items():
        wanted = (len(scan.classes), *scan.grid.shape)
        if masks.shape != wanted:
            raise DataError(f"masks of {name} on {scan.name} should be (class, z, y, x) = {wanted}, not {masks.shape}")
    slices = _slices(sources, scan.grid.shape[0])
    head = {
        "scan": scan.name,
        "case": scan.case,
        "group": group,
        "classes": scan.classes,
        "aspect": 1.0 if scan.grid.spacing_mm is None else scan.grid.spacing_mm[1] / scan.grid.spacing_mm[2],
        "depth": scan.grid.shape[0],
        "dice": _dice(sources),
        "marks": [mark._asdict() for mark in marks],
    }
    planes = _planes(scan, modality, colour)
    for detail in DETAILS:
        text = _text(head, scan, planes, sources, slices, detail)
        if len(text) <= budget:
            return Packed(scan.name, group, score, text)
    while len(text) > budget and detail.every < len(slices):
        detail = detail._replace(every=2 * detail.every)
        text = _text(head, scan, planes, sources, slices, detail)
    return Packed(scan.name, group, score, text)


def runs(mask: Masks) -> str:
    """A mask (y, x) as text; an empty one gives an empty text."""
    flat = np.pad(mask.ravel(), 1).view(np.int8)
    lengths = np.diff(np.flatnonzero(np.diff(flat)), prepend=0)
    numbers = bytearray()
    for length in lengths.tolist():
        while length > 127:
            numbers.append(length & 127 | 128)
            length >>= 7
        numbers.append(length)
    return base64.b64encode(numbers).decode()


def _slices(sources: Mapping[str, Masks], depth: int) -> list[int]:
    """Every slice that any source has something on, with a margin; of an empty scan its middle."""
    busy = np.zeros(depth, np.bool_)
    for masks in sources.values():
        busy |= masks.any(axis=(0, 2, 3))
    if not busy.any():
        busy[depth // 2] = True
    kept = {z + step for z in np.flatnonzero(busy).tolist() for step in range(-MARGIN, MARGIN + 1)}
    return sorted(kept & set(range(depth)))


def _dice(sources: Mapping[str, Masks]) -> dict[str, list[float | None]]:
    """By source, the whole scan's Dice by class; None where neither truth nor source has the class."""
    if "truth" not in sources:
        return {}
    scored = {name: dice_of(overlap(sources["truth"], masks)) for name, masks in sources.items() if name != "truth"}
    return {
        name: [None if math.isnan(one) else round(one, 4) for one in values.tolist()] for name, values in scored.items()
    }


def _planes(scan: Scan, modality: int, colour: bool) -> NDArray[np.uint8]:
    """Slices as they are drawn, uint8 (z, y, x) or (z, y, x, 3) in OpenCV's order."""
    picked = scan.image[2::-1] if colour else scan.image[modality : modality + 1]
    if colour and len(picked) != 3:
        raise DataError(f"scan {scan.name} has {len(scan.image)} modalities; an RGB image wants three")
    low, high = np.percentile(picked, SHOWN)
    scaled = (picked.astype(np.float32) - low) * (255 / ((high - low) or 1))
    planes: NDArray[np.uint8] = scaled.clip(0, 255).astype(np.uint8)
    return np.moveaxis(planes, 0, -1) if colour else planes[0]


def _text(
    head: Mapping[str, Any],
    scan: Scan,
    planes: NDArray[np.uint8],
    sources: Mapping[str, Masks],
    slices: Sequence[int],
    detail: Detail,
) -> str:
    height, width = scan.grid.shape[1:]
    scale = min(1.0, detail.longest_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shown = slices[detail.every // 2 :: detail.every]
    body = {
        "height": size[1],
        "width": size[0],
        "scale": scale,
        "slices": [
            {"z": z, "name": scan.slice_names[z], "image": _image(planes[z], size, detail.quality)} for z in shown
        ],
        "masks": {
            name: [[runs(_shrunk(one[z], size)) for z in shown] for one in masks] for name, masks in sources.items()
        },
    }
    return json.dumps({**head, **body}, ensure_ascii=False, separators=(",", ":"))


def _image(plane: NDArray[np.uint8], size: tuple[int, int], quality: int) -> str:
    _, code = cv2.imencode(
        ".webp", cv2.resize(plane, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    return base64.b64encode(code.tobytes()).decode()


def _shrunk(mask: Masks, size: tuple[int, int]) -> Masks:
    if size == mask.shape[::-1]:
        return mask
    return np.asarray(cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128)
