"""A scan packed for the page's viewer: the slices around what is labelled or found, and every source's masks, as JSON.

A mask of a slice is a text of runs: background and mask in turn, row after row, each length a LEB128 number, all of it
in base64; what follows the last run is background. assets/viewer.js reads it back.
"""

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError, Scan, pack_masks, unpack_masks
from casefold.metrics.overlap import dice_of, overlap

VIEWER_BYTES = 16_000_000  # of all scans on a page, which leaves the rest of it room below 25 MB
MARGIN = 2  # slices shown on either side of what is labelled or found
SHOWN = (0.5, 99.5)  # percentiles of a scan that are drawn black and white, of about so many of its voxels
SAMPLE = 1_000_000
TRIED = 6  # slices from which it is guessed whether all fit
Masks = NDArray[np.bool_]
Bits = NDArray[Any]


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
    found: Iterable[tuple[str, Masks]],
    *,
    group: str,
    score: float = math.nan,
    marks: Sequence[Mark] = (),
    colour: bool = False,
    budget: int = VIEWER_BYTES // 16,
) -> Packed:
    """The scan with its truth and each source's masks (class, z, y, x), of no more than `budget` bytes if that can be.

    found: the ensemble's masks and each member's, by name, in the order in which the viewer offers them; taken one at a
    time. colour: the first three modalities are one RGB image; otherwise the one is shown in which what is labelled
    stands out most. Too much for the budget, a scan is shown less closely, in the end with fewer slices.
    """
    bits, dice = _sources(scan, found)
    slices = _slices(list(bits.values()), scan.grid.shape[0])
    head = {
        "scan": scan.name,
        "case": scan.case,
        "group": group,
        "classes": scan.classes,
        "aspect": 1.0 if scan.grid.spacing_mm is None else scan.grid.spacing_mm[1] / scan.grid.spacing_mm[2],
        "depth": scan.grid.shape[0],
        "dice": dice,
        "marks": [mark._asdict() for mark in marks],
    }
    draw = _Draw(scan, bits, colour)
    for detail in _details(len(slices)):
        shown = slices[detail.every // 2 :: detail.every]
        tried = shown[:: max(1, len(shown) // TRIED)]
        likely = sum(len(json.dumps(draw(z, detail))) for z in tried) * len(shown) / len(tried)
        last = detail.every >= len(slices)
        if likely > budget and not last:
            continue
        text = _text(head, draw, shown, detail)
        if len(text) <= budget or last:
            break
    return Packed(scan.name, group, score, text)


def runs(mask: Masks) -> str:
    """A mask (y, x) as text; an empty one gives an empty text."""
    if not mask.any():
        return ""
    flat = np.pad(mask.ravel(), 1)
    lengths = np.diff(np.flatnonzero(flat[1:] != flat[:-1]), prepend=0)
    numbers = bytearray()
    for length in lengths.tolist():
        while length > 127:
            numbers.append(length & 127 | 128)
            length >>= 7
        numbers.append(length)
    return base64.b64encode(numbers).decode()


def _sources(scan: Scan, found: Iterable[tuple[str, Masks]]) -> tuple[dict[str, Bits], dict[str, list[float | None]]]:
    """Each source's masks as a bitfield (z, y, x), the truth first; by other source, the whole scan's Dice by class,
    None where neither truth nor source has it."""
    bits: dict[str, Bits] = {} if scan.masks is None else {"truth": scan.masks}
    truth = None if scan.masks is None else scan.class_masks()
    scores: dict[str, list[float | None]] = {}
    for name, masks in found:
        wanted = (len(scan.classes), *scan.grid.shape)
        if masks.shape != wanted:
            raise DataError(f"masks of {name} on {scan.name} should be (class, z, y, x) = {wanted}, not {masks.shape}")
        bits[name] = pack_masks(masks)
        if truth is not None:
            scores[name] = [
                None if math.isnan(one) else round(one, 4) for one in dice_of(overlap(truth, masks)).tolist()
            ]
    return bits, scores


def _slices(sources: Sequence[Bits], depth: int) -> list[int]:
    """Every slice that any source has something on, with a margin; of an empty scan its middle."""
    busy = np.zeros(depth, np.bool_)
    for masks in sources:
        busy |= masks.any(axis=(1, 2))
    if not busy.any():
        busy[depth // 2] = True
    kept = {z + step for z in np.flatnonzero(busy).tolist() for step in range(-MARGIN, MARGIN + 1)}
    return sorted(kept & set(range(depth)))


def _details(slices: int) -> Iterator[Detail]:
    """Less and less, until one slice is left."""
    yield from DETAILS
    detail = DETAILS[-1]
    while detail.every < slices:
        detail = detail._replace(every=2 * detail.every)
        yield detail


class _Draw:
    """Makes slices of one scan as a page holds them: a picture, and each source's masks."""

    def __init__(self, scan: Scan, bits: Mapping[str, Bits], colour: bool) -> None:
        shown = slice(2, None, -1) if colour else slice(one := _clearest(scan), one + 1)
        self._image = scan.image[shown]  # in OpenCV's order
        if colour and len(self._image) != 3:
            raise DataError(f"scan {scan.name} has {len(scan.image)} modalities; an RGB image wants three")
        some = self._image.reshape(-1)[:: max(1, self._image.size // SAMPLE)]
        self._low, high = np.percentile(some, SHOWN)
        self._scale = 255 / ((high - self._low) or 1)
        self._bits, self._classes = bits, len(scan.classes)
        self.sources, self.names = tuple(bits), scan.slice_names
        self.height, self.width = scan.grid.shape[1:]

    def size(self, detail: Detail) -> tuple[int, int]:
        """Width and height of what is drawn."""
        scale = min(1.0, detail.longest_px / max(self.height, self.width))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    def __call__(self, z: int, detail: Detail) -> tuple[str, list[list[str]]]:
        """The picture of slice z, and the runs of its masks by source and class."""
        size = self.size(detail)
        plane = np.moveaxis((self._image[:, z].astype(np.float32) - self._low) * self._scale, 0, -1)
        drawn = cv2.resize(plane.clip(0, 255).astype(np.uint8), size, interpolation=cv2.INTER_AREA)
        _, code = cv2.imencode(".webp", drawn, [cv2.IMWRITE_WEBP_QUALITY, detail.quality])
        masks = [[_shrunk(one, size) for one in unpack_masks(own[z], self._classes)] for own in self._bits.values()]
        return base64.b64encode(code.tobytes()).decode(), [[runs(one) for one in of_source] for of_source in masks]


def _clearest(scan: Scan) -> int:
    """The modality whose mean where something is labelled lies farthest from that of the rest of those slices, in its
    standard deviations there; the first where nothing is, or only one is there."""
    busy = [] if scan.masks is None else np.flatnonzero(scan.masks.any(axis=(1, 2))).tolist()
    if len(scan.image) < 2 or scan.masks is None or not busy:
        return 0
    z = busy[len(busy) // 2]
    inside = scan.masks[z] > 0
    planes = scan.image[:, z].astype(np.float64)
    apart = [abs(p[inside].mean() - p[~inside].mean()) / (p.std() or 1) if not inside.all() else 0 for p in planes]
    return int(np.argmax(apart))


def _text(head: Mapping[str, Any], draw: _Draw, shown: Sequence[int], detail: Detail) -> str:
    pictures, masks = zip(*(draw(z, detail) for z in shown), strict=True)
    width, height = draw.size(detail)
    body = {
        "height": height,
        "width": width,
        "scale": min(1.0, detail.longest_px / max(draw.height, draw.width)),
        "slices": [{"z": z, "name": draw.names[z], "image": one} for z, one in zip(shown, pictures, strict=True)],
        "masks": {
            name: [[of_slice[place][c] for of_slice in masks] for c in range(len(head["classes"]))]
            for place, name in enumerate(draw.sources)
        },
    }
    return json.dumps({**head, **body}, ensure_ascii=False, separators=(",", ":"))


def _shrunk(mask: Masks, size: tuple[int, int]) -> Masks:
    if size == mask.shape[::-1] or not mask.any():
        return mask
    return np.asarray(cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128)
