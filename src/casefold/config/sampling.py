"""Schema of which slices or patches an epoch shows."""

from typing import Literal

from pydantic import Field

from casefold.config.base import Strict


class SliceSampler(Strict):
    """Every non-empty slice once an epoch, and a share of the empty ones, drawn anew each epoch."""

    name: Literal["slices"] = "slices"
    empty_share: float = Field(1.0, ge=0, le=1)


class PatchSampler(Strict):
    """Patches from every scan each epoch; a share of them centred on a voxel of a class drawn first."""

    name: Literal["patches"] = "patches"
    per_scan: int = Field(1, ge=1)
    positive_share: float = Field(0.5, ge=0, le=1)
