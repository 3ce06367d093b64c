"""2.5D: a window of slices as channels, at the network's size, and maps brought back to the scan's grid."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from casefold.config.inputs import SliceData
from casefold.config.presence import IS_THERE, CutOff, PresenceTarget
from casefold.core import DataError, Scan, Triple, unpack_masks
from casefold.data.cache import ArrayCache
from casefold.data.normalize import Floats, normalizer
from casefold.data.presence import footward
from casefold.store import Store
from casefold.views import Box, refuse_without_boxes, view_scan, whole_box


def slice_window(scan: Scan, z: int, data: SliceData, cache: ArrayCache | None = None) -> Floats:
    """Slice z and its neighbours, 0..1, at the config's size: (len(window) * modality, height, width).

    Channels go offset by offset, all modalities of an offset together; past either end the end slice repeats.
    cache: keeps each slice at that size.
    """
    keep = cache or ArrayCache(0)
    numbers = normalizer(data.normalize, scan)

    def unit_slice(z: int) -> Floats:
        unit = torch.from_numpy(numbers.to_unit(np.asarray(scan.image[:, z])))
        return fit_planes(unit, data, scan.name, scan.grid.spacing_mm).numpy()

    last = scan.grid.shape[0] - 1
    planes = [min(max(z + offset, 0), last) for offset in data.window]
    return np.concatenate([keep.get(("image", scan.name, at), partial(unit_slice, at)) for at in planes])


def slice_input(scan: Scan, z: int, data: SliceData, cache: ArrayCache | None = None) -> Tensor:
    """What the network reads for slice z without augmentation: float32 (channel, height, width)."""
    return torch.from_numpy(normalizer(data.normalize, scan).finish(slice_window(scan, z, data, cache)))


def fit_planes(planes: Tensor, data: SliceData, name: str, spacing_mm: Triple | None = None) -> Tensor:
    """Planes (channel, height, width) to the config's size.

    spacing_mm: of the scan in this plane. Raises DataError where `fit: pad` meets a larger slice, and where
    `fit: square` knows no spacing.
    """
    if data.fit == "square":
        inner = square_size(data, (planes.shape[1], planes.shape[2]), name, spacing_mm)
        planes = planes if planes.shape[1:] == inner else _resize(planes[None], inner)[0]
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


def square_size(data: SliceData, shape: tuple[int, int], name: str, spacing_mm: Triple | None) -> tuple[int, int]:
    """The size within the config's at which a slice of `shape` has pixels as high as wide in mm, to a pixel."""
    if spacing_mm is None:
        raise DataError(f"{name}: data.fit square wants a known spacing, which is missing; write data.fit: resize")
    high_mm, wide_mm = shape[0] * spacing_mm[1], shape[1] * spacing_mm[2]
    px_a_mm = min(data.size[0] / high_mm, data.size[1] / wide_mm)
    return max(1, round(high_mm * px_a_mm)), max(1, round(wide_mm * px_a_mm))


def to_grid(
    maps: Tensor, data: SliceData, shape: tuple[int, int], name: str = "", spacing_mm: Triple | None = None
) -> Tensor:
    """The reverse of fit_planes for float maps (slice, class, height, width): linear, to slices of `shape`."""
    if data.fit == "square":
        height, width = square_size(data, shape, name, spacing_mm)
        maps = maps[:, :, :height, :width]
    if tuple(maps.shape[2:]) == shape:
        return maps
    return maps[:, :, : shape[0], : shape[1]] if data.fit == "pad" else _resize(maps, shape).clamp(0, 1)


def cut_patch(
    unit: Floats, targets: NDArray[np.uint8], size: tuple[int, int] | None, key: tuple[int, ...]
) -> tuple[Floats, NDArray[np.uint8]]:
    """Planes and their targets, of both the part (height, width) that the key draws; without a size the whole."""
    if size is None:
        return unit, targets
    rng = np.random.default_rng([*key, 1])
    y, x = (int(rng.integers(0, whole - side + 1)) for whole, side in zip(unit.shape[1:], size, strict=True))
    here = (slice(None), slice(y, y + size[0]), slice(x, x + size[1]))
    return unit[here], targets[here]


def _resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)


def near_edges(annotated: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The `count` slices on either side of where a class begins and ends in a scan: (z, class), as `annotated` is.

    It begins with its first annotated slice and ends with its last; where that is the scan's own there is no edge.
    """
    near = np.zeros_like(annotated)
    for index in np.flatnonzero(annotated.any(axis=0)):
        inside = np.flatnonzero(annotated[:, index])
        for edge in (inside[0], inside[-1] + 1):
            if 0 < edge < len(annotated):
                near[max(0, edge - count) : edge + count, index] = True
    return near


class SliceDataset(Dataset[dict[str, Any]]):
    """Labelled slices for training, of any plane; indexed by (epoch, index), from which alone augmentation is drawn.

    An item: image float32 (channel, height, width), maps float32 (class, height, width), presence float32 (class,),
    keep float32 (1, height, width) that is 0 where a voxel is to be ignored, name; all of the slice's `train_patch`,
    where the config has one. Past the last item the indices begin again with the first, augmented otherwise.
    boxes: by scan what `data.crop` leaves of it. target: what presence says; slices of which it says something are the
    positive ones.
    cache_bytes: memory to keep slices in at the network's size, in each process that loads. ignore_edges: slices on
    either side of a class's edges (`near_edges`) whose keep is 0: keep is then (class, height, width), or, where the
    classes are `exclusive` (softmax), 0 for all of them.
    """

    def __init__(
        self, store: Store, scans: list[str], data: SliceData, augment: str, seed: int, cache_bytes: int = 0,
        ignore_edges: int = 0, exclusive: bool = False, boxes: Mapping[str, Box] | None = None,
        target: PresenceTarget = IS_THERE,
    ) -> None:  # fmt: skip
        from casefold.data.augment import augment_slice, slice_pipeline  # albumentations, which predicting goes without

        self.augment = augment_slice
        self.store, self.data, self.seed = store, data, seed
        self.cache = ArrayCache(cache_bytes)
        self.boxes = boxes or {}
        refuse_without_boxes(data.crop, scans, self.boxes)
        rows = self._rows(scans)
        self.items: list[tuple[str, int]] = list(zip(rows["scan"], rows["z"].tolist(), strict=True))
        annotated: NDArray[np.bool_] = (rows[list(store.classes)] > 0).to_numpy()
        self.cut_off = self._cut_off(rows, target) if isinstance(target, CutOff) else None
        annotated = annotated if self.cut_off is None else self.cut_off
        self.positive: NDArray[np.bool_] = np.logical_or.reduce(annotated, axis=1)
        self.cases: list[str] = rows["case"].tolist()
        self.counts: NDArray[np.bool_] = np.ones((len(rows), 1), np.bool_)  # in losses on maps: (item, 1 or class)
        if ignore_edges > 0:
            near = np.zeros_like(annotated)
            for places in rows.groupby("scan", sort=False).indices.values():
                near[places] = near_edges(annotated[places], ignore_edges)
            self.counts = ~np.logical_or.reduce(near, axis=1, keepdims=True) if exclusive else ~near
        self.pipeline = slice_pipeline(augment, square=data.size[0] == data.size[1])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        place = index % len(self.items)
        name, z = self.items[place]
        scan = self._scan(name)
        unit, targets = slice_window(scan, z, self.data, self.cache), self._targets(scan, z)
        unit, targets = self.augment(self.pipeline, unit, targets, (self.seed, epoch, index))
        unit, targets = cut_patch(unit, targets, self.data.train_patch, (self.seed, epoch, index))
        image = normalizer(self.data.normalize, scan).finish(unit)
        presence = targets[:-1].any(axis=(1, 2)) if self.cut_off is None else self.cut_off[place]
        return {
            "image": torch.from_numpy(image),
            "maps": torch.from_numpy(targets[:-1].astype(np.float32)),
            "presence": torch.from_numpy(presence.astype(np.float32)),
            "keep": torch.from_numpy((1 - targets[-1:]) * self.counts[place, :, None, None].astype(np.float32)),
            "name": f"{name}/{z}" if self.data.plane == "axial" else f"{name}/{self.data.plane} {z}",
        }

    def _scan(self, name: str) -> Scan:
        """A scan as the network sees it."""
        scan = self.store.scan(name)
        return view_scan(scan, self.boxes.get(name, whole_box(scan.grid.shape)), self.data.plane)

    def _rows(self, scans: list[str]) -> pd.DataFrame:
        """A row a slice: case, scan, its number as `z`, and by class whether it is there (above 0)."""
        rows = self.store.slices[self.store.slices["scan"].isin(scans)]
        if self.data.plane == "axial" and self.data.crop is None:
            return rows
        tables = [rows.iloc[:0]]
        for name in dict.fromkeys(rows["scan"]):
            bits = np.bitwise_or.reduce(_labels(self._scan(name)), axis=(1, 2))
            table = {"case": self.store.case_of[name], "scan": name, "z": range(len(bits))}
            on = unpack_masks(bits, len(self.store.classes)).astype(np.int64)
            tables.append(pd.DataFrame(table | dict(zip(self.store.classes, on, strict=True))))
        return pd.concat(tables, ignore_index=True)

    def _cut_off(self, rows: pd.DataFrame, target: CutOff) -> NDArray[np.bool_]:
        """By row and class, whether the slice lies footward of labels that were cut off: by whole slices' areas."""
        found = np.zeros((len(rows), len(self.store.classes)), np.bool_)
        areas = self.store.slices.set_index("scan")[list(self.store.classes)]
        for name, places in rows.groupby("scan", sort=False).indices.items():
            found[places] = footward(areas.loc[[name]].to_numpy(), target)
        return found

    def _targets(self, scan: Scan, z: int) -> NDArray[np.uint8]:
        """The masks and, last, what is to be ignored, at the network's size: (class + 1, height, width)."""
        shape = (len(scan.classes) + 1, *self.data.size)
        bits = self.cache.get(("targets", scan.name, z), lambda: self._packed_targets(scan, z))
        return np.unpackbits(bits, count=math.prod(shape)).reshape(shape)

    def _packed_targets(self, scan: Scan, z: int) -> NDArray[np.uint8]:
        masks = unpack_masks(np.asarray(_labels(scan)[z]), len(scan.classes))
        ignore = np.zeros(masks.shape[1:], np.bool_) if scan.ignore is None else np.asarray(scan.ignore[z])
        targets = torch.from_numpy(np.concatenate([masks, ignore[None]]).astype(np.float32))
        return np.packbits(fit_planes(targets, self.data, scan.name, scan.grid.spacing_mm).numpy() >= 0.5)


def _labels(scan: Scan) -> NDArray[Any]:
    if scan.masks is None:
        raise DataError(f"scan {scan.name} has no labels, so it can't train")
    return scan.masks
