"""3D: scans on the network's grid, patches drawn from them, and maps brought back to the scan's own grid."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from casefold.config.inputs import VolumeData
from casefold.config.sampling import PatchSampler, share_at
from casefold.core import DataError, Grid, Scan, mask_type
from casefold.data.cache import ArrayCache
from casefold.data.memory import give_back_freed
from casefold.data.normalize import normalizer
from casefold.store import Store
from casefold.views import Box, crop_scan, refuse_without_boxes

Shape = tuple[int, int, int]
PIECE = 16  # slices resampled at a time
BITS = 24  # of a whole number that float32 holds exactly
LARGE_VOXELS = 1 << 20  # of a patch whose arrays are worth giving back


def network_shape(grid: Grid, data: VolumeData) -> Shape:
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
    numbers = normalizer(data.normalize, scan)
    return _resampled(
        lambda planes: torch.from_numpy(numbers.to_unit(np.asarray(scan.image[:, planes]))),
        scan.grid.shape,
        network_shape(scan.grid, data),
    )


def finish_volume(unit: Tensor, scan: Scan, data: VolumeData) -> Tensor:
    """From 0..1 to what the network sees."""
    return torch.from_numpy(normalizer(data.normalize, scan).finish(unit.numpy()))


def resample(volume: Tensor, shape: Shape) -> Tensor:
    """A float volume (channel, z, y, x) brought to `shape` linearly; the same shape gives it back untouched."""
    if tuple(volume.shape[1:]) == shape:
        return volume
    return F.interpolate(volume[None], shape, mode="trilinear", align_corners=False)[0]


def _resampled(read: Callable[[slice], Tensor], have: Shape, want: Shape) -> Tensor:
    """What `read` gives of a range of z, resampled: in pieces where only y and x change, for then slices do not mix."""
    if have == want or have[0] != want[0]:
        return resample(read(slice(None)), want)
    whole: Tensor | None = None
    for start in range(0, want[0], PIECE):
        piece = slice(start, min(start + PIECE, want[0]))
        part = resample(read(piece), (piece.stop - start, *want[1:]))
        whole = part.new_empty((len(part), *want)) if whole is None else whole
        whole[:, piece] = part
    give_back_freed()
    return cast(Tensor, whole)


@dataclass(frozen=True)
class _Volume:
    """A scan on the network's grid, mapped where it lies on that grid already.

    image: (modality, z, y, x), raw, or 0..1 where `is_unit`. masks: bitfield (z, y, x). ignore: 0 or not, (z, y, x).
    """

    image: NDArray[Any]
    is_unit: bool
    masks: NDArray[Any]
    ignore: NDArray[Any] | None


class PatchDataset(Dataset[dict[str, Any]]):
    """Patches of labelled scans, `per_scan` a scan (or a case, whose scans then take turns from patch to patch and from
    epoch to epoch); indexed by (epoch, index), from which alone everything is drawn.

    An item: image float32 (modality, z, y, x), maps float32 (class, z, y, x), keep float32 (1, z, y, x), name.
    A scan smaller than the patch is padded with the scan's lowest intensity. Of a scan that lies on the network's grid
    only the patch is read. cache_bytes: memory to keep resampled scans in, in each process that loads; one for which
    there is no room is resampled for every patch. epochs: how long a share that is a ramp takes. boxes: by scan what
    `data.crop` leaves of it.
    """

    def __init__(
        self, store: Store, scans: list[str], data: VolumeData, sampler: PatchSampler, augment: str, seed: int,
        cache_bytes: int = 0, epochs: int = 1, boxes: Mapping[str, Box] | None = None,
    ) -> None:  # fmt: skip
        from casefold.data.augment import augment_patch, patch_pipeline  # albumentations, which predicting goes without

        self.augment = augment_patch
        self.store, self.data, self.sampler, self.seed, self.epochs = store, data, sampler, seed, epochs
        self.boxes = boxes or {}
        refuse_without_boxes(data.crop, scans, self.boxes)
        groups: dict[str, list[str]] = {}
        for name in scans:
            groups.setdefault(store.case_of[name] if sampler.by == "case" else name, []).append(name)
        self.groups = list(groups.values())
        self.pipeline = patch_pipeline(augment)
        self.cache = ArrayCache(cache_bytes)
        self._counts: dict[str, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.groups) * self.sampler.per_scan

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        group, turn = divmod(index, self.sampler.per_scan)
        scans = self.groups[group]
        scan = self.store.scan(scans[(epoch * self.sampler.per_scan + turn) % len(scans)])
        scan = crop_scan(scan, self.boxes[scan.name]) if scan.name in self.boxes else scan
        volume = self._volume(scan)
        rng = np.random.default_rng([self.seed, epoch, index, 1])
        z, y, x = volume.masks.shape
        patch = self.data.patch or (z, y, x)
        if math.prod(patch) >= LARGE_VOXELS:
            give_back_freed()
        share = share_at(self.sampler.positive_share, epoch, self.epochs)
        corner = self._corner(scan, volume.masks, patch, share, rng)
        piece = np.array(cut(volume.image, corner, patch))
        if not volume.is_unit:
            piece = normalizer(self.data.normalize, scan).to_unit(piece)
        targets = _as_numbers(cut(volume.masks[None], corner, patch)[0], len(scan.classes))
        if volume.ignore is not None:
            targets = np.concatenate([targets, cut(volume.ignore[None], corner, patch)])
        unit, moved = pad(torch.from_numpy(piece), patch), pad(torch.from_numpy(targets), patch)
        unit, moved = self.augment(self.pipeline, unit, moved, (self.seed, epoch, index))
        return {
            "image": finish_volume(unit, scan, self.data),
            "maps": _from_numbers(moved, len(scan.classes)),
            "keep": torch.ones_like(moved[:1]) if volume.ignore is None else 1 - moved[-1:],
            "name": f"{scan.name}/{corner}",
        }

    def _corner(
        self, scan: Scan, masks: NDArray[Any], patch: Shape, positive_share: float, rng: np.random.Generator
    ) -> list[int]:
        room = [max(0, size - wanted) for size, wanted in zip(masks.shape, patch, strict=True)]
        if scan.name not in self._counts:
            self._counts[scan.name] = _voxels_by_slice(masks, len(scan.classes))
        counts = self._counts[scan.name]
        present = np.flatnonzero(counts.any(axis=1))
        if len(present) and rng.random() < positive_share:
            drawn = rng.choice(present)
            before = np.concatenate([[0], counts[drawn].cumsum()])
            rank = rng.choice(before[-1])
            z = int(np.searchsorted(before, rank, side="right")) - 1
            inside = np.flatnonzero(masks[z] & masks.dtype.type(1 << drawn))[rank - before[z]]
            centre = (z, *divmod(int(inside), masks.shape[2]))
            jitter = [rng.integers(-(wanted // 4), wanted // 4 + 1) for wanted in patch]
            wish = [int(c + j) - p // 2 for c, j, p in zip(centre, jitter, patch, strict=True)]
            return [min(max(start, 0), most) for start, most in zip(wish, room, strict=True)]
        return [int(rng.integers(0, most + 1)) for most in room]

    def _volume(self, scan: Scan) -> _Volume:
        if scan.masks is None:
            raise DataError(f"scan {scan.name} has no labels, so it can't train")
        shape = network_shape(scan.grid, self.data)
        if shape == scan.grid.shape:
            return _Volume(scan.image, False, scan.masks, scan.ignore)
        image = self.cache.get(("image", scan.name), lambda: unit_volume(scan, self.data).numpy())
        on_grid = partial(_resampled_masks, scan.masks, len(scan.classes), shape)
        masks, ignore = self.cache.get(("masks", scan.name), on_grid), None
        if scan.ignore is not None:
            ignore = self.cache.get(("ignore", scan.name), partial(_resampled_masks, scan.ignore, 1, shape))
        return _Volume(image, True, masks, ignore)


def cut(volume: NDArray[Any], corner: list[int], patch: Shape) -> NDArray[Any]:
    """The patch (channel, z, y, x) at a corner, smaller where the volume stops; a view."""
    z, y, x = corner
    return volume[:, z : z + patch[0], y : y + patch[1], x : x + patch[2]]


def pad(piece: Tensor, patch: Shape) -> Tensor:
    """A piece (channel, z, y, x) brought to the patch's size with zeros at the far ends."""
    short = [wanted - size for size, wanted in zip(piece.shape[1:], patch, strict=True)]
    return F.pad(piece, (0, short[2], 0, short[1], 0, short[0])) if any(short) else piece


def _as_numbers(masks: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """A bitfield as float32 (channel, z, y, x), BITS classes a channel; augmentation moves them without mixing."""
    if classes <= BITS:
        return masks.astype(np.float32)[None]
    return np.stack([((masks >> first) & ((1 << BITS) - 1)).astype(np.float32) for first in range(0, classes, BITS)])


def _from_numbers(numbers: Tensor, classes: int) -> Tensor:
    """The reverse: float32 (class, z, y, x), 0 or 1."""
    whole = numbers.to(torch.int32)
    maps = torch.empty((classes, *numbers.shape[1:]))
    for index in range(classes):
        maps[index] = (whole[index // BITS] >> (index % BITS)) & 1
    return maps


def _voxels_by_slice(masks: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """(class, z)."""
    bits = [masks.dtype.type(1 << index) for index in range(classes)]
    return np.array([[np.count_nonzero(plane & bit) for plane in masks] for bit in bits])


def _resampled_masks(masks: NDArray[Any], classes: int, shape: Shape) -> NDArray[Any]:
    """A bitfield (or bool) brought to another grid, class by class: where the linear value is one half or more."""
    kind = mask_type(classes)
    packed = np.zeros(shape, kind)
    for index in range(classes):
        bit = masks.dtype.type(1 << index)

        def mask(planes: slice, bit: Any = bit) -> Tensor:
            return torch.from_numpy(((masks[planes] & bit) != 0).astype(np.float32)[None])

        near = _resampled(mask, masks.shape, shape)[0].numpy() >= 0.5
        packed |= near.astype(kind) << kind(index)
    return packed
