"""Schema of which slices or patches an epoch shows, and of shares that change over the epochs."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from casefold.config.base import Strict
from casefold.core import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]


class Ramp(Strict):
    """A share that goes in a straight line from the first epoch's (`from`) to the last epoch's (`to`)."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Fraction = Field(alias="from")
    to: Fraction


def _form(value: Any) -> str:
    return "ramp" if isinstance(value, dict | Ramp) else "number"


Share = Annotated[Annotated[Fraction, Tag("number")] | Annotated[Ramp, Tag("ramp")], Discriminator(_form)]


def share_at(share: Share, epoch: int, epochs: int) -> float:
    """A share in one epoch of 0..epochs - 1; of a single epoch it is the ramp's `from`.

    Raises ConfigError for a ramp in an epoch that is not among them.
    """
    if not isinstance(share, Ramp):
        return share
    if not 0 <= epoch < epochs:
        raise ConfigError(f"a ramp over epochs 0..{epochs - 1} has no share for epoch {epoch}; give the run's epochs")
    way = epoch / max(1, epochs - 1)
    return round(share.from_ * (1 - way) + share.to * way, 9)  # 0.7, and not a little more, which rounds up


class SliceSampler(Strict):
    """Every non-empty slice once an epoch, and empty ones drawn anew each epoch: a share of them, or to make a share.

    `by: case`: every case gives the same number of slices an epoch, together as many as by slice (rounded up), and the
    shares hold inside each case. A slice comes again, augmented otherwise, once all of its kind in the case were shown.
    A case of empty slices alone gives those; under `empty_share: 0` it has none to give and is left out.
    """

    name: Literal["slices"] = "slices"
    by: Literal["slice", "case"] = "slice"
    empty_share: Share = Field(1.0, description="of the empty slices, those that an epoch shows")
    positive_share: Share | None = Field(
        None, description="of an epoch's slices, those that are non-empty: fixes how many empty ones, at most all"
    )
    ignore_edges: int = Field(
        0,
        ge=0,
        description="slices left out of a class's loss on maps, on either side of where a scan's annotation of it "
        "begins and ends; under softmax left out for all classes",
    )

    @model_validator(mode="after")
    def _one_share(self) -> "SliceSampler":
        share = self.positive_share
        if share is None:
            return self
        if self.empty_share != 1.0:
            raise ValueError(
                "empty_share and positive_share both say how many empty slices an epoch shows; take one of them out"
            )
        if 0.0 in (share_at(share, 0, 2), share_at(share, 1, 2)):
            raise ValueError(
                "positive_share 0 wants endlessly many empty slices; give more than 0, or take it out, which shows all"
            )
        return self


class PatchSampler(Strict):
    """Patches from every scan each epoch; a share of them centred on a voxel of a class drawn first."""

    name: Literal["patches"] = "patches"
    by: Literal["scan", "case"] = Field(
        "scan", description="case: `per_scan` patches from every case, its scans taken in turn over the epochs"
    )
    per_scan: int = Field(1, ge=1)
    positive_share: Share = 0.5
