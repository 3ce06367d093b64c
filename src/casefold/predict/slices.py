"""Slice members over a scan: which slices go in which batch, and what becomes of the others."""

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.config.experiments import Cls, Seg25d
from casefold.config.inputs import SliceData
from casefold.core import Scan, quantise
from casefold.data.cache import ArrayCache
from casefold.data.slices import slice_input, to_grid
from casefold.predict.batches import forward
from casefold.predict.member import Member
from casefold.predict.passes import average, passes

Bytes = NDArray[np.uint8]
SHARED_BYTES = 256 << 20
# Images of a fast call, slices and their flips. On one thread a 2D U-Net took 28 ms an image at 8, 33 at 16 and more,
# 38 at 1 (bf16, 192 px): beyond 8 they leave the processor's cache.
CPU_IMAGES, GPU_IMAGES = 8, 64


class SharedSlices:
    """The slices of one scan at the networks' sizes, kept so that members that read them alike normalise them once."""

    def __init__(self) -> None:
        self._kept: dict[object, ArrayCache] = {}

    def cache(self, data: SliceData) -> ArrayCache:
        """Where slices stand that are read by these numbers, whatever the window."""
        return self._kept.setdefault((data.normalize, data.size, data.fit, data.plane), ArrayCache(SHARED_BYTES))


def slice_outputs(
    member: Member,
    config: Seg25d | Cls,
    scan: Scan,
    device: torch.device,
    wanted: NDArray[np.bool_],
    fast: bool,
    shared: SharedSlices,
) -> tuple[Bytes | None, Bytes | None]:
    """Maps (class, z, y, x) and presence (class, z), each where the network has it; unwanted slices are 0."""
    depth, height, width = scan.grid.shape
    classes, cache = len(member.classes), shared.cache(config.data)
    maps = presence = None
    if not wanted.any():
        maps = np.zeros((classes, *scan.grid.shape), np.uint8) if isinstance(config, Seg25d) else None
        presence = np.zeros((classes, depth), np.uint8) if has_presence(config) else None
    for planes in fast_batches(wanted, config, device) if fast else whole_batches(wanted, config.predict.batch_size):
        image = torch.stack([slice_input(scan, z, config.data, cache) for z in planes]).to(device)
        image = image.contiguous(memory_format=torch.channels_last)
        mean = average(passes(member, image, lambda net, x, _: forward(net, x, member.limit), together=fast), config)
        kept = wanted[planes]
        at = np.array(planes)[kept]
        if "maps" in mean:
            said = quantise(to_grid(mean["maps"], config.data, (height, width)).cpu().numpy())
            maps = np.zeros((classes, *scan.grid.shape), np.uint8) if maps is None else maps
            maps[:, at] = said[kept].swapaxes(0, 1)
        if "presence" in mean:
            said = quantise(mean["presence"].expand(-1, classes).cpu().numpy())
            presence = np.zeros((classes, depth), np.uint8) if presence is None else presence
            presence[:, at] = said[kept].T
    return maps, presence


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
