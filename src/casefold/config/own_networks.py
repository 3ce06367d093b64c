"""Schema of the networks of our own, for slices; the parts that those for volumes share; checks that all share."""

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from casefold.config.base import Strict

NormName = Literal["instance", "batch"]
GroupedNormName = Literal["instance", "batch", "group"]
AnyNormName = Literal["none", "instance", "batch", "group"]
ActName = Literal["prelu", "relu", "leakyrelu"]
Activation = Literal["sigmoid", "softmax"]
Triple = tuple[int, int, int]
GROUPS = 8  # of a group norm


class PlainParts(Strict):
    channels: tuple[PositiveInt, ...] = Field((32, 64, 128, 256), min_length=2)
    convolutions: int = Field(2, ge=1, description="at each level, on the way down and on the way up")
    residual: bool = Field(False, description="what enters a level's convolutions is added to what leaves them")
    attention: bool = Field(False, description="gates on the skips (Oktay 2018)")
    separable: bool = Field(False, description="depthwise-separable convolutions, but for the first")
    norm: AnyNormName = "instance"
    act: ActName = "relu"
    dropout: float = Field(0.0, ge=0, lt=1, description="of whole channels, after each level's convolutions")
    up: Literal["transposed", "linear"] = "transposed"
    deep_supervision: int = Field(0, ge=0, description="so many more maps in training, each from a coarser level")

    @property
    def normed(self) -> bool:
        """Whether a norm stands at the deepest level."""
        return self.norm != "none"

    @model_validator(mode="after")
    def _parts_fit(self) -> "PlainParts":
        if self.deep_supervision:
            check_heads(self.deep_supervision, len(self.channels))
        if self.norm == "group":
            check_groups(self.channels)
        return self


class CapsuleParts(Strict):
    types: tuple[PositiveInt, ...] = Field((2, 2, 4, 4), min_length=2, description="of capsules, at each level")
    dims: tuple[PositiveInt, ...] = Field(
        (8, 8, 8, 16), min_length=2, description="numbers in a capsule, at each level"
    )
    kernel: Literal[3, 5] = Field(3, description="a parent hears the children of so many voxels along each axis")
    routing: int = Field(3, ge=1, description="passes; 1 shares out each child's votes evenly")

    @property
    def normed(self) -> bool:
        """Whether a norm stands at the deepest level: there is none."""
        return False

    @model_validator(mode="after")
    def _levels_fit(self) -> "CapsuleParts":
        if len(self.types) != len(self.dims):
            raise ValueError(f"types and dims are those of each level, but {len(self.types)} and {len(self.dims)} came")
        return self


class _Flat(Strict):
    """A 2D net of our own: maps alone, no encoder of a library."""

    presence_head: ClassVar[Literal["none"]] = "none"
    activation: Activation = "sigmoid"
    strides: tuple[PositiveInt, ...] = (2, 2, 2)

    @property
    def level_strides(self) -> tuple[tuple[int, int], ...]:
        """The strides (y, x) from each level of the net to the next, from the input down."""
        return tuple((stride, stride) for stride in self.strides)


class PlainUnet2d(PlainParts, _Flat):
    """A U-Net (Ronneberger 2015) of nothing but its switches: max pooling down, skips joined, random weights."""

    arch: Literal["plain_unet"]

    @model_validator(mode="after")
    def _strides_fit(self) -> "PlainUnet2d":
        check_strides(self.strides, len(self.channels), "channels")
        return self


class Capsules2d(CapsuleParts, _Flat):
    """A capsule network after SegCaps (LaLonde 2018), small by default."""

    arch: Literal["capsules"]

    @model_validator(mode="after")
    def _strides_fit(self) -> "Capsules2d":
        check_strides(self.strides, len(self.types), "types")
        return self


def check_strides(strides: tuple[int | Triple, ...], levels: int, what: str) -> None:
    """Raise ValueError unless a stride stands between every two levels."""
    if len(strides) != levels - 1:
        raise ValueError(f"{levels} {what} want {levels - 1} strides, not {len(strides)}")


def check_heads(heads: int, levels: int) -> None:
    """Raise ValueError for more heads than there are levels between output and bottom."""
    if heads > levels - 2:
        raise ValueError(
            f"deep_supervision: of {levels} levels, {levels - 2} at most lie between output and bottom, not {heads}"
        )


def check_groups(channels: tuple[int, ...]) -> None:
    """Raise ValueError for channels that a group norm can't share out."""
    odd = [count for count in channels if count % GROUPS]
    if odd:
        raise ValueError(f"group norm has {GROUPS} groups, which do not divide {odd} channels; take multiples")
