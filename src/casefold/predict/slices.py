"""Slice members over a scan: which slices go in which batch, and what becomes of the others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.config.experiments import Cls, Seg25d
from casefold.config.inputs import CropConfig, SliceData
from casefold.core import Scan, quantise
from casefold.data.cache import ArrayCache
from casefold.data.slices import slice_input, to_grid
from casefold.predict.batches import forward
from casefold.predict.member import Member
from casefold.predict.passes import average, passes
from casefold.views import Box

Bytes = NDArray[np.uint8]
SHARED_BYTES = 256 << 20
# Images of a fast call, slices and their flips. On one thread a 2D U-Net took 28 ms an image at 8, 33 at 16 and more,
# 38 at 1 (bf16, 192 px): beyond 8 they leave the processor's cache.
CPU_IMAGES, GPU_IMAGES = 8, 64


class SharedSlices:
    """What members read alike of one scan, made once: the box of a crop, and slices at the networks' sizes."""

    def __init__(self) -> None:
        self._kept: dict[object, ArrayCache] = {}
        self._boxes: dict[CropConfig | None, Box] = {}

    def cache(self, data: SliceData, box: Box) -> ArrayCache:
        """Where slices of a box stand that are read by these numbers, whatever the window."""
        key = (data.normalize, data.size, data.fit, data.plane, box)
        return self._kept.setdefault(key, ArrayCache(SHARED_BYTES))

    def box(self, crop: CropConfig | None, find: Callable[[], Box]) -> Box:
        """The box of a crop, found once for all members that are cropped so."""
        if crop not in self._boxes:
            self._boxes[crop] = find()
        return self._boxes[crop]


def slice_outputs(
    member: Member,
    config: Seg25d | Cls,
    scan: Scan,
    device: torch.device,
    wanted: NDArray[np.bool_],
    fast: bool,
    cache: ArrayCache,
    rounded: bool = True,
) -> dict[str, NDArray[Any]]:
    """`maps` (class, slice, height, width) and `presence` (class, slice), each where the network has it.

    scan: as the network is to see it, slices along its first axis; wanted: one of them at least, the others are 0.
    rounded: uint8; else float32, 0..1.
    """
    depth, height, width = scan.grid.shape
    classes, finish = len(member.classes), quantise if rounded else np.asarray
    outputs: dict[str, NDArray[Any]] = {}
    for planes in fast_batches(wanted, config, device) if fast else whole_batches(wanted, config.predict.batch_size):
        image = torch.stack([slice_input(scan, z, config.data, cache) for z in planes]).to(device)
        image = image.contiguous(memory_format=torch.channels_last)
        mean = average(passes(member, image, lambda net, x, _: forward(net, x, member.limit), together=fast), config)
        kept = wanted[planes]
        at = np.array(planes)[kept]
        said = {name: value.expand(-1, classes) for name, value in mean.items() if name == "presence"}
        if "maps" in mean:
            said["maps"] = to_grid(mean["maps"], config.data, (height, width), scan.name, scan.grid.spacing_mm)
        for name, value in said.items():
            values = finish(value.cpu().numpy())
            if name not in outputs:
                outputs[name] = np.zeros((classes, depth, *values.shape[2:]), values.dtype)
            outputs[name][:, at] = values[kept].swapaxes(0, 1)
    return outputs


def has_presence(config: Seg25d | Cls) -> bool:
    """Whether a member's networks say which classes are on a slice."""
    return isinstance(config, Cls) or config.model.presence_head != "none"


def whole_batches(wanted: NDArray[np.bool_], size: int) -> list[list[int]]:
    """The batches of a whole scan, less those without a wanted slice: those that run, run as they would in the scan."""
    starts = [start for start in range(0, len(wanted), size) if wanted[start : start + size].any()]
    return [list(range(start, min(start + size, len(wanted)))) for start in starts]


def fast_batches(wanted: NDArray[np.bool_], config: Seg25d | Cls, device: torch.device) -> list[list[int]]:
    """The wanted slices alone, as many a batch as make a good call together with their flips."""
    images = CPU_IMAGES if device.type == "cpu" else GPU_IMAGES
    size = max(1, images // (1 + len(config.predict.flips)))
    asked = np.flatnonzero(wanted).tolist()
    return [asked[start : start + size] for start in range(0, len(asked), size)]
