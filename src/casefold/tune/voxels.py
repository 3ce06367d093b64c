"""What the search reads of a scan: by class, the few voxels that a member finds or the truth has, and nothing else.

A voxel that no member gives `floor` can't reach a level of `floor` or more in any mean of the members, so leaving it
out changes no mask and no score.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from casefold.config.ensembles import Gate
from casefold.core import DataError, Prediction, Scan, Triple
from casefold.ensemble import gate_signal
from casefold.files import write_bytes
from casefold.postprocess.part import smallest_box

Scalar = TypeVar("Scalar", bound=np.generic)
Bytes = NDArray[np.uint8]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Voxels:
    """One class of one scan, its voxels in the order of the flat grid. q: (member, voxel). truth, counted: (voxel,).

    box: the smallest one (z, y, x) round all voxels, empty without any. edges: where each slice's voxels begin, and
    where the last ones end, z + 1. signal: the gate's, (z,), 0 without a gate. counted: False where a voxel is ignored.
    """

    path: Path
    c: int
    shape: tuple[int, int, int]
    spacing_mm: Triple | None
    box: Box
    edges: NDArray[np.int64]
    q: Bytes
    truth: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    signal: NDArray[np.int64]

    @property
    def row(self) -> NDArray[np.uint16]:
        """The slice that each voxel lies on."""
        return np.repeat(np.arange(self.shape[0], dtype=np.uint16), np.diff(self.edges))

    @cached_property
    def index(self) -> NDArray[np.int32]:
        """Where each voxel is on the flat grid, ascending; read when it is asked for, as tables do without."""
        with safe_open(self.path, "numpy") as content:
            return np.asarray(content.get_tensor(f"{self.c}.index"))

    @cached_property
    def place(self) -> NDArray[np.int32]:
        """Where each voxel is on the box's own flat grid."""
        line = self.index // np.int32(self.shape[2])  # of pixels along x, in the whole scan
        z, y = np.divmod(np.arange(self.shape[0] * self.shape[1]), self.shape[1])
        deep, high, wide = self.box
        moved = (z - deep.start) * (high.stop - high.start) + y - high.start
        moved = moved * (wide.stop - wide.start) - wide.start - self.shape[2] * np.arange(len(z))
        return np.asarray(self.index + moved.astype(np.int32)[line], np.int32)

    def by_slice(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many voxels of each slice of the scan a mask of the box holds."""
        counts = np.zeros(self.shape[0], np.int64)
        counts[self.box[0]] = [np.count_nonzero(plane) for plane in mask]
        return counts

    def boxed(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """A value for each voxel as an array (z, y, x) of the box, 0 elsewhere."""
        within = np.zeros([side.stop - side.start for side in self.box], values.dtype)
        within.reshape(-1)[self.place] = values
        return within


def gather(
    scan: Scan,
    predictions: Mapping[str, Prediction],
    segmenters: Sequence[str],
    gate: Gate | None,
    floor: int,
    path: Path,
) -> None:
    """Write what the search reads of a scan to one file. segmenters: in the order that `q` will have.

    Raises DataError for a member without maps, and for masks of another grid.
    """
    maps = [_maps(predictions[name], scan) for name in segmenters]
    truth = scan.class_masks()
    signal = np.zeros(truth.shape[:2], np.int64)
    if gate is not None:
        signal = gate_signal(predictions, gate.members, gate.source, gate.along_z, scan.classes)
    arrays: dict[str, NDArray[np.generic]] = {"signal": signal}
    about = {"shape": ",".join(map(str, scan.grid.shape))}
    for c in range(len(scan.classes)):
        found = truth[c].copy()
        for q in maps:
            found |= q[c] >= floor
        index = np.flatnonzero(found).astype(np.int32)
        arrays[f"{c}.index"] = index
        arrays[f"{c}.q"] = np.stack([q[c].reshape(-1)[index] for q in maps])
        arrays[f"{c}.truth"] = truth[c].reshape(-1)[index]
        if scan.ignore is not None:
            arrays[f"{c}.counted"] = ~np.asarray(scan.ignore).reshape(-1)[index]
        slices = np.arange(scan.grid.shape[0] + 1) * math.prod(scan.grid.shape[1:])
        arrays[f"{c}.edges"] = np.searchsorted(index, slices.astype(index.dtype))
        box = smallest_box(found) or (slice(0, 0),) * 3
        about[f"{c}.box"] = ",".join(f"{side.start},{side.stop}" for side in box)
        distances_path(path, c).unlink(missing_ok=True)
    spacing = scan.grid.spacing_mm
    if spacing is not None:
        about["spacing_mm"] = ",".join(map(repr, spacing))
    write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, about))


def distances_path(path: Path, c: int) -> Path:
    """Where the distances of one class's masks are kept, beside what `gather` wrote."""
    return path.with_name(f"{path.name}.{c}.distances")


def load_voxels(path: Path, c: int) -> Voxels:
    """One class of what `gather` wrote."""
    with safe_open(path, "numpy") as content:
        about = content.metadata()
        z, y, x = (int(word) for word in about["shape"].split(","))
        spacing: Triple | None = None
        if "spacing_mm" in about:
            deep, high, wide = (float(word) for word in about["spacing_mm"].split(","))
            spacing = deep, high, wide
        sides = [int(word) for word in about[f"{c}.box"].split(",")]
        box = slice(*sides[:2]), slice(*sides[2:4]), slice(*sides[4:])
        edges, q, truth = (content.get_tensor(f"{c}.{name}") for name in ("edges", "q", "truth"))
        name = f"{c}.counted"
        counted = content.get_tensor(name) if name in content.keys() else np.broadcast_to(np.True_, truth.shape)
        signal = content.get_tensor("signal")[c]
    return Voxels(path, c, (z, y, x), spacing, box, edges, q, truth, counted, signal)


def _maps(prediction: Prediction, scan: Scan) -> Bytes:
    if prediction.maps is None:
        raise DataError(f"{prediction.member} predicts no maps, so it can't be weighed; name it as a gate")
    if prediction.maps.shape[1:] != scan.grid.shape:
        raise DataError(
            f"{prediction.member}: maps of {prediction.maps.shape[1:]} for {scan.name} on {scan.grid.shape}"
        )
    return prediction.maps
