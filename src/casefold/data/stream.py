"""Training straight from DICOM folders that do not fit in memory: slices or patches, without config, store or pipeline.

Only the files of the slices that an item needs are opened. Values are in the files' own unit (HU), or 0..1 of a window.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from casefold.config.datasets import DicomDataset
from casefold.core import ConfigError, DataError
from casefold.readers import RawScan, Report, dicom, refuse
from casefold.readers.dicom.faults import quiet
from casefold.readers.dicom.rescale import rescaled
from casefold.readers.dicom.series import Series
from casefold.readers.dicom.slices import check_doubles, read_labels, read_slices

log = logging.getLogger(__name__)

Key = int | tuple[int, int]
Window = tuple[float, float] | None


class DicomSlices(Dataset[dict[str, Any]]):
    """Every slice of every series below a folder, with its neighbours as channels; headers are read at once.

    offsets: the neighbours; past either end the end slice repeats. window: (centre, width), clipped to 0..1. fields:
    words of the data set's config, as `kinds`, `case`, `gaps`; with `classes` and `masks` only labelled series count,
    and the folder `test` is left out. report: gets each fault; faulty series are left out where it returns.
    An item: image float32 (channel, height, width), offset by offset, maps float32 (class, height, width) where there
    are labels, name. Series of one size fit one batch.
    """

    def __init__(
        self,
        folder: str | Path,
        offsets: Sequence[int] = (0,),
        window: Window = None,
        report: Report = refuse,
        **fields: Any,
    ) -> None:
        self.config, self.scans = _open(Path(folder), report, fields)
        self.offsets, self.window = tuple(offsets), _checked(window)
        self.ends = list(accumulate(_series(raw).grid.shape[0] for raw in self.scans))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, key: Key) -> dict[str, Any]:
        _, place, z = _locate(key, self.ends)
        raw = self.scans[place]
        last = _series(raw).grid.shape[0] - 1
        image = _image(raw, [min(max(z + offset, 0), last) for offset in self.offsets], self.window)
        item = {"image": image.transpose(0, 1).flatten(0, 1), "name": f"{raw.name}/{z}"}
        return item if self.config.masks is None else {**item, "maps": _maps(self.config, raw, [z])[:, 0]}


class DicomPatches(Dataset[dict[str, Any]]):
    """Random patches of the series below a folder, `per_scan` a series; arguments are those of `DicomSlices`.

    size: (z, y, x) in voxels. Where a patch lies is drawn from (seed, epoch, index) alone; an index without an epoch
    is one of epoch 0. A series smaller than the patch is filled up at the far ends with the patch's lowest value.
    An item: image float32 (channel, z, y, x), maps float32 (class, z, y, x) where there are labels, name.
    """

    def __init__(
        self,
        folder: str | Path,
        size: tuple[int, int, int],
        per_scan: int = 8,
        window: Window = None,
        seed: int = 0,
        report: Report = refuse,
        **fields: Any,
    ) -> None:
        self.config, self.scans = _open(Path(folder), report, fields)
        self.size, self.window, self.seed = size, _checked(window), seed
        self.ends = [per_scan * (place + 1) for place in range(len(self.scans))]

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, key: Key) -> dict[str, Any]:
        epoch, place, within = _locate(key, self.ends)
        raw = self.scans[place]
        index = within + (self.ends[place - 1] if place else 0)
        shape, rng = _series(raw).grid.shape, np.random.default_rng([self.seed, epoch, index])
        corner = [int(rng.integers(0, max(0, most - side) + 1)) for most, side in zip(shape, self.size, strict=True)]
        z, y, x = (slice(start, start + side) for start, side in zip(corner, self.size, strict=True))
        planes = range(*z.indices(shape[0]))
        image = _image(raw, planes, self.window, (y, x))
        item = {"image": self._filled(image, float(image.min())), "name": f"{raw.name}/{corner}"}
        if self.config.masks is None:
            return item
        return {**item, "maps": self._filled(_maps(self.config, raw, planes)[:, :, y, x], 0.0)}

    def _filled(self, volume: Tensor, value: float) -> Tensor:
        whole = torch.full((volume.shape[0], *self.size), value)
        whole[:, : volume.shape[1], : volume.shape[2], : volume.shape[3]] = volume
        return whole


class DicomStream(IterableDataset[dict[str, Any]]):
    """The items of `DicomSlices` or `DicomPatches` in an order drawn from (seed, epoch), once each over all workers.

    The series are dealt out to the workers of the DataLoader, and before that to the ranks where several processes
    train; their lengths may then differ. Set `epoch` before each pass: it reaches workers that are running already.
    """

    def __init__(self, items: DicomSlices | DicomPatches, seed: int = 0, rank: int = 0, ranks: int = 1) -> None:
        self.items, self.seed, self.rank, self.ranks = items, seed, rank, ranks
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The number of the pass."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, epoch, ends = get_worker_info(), self.epoch, self.items.ends
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        share, shares = self.rank * workers + number, self.ranks * workers
        scans = np.random.default_rng([self.seed, epoch]).permutation(len(ends))[share::shares]
        mine = [index for scan in scans for index in range(ends[scan - 1] if scan else 0, ends[scan])]
        for index in np.random.default_rng([self.seed, epoch, share]).permutation(mine):
            yield self.items[epoch, int(index)]


def _open(folder: Path, report: Report, fields: dict[str, Any]) -> tuple[DicomDataset, list[RawScan]]:
    config = DicomDataset(reader="dicom", root=".", **{"classes": ("none",), **fields})
    labelled = config.masks is not None
    found = dicom.find(config, folder, "train", None if labelled else folder, report)
    scans = [raw for raw in found if raw.labelled or not labelled]
    for raw in scans:
        for text in _series(raw).notes:
            log.warning("%s", text)
        with quiet(raw.name):
            check_doubles(raw, read_slices(raw, sorted({z for z, _ in _series(raw).doubles})), report)
    if not scans:
        raise DataError(f"no {'labelled ' if labelled else ''}DICOM series below {folder}")
    return config, scans


def _checked(window: Window) -> Window:
    if window is not None and window[1] <= 0:
        raise ConfigError(f"window is (centre, width) with a width above 0, not {window}")
    return window


def _series(raw: RawScan) -> Series:
    series: Series = raw.details["series"]
    return series


def _locate(key: Key, ends: list[int]) -> tuple[int, int, int]:
    """Epoch, scan and item within the scan of a key, an index or (epoch, index)."""
    epoch, index = key if isinstance(key, tuple) else (0, key)
    if not 0 <= index < ends[-1]:
        raise IndexError(f"item {index} of {ends[-1]}")
    place = bisect_right(ends, index)
    return epoch, place, index - (ends[place - 1] if place else 0)


def _image(
    raw: RawScan, planes: Sequence[int], window: Window, part: tuple[slice, slice] = (slice(None), slice(None))
) -> Tensor:
    """A part (y, x) of some slices, rescaled: float32 (channel, len(planes), y, x)."""
    frames = _series(raw).frames
    with quiet(raw.name, logging.DEBUG):
        stored = read_slices(raw, dict.fromkeys(planes))
    values: NDArray[np.float32] = np.stack(
        [rescaled(stored[z][part], frames[z].slope, frames[z].intercept) for z in planes]
    )
    if window is not None:
        centre, width = window
        values = np.clip((values - (centre - width / 2)) / width, 0, 1).astype(np.float32)
    return torch.from_numpy(values[None] if values.ndim == 3 else np.ascontiguousarray(values.transpose(3, 0, 1, 2)))


def _maps(config: DicomDataset, raw: RawScan, planes: Sequence[int]) -> Tensor:
    return torch.from_numpy(read_labels(config, raw, planes).astype(np.float32))
