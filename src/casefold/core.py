"""The nouns of the pipeline and what must hold of each; every contract is checked when the noun is made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]
HALF = 128  # the level where nothing has been tuned: a probability of one half


class CasefoldError(Exception):
    """Something a user can mend; the message says what came, what was wanted and what to do."""


class ConfigError(CasefoldError):
    """A configuration that can't be used."""


class DataError(CasefoldError):
    """Raw data, a store or a file of predictions that is not what it should be."""


class LeakError(CasefoldError):
    """A case (or scan) stands on both sides of a split."""


class StaleError(CasefoldError):
    """An earlier result was made from other inputs than those given now."""


@dataclass(frozen=True)
class Grid:
    """Where a scan's voxels lie: shape and spacing in array order (z, y, x), affine (x, y, z) to the world in mm."""

    shape: tuple[int, int, int]
    spacing_mm: Triple | None = None
    affine: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise DataError(f"a grid has three axes (z, y, x) of at least one voxel; this one has shape {self.shape}")
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0):
            raise DataError(f"spacing_mm is three positive lengths (z, y, x) or None, not {self.spacing_mm}")
        if self.affine is not None and np.shape(self.affine) != (4, 4):
            raise DataError(f"an affine is a 4 x 4 matrix, not one of shape {np.shape(self.affine)}")


@dataclass(frozen=True)
class Scan:
    """One volume of a case, with its masks where it is labelled.

    image: (modality, z, y, x), the raw type. masks: bitfield (z, y, x), bit c for classes[c], or None for no labels.
    ignore: bool (z, y, x), voxels that no loss and no score may count, or None. slice_names: one a slice, the ids of a
    submission. statistics: what `intensity.scan_statistics` computes from `image`, one entry a modality, or empty.
    """

    case: str
    name: str
    image: NDArray[Any]
    grid: Grid
    classes: tuple[str, ...]
    slice_names: tuple[str, ...]
    masks: NDArray[Any] | None = None
    ignore: NDArray[np.bool_] | None = None
    statistics: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.image.ndim != 4 or self.image.shape[1:] != self.grid.shape:
            raise DataError(
                f"scan {self.name}: the image should be (modality, z, y, x) on the grid {self.grid.shape}, "
                f"but has shape {self.image.shape}"
            )
        if len(self.slice_names) != self.grid.shape[0]:
            raise DataError(f"scan {self.name}: {len(self.slice_names)} slice names for {self.grid.shape[0]} slices")
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"scan {self.name}: a class is named twice in {list(self.classes)}")
        for what, array in (("masks", self.masks), ("ignore", self.ignore)):
            if array is not None and array.shape != self.grid.shape:
                raise DataError(f"scan {self.name}: {what} of shape {array.shape} on a grid of {self.grid.shape}")

    def class_masks(self) -> NDArray[np.bool_]:
        """The masks as bool (class, z, y, x); raises DataError where the scan has no labels."""
        if self.masks is None:
            raise DataError(f"scan {self.name} has no labels, so it has no masks; only labelled scans train or score")
        return unpack_masks(self.masks, len(self.classes))


@dataclass(frozen=True)
class Prediction:
    """What a member or an ensemble says of one scan, on the scan's own grid, whole.

    maps: uint8 (class, z, y, x), rint(255 p), or None. presence: uint8 (class, z), or None. At least one is there.
    fold: the fold whose model made it, `full` for a fit on all cases, or `mean` for several folds averaged.
    """

    case: str
    scan: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    member: str
    fold: str
    maps: NDArray[np.uint8] | None = None
    presence: NDArray[np.uint8] | None = None
    config_hash: str = ""
    weights_hash: str = ""

    def __post_init__(self) -> None:
        if self.maps is None and self.presence is None:
            raise DataError(f"prediction for {self.scan}: neither maps nor presence")
        wanted = {"maps": (len(self.classes), *self.shape), "presence": (len(self.classes), self.shape[0])}
        for what, shape in wanted.items():
            array = getattr(self, what)
            if array is not None and (array.dtype != np.uint8 or array.shape != shape):
                raise DataError(
                    f"prediction for {self.scan}: {what} should be uint8 of shape {shape}, "
                    f"but is {array.dtype} of shape {array.shape}"
                )


@dataclass(frozen=True)
class Masks:
    """Final masks of one scan, bool (class, z, y, x); labels: its exclusive label map uint8 (z, y, x), where wanted.

    near_level: voxels, counted by class, that other arithmetic might decide otherwise (`ensemble.near_level`).
    """

    case: str
    scan: str
    classes: tuple[str, ...]
    slice_names: tuple[str, ...]
    masks: NDArray[np.bool_]
    labels: NDArray[np.uint8] | None = field(default=None)
    near_level: int = 0

    def __post_init__(self) -> None:
        if self.masks.dtype != np.bool_ or self.masks.ndim != 4 or len(self.masks) != len(self.classes):
            raise DataError(f"masks of {self.scan} should be bool (class, z, y, x), not {self.masks.shape}")


def mask_type(classes: int) -> type[np.unsignedinteger[Any]]:
    """The smallest unsigned type with a bit for each class; raises DataError above 64 classes."""
    for bits, kind in ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64)):
        if classes <= bits:
            return kind
    raise DataError(f"{classes} classes do not fit a bitfield; 64 is the most")


def pack_masks(masks: NDArray[np.bool_]) -> NDArray[Any]:
    """Bool (class, ...) to one bitfield (...), bit c for class c; no class gives all zeros."""
    kind = mask_type(len(masks))
    packed = np.zeros(masks.shape[1:], kind)
    for index, mask in enumerate(masks):
        packed |= mask.astype(kind) << kind(index)
    return packed


def unpack_masks(packed: NDArray[Any], classes: int) -> NDArray[np.bool_]:
    """The reverse of pack_masks: a bitfield (...) to bool (class, ...)."""
    kind = packed.dtype.type
    return np.stack([(packed & kind(1 << index)) != 0 for index in range(classes)])


def quantise(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities 0..1 to uint8, rint(255 p); raises DataError on anything outside or not a number."""
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise DataError(
            f"probabilities should lie in 0..1, but span {probabilities.min()} to {probabilities.max()}; "
            "a network that diverged gives such values"
        )
    return np.rint(probabilities * 255).astype(np.uint8)


def nearest_word(word: str, known: Sequence[str]) -> str:
    """A hint ` (did you mean ...?)` for an unknown word, empty where nothing is near."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
