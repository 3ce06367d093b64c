"""What a detector looks at: slices as pictures of 8 bits, and the boxes it is to find on them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from casefold.config.detectors import COLOURS, Detect, DetectData, MaskTarget
from casefold.core import ConfigError, Scan
from casefold.data.normalize import normalizer
from casefold.views import find_box

Boxes = NDArray[np.float64]  # (n, 4): x0, y0, x1, y1 in pixels, the last two behind the last pixel inside


def looked_at(depth: int, data: DetectData) -> list[int]:
    """The slices of a scan that a detector looks at."""
    return list(range(0, depth, data.every))


def pictures(scan: Scan, data: DetectData) -> Iterator[NDArray[np.uint8]]:
    """A picture (y, x, 3) of each slice looked at; one plane alone stands in all three colours.

    Raises ConfigError where window and modalities make neither one plane nor three.
    """
    chosen = list(data.modalities or range(len(scan.image)))
    absent = [number for number in chosen if not 0 <= number < len(scan.image)]
    if absent:
        raise ConfigError(f"data.modalities: scan {scan.name} has {len(scan.image)}, counted from 0, and no {absent}")
    if len(data.window) * len(chosen) not in COLOURS:
        raise ConfigError(
            f"data: {len(data.window)} slices of {len(chosen)} modalities are {len(data.window) * len(chosen)} planes, "
            "but a picture has 1 or 3; take a shorter data.window, or name data.modalities"
        )
    numbers, last = normalizer(data.normalize, scan), scan.grid.shape[0] - 1
    for z in looked_at(scan.grid.shape[0], data):
        places = [min(max(z + offset, 0), last) for offset in data.window]
        unit = np.concatenate([numbers.to_unit(np.asarray(scan.image[:, place]))[chosen] for place in places])
        planes = np.rint(255 * unit).astype(np.uint8)
        yield np.moveaxis(np.broadcast_to(planes, (3, *planes.shape[1:])), 0, -1)


def true_boxes(scan: Scan, config: Detect) -> list[tuple[Boxes, NDArray[np.int64]]]:
    """By slice looked at the boxes to be found, and the kind of each, an index of `kinds`; ignored voxels do not count.

    A body's box is that of its scan, on every slice.
    """
    planes = looked_at(scan.grid.shape[0], config.data)
    if not isinstance(config.target, MaskTarget):
        box = find_box(config.target, scan)
        alone = np.array([[box.x[0], box.y[0], box.x[1], box.y[1]]], np.float64)
        return [(alone, np.zeros(1, np.int64))] * len(planes)
    masks = scan.class_masks()
    if scan.ignore is not None:
        masks = masks & ~scan.ignore
    if config.target.by == "union":
        masks = np.asarray(masks.any(0))[None]
    return [_round_each(masks[:, z]) for z in planes]


def kinds(config: Detect, classes: tuple[str, ...]) -> tuple[str, ...]:
    """What a detector tells apart."""
    if isinstance(config.target, MaskTarget):
        return classes if config.target.by == "class" else ("any",)
    return ("body",)


def _round_each(masks: NDArray[np.bool_]) -> tuple[Boxes, NDArray[np.int64]]:
    """A box round each mask (kind, y, x) that is not empty."""
    there = np.flatnonzero(masks.any((1, 2)))
    boxes = []
    for kind in there:
        y, x = (np.flatnonzero(masks[kind].any(axis)) for axis in (1, 0))
        boxes.append([x[0], y[0], x[-1] + 1, y[-1] + 1])
    return np.array(boxes, np.float64).reshape(-1, 4), there
