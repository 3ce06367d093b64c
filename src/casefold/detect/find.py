"""A trained detector over a scan: boxes slice by slice, then the one that the scan is cropped to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray

from casefold.config.detectors import Detect, Find
from casefold.config.load import parse_detector, read_yaml
from casefold.core import DataError, Scan
from casefold.detect.pictures import kinds, looked_at, pictures
from casefold.detect.yolo import build_yolo, found_on
from casefold.models.weights import load_weights, read_info
from casefold.views import Box, whole_box

CONFIG, WEIGHTS = "config.yaml", "weights.safetensors"
Found = NDArray[np.float32]  # (n, 6): x0, y0, x1, y1 in pixels of the slice, confidence, kind


@dataclass(frozen=True)
class Detector:
    """A detector ready to look at scans."""

    config: Detect
    net: Any
    device: torch.device


def detect_box(run: Path, scan: Scan, device: torch.device) -> Box:
    """The box of any scan, by a detector's run (its config and weights alone); scan needs `statistics`.

    Always in float32, so that it is the same whatever the member that asks computes in.
    """
    path = run / WEIGHTS
    if not path.is_file():
        raise DataError(f"there is no detector {path}, which a member's data.crop names; bring it, or train it")
    detector = _loaded(run, path.stat().st_mtime_ns, device)
    return scan_box(slice_boxes(detector, scan), scan.grid.shape, detector.config)


def load_detector(run: Path, device: torch.device) -> Detector:
    """A detector from its run's folder."""
    config = parse_detector(read_yaml(run / CONFIG), run / CONFIG)
    with torch.inference_mode(False):
        net = build_yolo(config.model, len(kinds(config, read_info(run / WEIGHTS).classes)))
        load_weights(net, run / WEIGHTS)
        return Detector(config, net.to(device).eval(), device)


def slice_boxes(detector: Detector, scan: Scan, confidence: float | None = None) -> list[Found]:
    """What is found on each slice looked at, at the config's confidence or another."""
    config = detector.config
    least = config.find.confidence if confidence is None else confidence
    return found_on(
        detector.net, pictures(scan, config.data), config.data.size, least, config.find.overlap,
        config.find.batch_size, detector.device,
    )  # fmt: skip


def scan_box(found: Sequence[Found], shape: tuple[int, int, int], config: Detect) -> Box:
    """The box of a scan of `shape` by those of its slices looked at (`config.find` says how)."""
    depth, height, width = shape
    planes, find = looked_at(depth, config.data), config.find
    painted = np.zeros((len(planes), height, width), np.uint8)
    for plane, boxes in zip(painted, found, strict=True):
        for x0, y0, x1, y1 in boxes[:, :4]:
            plane[_outward(y0, y1, height), _outward(x0, x1, width)] = 1
    chains = _bounds(painted)
    long = [box for box in chains if box[0].stop - box[0].start >= min(find.min_slices, len(planes))]
    if not long:
        return whole_box(shape)
    z, y, x = (
        (min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*long, strict=True)
    )
    return Box(
        (planes[z[0]], min(depth, planes[z[1] - 1] + config.data.every)),
        _widened(y, find, height),
        _widened(x, find, width),
    )


def _bounds(painted: NDArray[np.uint8]) -> list[tuple[slice, slice, slice]]:
    """Where each piece (6 neighbours) of what is painted lies: (z, y, x)."""
    if not painted.any():
        return []
    pieces = cc3d.connected_components(painted, connectivity=6)
    return list(cc3d.statistics(pieces)["bounding_boxes"][1:])  # the first is what is not painted


def _outward(start: float, stop: float, size: int) -> slice:
    """The pixels that a stretch touches, at least one, within a side."""
    first = min(max(0, int(np.floor(start))), size - 1)
    return slice(first, min(max(first + 1, int(np.ceil(stop))), size))


def _widened(part: tuple[int, int], find: Find, size: int) -> tuple[int, int]:
    wider = round(find.margin * (part[1] - part[0]))
    return max(0, part[0] - wider), min(size, part[1] + wider)


@lru_cache(maxsize=16)
def _loaded(run: Path, changed_ns: int, device: torch.device) -> Detector:
    """A detector stays loaded for the next scan; changed_ns: when its weights were written."""
    return load_detector(run, device)
