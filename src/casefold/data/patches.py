"""3D: scans on the network's grid, patches drawn from them, and maps brought back to the scan's own grid."""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from casefold.config.experiments import PatchSampler, VolumeData
from casefold.core import DataError, Grid, Scan
from casefold.data.augment import augment_patch, patch_pipeline
from casefold.data.normalize import normalizer
from casefold.store import Store

CACHE_BYTES = 2 << 30


def network_shape(grid: Grid, data: VolumeData) -> tuple[int, int, int]:
    """The scan's shape on the network's grid; raises DataError for a spacing in mm where the scan has none."""
    if data.spacing_mm is not None:
        if grid.spacing_mm is None:
            raise DataError("data.spacing_mm wants a known spacing, and this scan has none; use data.zoom (voxels)")
        zoom = [have / want for have, want in zip(grid.spacing_mm, data.spacing_mm, strict=True)]
    else:
        zoom = list(data.zoom or (1.0, 1.0, 1.0))
    z, y, x = (max(1, round(size * factor)) for size, factor in zip(grid.shape, zoom, strict=True))
    return z, y, x


def unit_volume(scan: Scan, data: VolumeData) -> Tensor:
    """The whole scan on the network's grid, 0..1: float32 (modality, z, y, x)."""
    unit = torch.from_numpy(normalizer(data.normalize, scan).to_unit(np.asarray(scan.image)))
    return resample(unit, network_shape(scan.grid, data))


def finish_volume(unit: Tensor, scan: Scan, data: VolumeData) -> Tensor:
    """From 0..1 to what the network sees."""
    return torch.from_numpy(normalizer(data.normalize, scan).finish(unit.numpy()))


def resample(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """A float volume (channel, z, y, x) brought to `shape` linearly; the same shape gives it back untouched."""
    if tuple(volume.shape[1:]) == shape:
        return volume
    return F.interpolate(volume[None], shape, mode="trilinear", align_corners=False)[0]


class PatchDataset(Dataset[dict[str, Any]]):
    """Patches of labelled scans, `per_scan` a scan; indexed by (epoch, index), from which alone everything is drawn.

    An item: image float32 (modality, z, y, x), maps float32 (class, z, y, x), keep float32 (1, z, y, x), name.
    A scan smaller than the patch is padded with the scan's lowest intensity. Resampled scans stay in memory up to
    CACHE_BYTES.
    """

    def __init__(
        self, store: Store, scans: list[str], data: VolumeData, sampler: PatchSampler, augment: str, seed: int
    ) -> None:
        self.store, self.scans, self.data, self.sampler, self.seed = store, scans, data, sampler, seed
        self.pipeline = patch_pipeline(augment)
        self._volumes: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.scans) * self.sampler.per_scan

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        name = self.scans[index // self.sampler.per_scan]
        unit, targets = self._volume(name)
        rng = np.random.default_rng([self.seed, epoch, index, 1])
        patch = self.data.patch or (unit.shape[1], unit.shape[2], unit.shape[3])
        corner = self._corner(targets[:-1], patch, rng)
        unit, targets = cut(unit, corner, patch), cut(targets, corner, patch).float()
        unit, targets = augment_patch(self.pipeline, unit, targets, (self.seed, epoch, index))
        image = finish_volume(unit, self.store.scan(name), self.data)
        return {"image": image, "maps": targets[:-1], "keep": 1 - targets[-1:], "name": f"{name}/{corner}"}

    def _corner(self, masks: Tensor, patch: tuple[int, int, int], rng: np.random.Generator) -> list[int]:
        room = [max(0, size - wanted) for size, wanted in zip(masks.shape[1:], patch, strict=True)]
        present = [index for index, mask in enumerate(masks) if mask.any()]
        if present and rng.random() < self.sampler.positive_share:
            where = np.flatnonzero(masks[rng.choice(present)].numpy())
            centre = np.unravel_index(rng.choice(where), masks.shape[1:])
            jitter = [rng.integers(-(wanted // 4), wanted // 4 + 1) for wanted in patch]
            wish = [int(c + j) - p // 2 for c, j, p in zip(centre, jitter, patch, strict=True)]
            return [min(max(start, 0), most) for start, most in zip(wish, room, strict=True)]
        return [int(rng.integers(0, most + 1)) for most in room]

    def _volume(self, name: str) -> tuple[Tensor, Tensor]:
        if name in self._volumes:
            self._volumes.move_to_end(name)
            return self._volumes[name]
        scan = self.store.scan(name)
        masks = torch.from_numpy(scan.class_masks())
        ignore = torch.zeros_like(masks[:1]) if scan.ignore is None else torch.from_numpy(np.array(scan.ignore))[None]
        targets = torch.cat([masks, ignore])
        shape = network_shape(scan.grid, self.data)
        if shape != scan.grid.shape:
            targets = resample(targets.float(), shape) >= 0.5
        pair = unit_volume(scan, self.data), targets.to(torch.uint8)
        self._volumes[name] = pair
        self._bytes += sum(t.nbytes for t in pair)
        while self._bytes > CACHE_BYTES and len(self._volumes) > 1:
            _, old = self._volumes.popitem(last=False)
            self._bytes -= sum(t.nbytes for t in old)
        return pair


def cut(volume: Tensor, corner: list[int], patch: tuple[int, int, int]) -> Tensor:
    """A patch (channel, *patch) at a corner, padded with zeros at the far ends where the volume stops."""
    z, y, x = corner
    piece = volume[:, z : z + patch[0], y : y + patch[1], x : x + patch[2]]
    short = [wanted - size for size, wanted in zip(piece.shape[1:], patch, strict=True)]
    return F.pad(piece, (0, short[2], 0, short[1], 0, short[0])) if any(short) else piece.clone()
