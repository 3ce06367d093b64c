"""2.5D: a window of slices as channels, at the network's size, and maps brought back to the scan's grid."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from casefold.config.inputs import SliceData
from casefold.core import DataError, Scan, unpack_masks
from casefold.data.augment import augment_slice, slice_pipeline
from casefold.data.cache import ArrayCache
from casefold.data.normalize import Floats, normalizer
from casefold.store import Store


def slice_window(scan: Scan, z: int, data: SliceData, cache: ArrayCache | None = None) -> Floats:
    """Slice z and its neighbours, 0..1, at the config's size: (len(window) * modality, height, width).

    Channels go offset by offset, all modalities of an offset together; past either end the end slice repeats.
    cache: keeps each slice at that size.
    """
    keep = cache or ArrayCache(0)
    numbers = normalizer(data.normalize, scan)

    def unit_slice(z: int) -> Floats:
        return fit_planes(torch.from_numpy(numbers.to_unit(np.asarray(scan.image[:, z]))), data, scan.name).numpy()

    last = scan.grid.shape[0] - 1
    planes = [min(max(z + offset, 0), last) for offset in data.window]
    return np.concatenate([keep.get(("image", scan.name, at), partial(unit_slice, at)) for at in planes])


def slice_input(scan: Scan, z: int, data: SliceData) -> Tensor:
    """What the network reads for slice z without augmentation: float32 (channel, height, width)."""
    return torch.from_numpy(normalizer(data.normalize, scan).finish(slice_window(scan, z, data)))


def fit_planes(planes: Tensor, data: SliceData, name: str) -> Tensor:
    """Planes (channel, height, width) to the config's size; raises DataError where `fit: pad` meets a larger slice."""
    height, width = data.size
    if planes.shape[1:] == (height, width):
        return planes
    if data.fit == "resize":
        return _resize(planes[None], (height, width))[0]
    if planes.shape[1] > height or planes.shape[2] > width:
        raise DataError(
            f"{name} has slices of {tuple(planes.shape[1:])}, larger than data.size {data.size}; "
            "raise data.size or write data.fit: resize"
        )
    return F.pad(planes, (0, width - planes.shape[2], 0, height - planes.shape[1]))


def to_grid(maps: Tensor, data: SliceData, shape: tuple[int, int]) -> Tensor:
    """The reverse of fit_planes for float maps (slice, class, height, width): linear, to slices of `shape`."""
    if tuple(maps.shape[2:]) == shape:
        return maps
    return maps[:, :, : shape[0], : shape[1]] if data.fit == "pad" else _resize(maps, shape).clamp(0, 1)


def _resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)


class SliceDataset(Dataset[dict[str, Any]]):
    """Labelled slices for training; indexed by (epoch, index), from which alone its augmentation is drawn.

    An item: image float32 (channel, height, width), maps float32 (class, height, width), presence float32 (class,),
    keep float32 (1, height, width) that is 0 where a voxel is to be ignored, name.
    cache_bytes: memory to keep slices in at the network's size, in each process that loads.
    """

    def __init__(
        self, store: Store, scans: list[str], data: SliceData, augment: str, seed: int, cache_bytes: int = 0
    ) -> None:
        self.store, self.data, self.seed = store, data, seed
        self.cache = ArrayCache(cache_bytes)
        rows = store.slices[store.slices["scan"].isin(scans)]
        self.items: list[tuple[str, int]] = list(zip(rows["scan"], rows["z"].tolist(), strict=True))
        self.positive = (rows[list(store.classes)] > 0).any(axis=1).to_numpy()
        self.pipeline = slice_pipeline(augment, square=data.size[0] == data.size[1])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        name, z = self.items[index]
        scan = self.store.scan(name)
        unit, targets = slice_window(scan, z, self.data, self.cache), self._targets(scan, z)
        unit, targets = augment_slice(self.pipeline, unit, targets, (self.seed, epoch, index))
        image = normalizer(self.data.normalize, scan).finish(unit)
        return {
            "image": torch.from_numpy(image),
            "maps": torch.from_numpy(targets[:-1].astype(np.float32)),
            "presence": torch.from_numpy(targets[:-1].any(axis=(1, 2)).astype(np.float32)),
            "keep": torch.from_numpy(1 - targets[-1:].astype(np.float32)),
            "name": f"{name}/{z}",
        }

    def _targets(self, scan: Scan, z: int) -> NDArray[np.uint8]:
        """The masks and, last, what is to be ignored, at the network's size: (class + 1, height, width)."""
        shape = (len(scan.classes) + 1, *self.data.size)
        bits = self.cache.get(("targets", scan.name, z), lambda: self._packed_targets(scan, z))
        return np.unpackbits(bits, count=math.prod(shape)).reshape(shape)

    def _packed_targets(self, scan: Scan, z: int) -> NDArray[np.uint8]:
        if scan.masks is None:
            raise DataError(f"scan {scan.name} has no labels, so it can't train")
        masks = unpack_masks(np.asarray(scan.masks[z]), len(scan.classes))
        ignore = np.zeros(masks.shape[1:], np.bool_) if scan.ignore is None else np.asarray(scan.ignore[z])
        targets = torch.from_numpy(np.concatenate([masks, ignore[None]]).astype(np.float32))
        return np.packbits(fit_planes(targets, self.data, scan.name).numpy() >= 0.5)
