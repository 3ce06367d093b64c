"""What the search reads of a scan: by class, the few voxels that a member finds or the truth has, and nothing else.

A voxel that no member gives `floor` can't reach a level of `floor` or more in any mean of the members, so leaving it
out changes no mask and no score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from casefold.config.ensembles import Gate
from casefold.core import DataError, Prediction, Scan, Triple
from casefold.ensemble import gate_signal
from casefold.files import write_bytes

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Voxels:
    """One class of one scan. index: where on the flat grid, ascending. q: (member, voxel). truth, counted: (voxel,).

    row: the slice of each voxel. signal: the gate's, (z,), 0 without a gate. counted: False where a voxel is ignored.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple | None
    index: NDArray[np.int32]
    q: Bytes
    truth: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    signal: NDArray[np.int64]

    @property
    def row(self) -> NDArray[np.int32]:
        """The slice that each voxel lies on."""
        return self.index // np.int32(self.shape[1] * self.shape[2])

    def mask(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The chosen voxels as a mask on the whole grid, bool (z, y, x)."""
        whole = np.zeros(self.shape, np.bool_)
        whole.reshape(-1)[self.index[chosen]] = True
        return whole


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
    ignore = np.zeros(scan.grid.shape, np.bool_) if scan.ignore is None else np.asarray(scan.ignore)
    signal = np.zeros(truth.shape[:2], np.int64)
    if gate is not None:
        signal = gate_signal(predictions, gate.members, gate.source).astype(np.int64)
    arrays: dict[str, NDArray[np.generic]] = {"signal": signal}
    for c in range(len(scan.classes)):
        found = truth[c].copy()
        for q in maps:
            found |= q[c] >= floor
        index = np.flatnonzero(found).astype(np.int32)
        arrays[f"{c}.index"] = index
        arrays[f"{c}.q"] = np.stack([q[c].reshape(-1)[index] for q in maps])
        arrays[f"{c}.truth"] = truth[c].reshape(-1)[index]
        arrays[f"{c}.counted"] = ~ignore.reshape(-1)[index]
    spacing = scan.grid.spacing_mm
    about = {"shape": ",".join(map(str, scan.grid.shape))}
    if spacing is not None:
        about["spacing_mm"] = ",".join(map(repr, spacing))
    write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, about))


def load_voxels(path: Path, c: int) -> Voxels:
    """One class of what `gather` wrote."""
    with safe_open(path, "numpy") as content:
        about = content.metadata()
        z, y, x = (int(word) for word in about["shape"].split(","))
        spacing: Triple | None = None
        if "spacing_mm" in about:
            deep, high, wide = (float(word) for word in about["spacing_mm"].split(","))
            spacing = deep, high, wide
        index, q, truth, counted = (content.get_tensor(f"{c}.{name}") for name in ("index", "q", "truth", "counted"))
        return Voxels((z, y, x), spacing, index, q, truth, counted, content.get_tensor("signal")[c])


def _maps(prediction: Prediction, scan: Scan) -> Bytes:
    if prediction.maps is None:
        raise DataError(f"{prediction.member} predicts no maps, so it can't be weighed; name it as a gate")
    if prediction.maps.shape[1:] != scan.grid.shape:
        raise DataError(
            f"{prediction.member}: maps of {prediction.maps.shape[1:]} for {scan.name} on {scan.grid.shape}"
        )
    return prediction.maps
