"""Schema of the networks, one class a family; what a 3D net halves and where stands beside it."""

from abc import abstractmethod
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from casefold.config.base import Strict
from casefold.config.own_networks import (
    Activation,
    ActName,
    CapsuleParts,
    Capsules2d,
    GroupedNormName,
    NormName,
    PlainParts,
    PlainUnet2d,
    Triple,
    check_groups,
    check_heads,
    check_strides,
)

ArchName = Literal["unet", "unetplusplus", "upernet", "fpn", "manet", "linknet", "pspnet", "deeplabv3plus", "segformer"]
OWN_ARCHS = ("plain_unet", "capsules")  # besides those of smp


class ClsModel(Strict):
    """A timm encoder with one output a class."""

    encoder: str
    pretrained: bool | str = Field(
        True, description="true: ImageNet weights; false: none; text: a file below CASEFOLD_DATA"
    )
    dropout: float = Field(0.1, ge=0, lt=1)


class Seg2dModel(Strict):
    """An smp architecture over any of its encoders, timm's (`tu-`) included."""

    arch: ArchName
    encoder: str
    pretrained: bool | str = True
    activation: Activation = "sigmoid"
    presence_head: Literal["none", "any", "classes"] = Field(
        "none", description="a classification head beside the maps"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="before the presence head")
    decoder_dropout: float | None = Field(
        None, ge=0, lt=1, description="fpn, pspnet (none given: 0.2) and deeplabv3plus (0.5); no other arch has any"
    )
    deep_supervision: int = Field(
        0, ge=0, description="so many more maps in training; unet: coarser stages, unetplusplus: shallower nodes"
    )
    aux_head: bool = Field(False, description="one more map in training, from the encoder at a 16th of the size")

    @field_validator("arch", mode="before")
    @classmethod
    def _known(cls, arch: Any) -> Any:
        known = (*get_args(ArchName), *OWN_ARCHS)
        if arch not in known:
            words = ", ".join(map(repr, known))
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": words})
        return arch


def _family(content: Any) -> str:
    """Where a word is unknown, smp's: so a misspelt arch is told together with what else is wrong below it."""
    arch = content.get("arch") if isinstance(content, dict) else getattr(content, "arch", None)
    return arch if arch in OWN_ARCHS else "smp"


Seg25dModel = Annotated[
    Annotated[Seg2dModel, Tag("smp")]
    | Annotated[PlainUnet2d, Tag("plain_unet")]
    | Annotated[Capsules2d, Tag("capsules")],
    Discriminator(_family),
]


class _Volume(Strict):
    activation: Activation = "sigmoid"

    @property
    @abstractmethod
    def level_strides(self) -> tuple[Triple, ...]:
        """The strides (z, y, x) from each level of the net to the next, from the input down."""

    @property
    def normed(self) -> bool:
        """Whether a norm stands at the deepest level."""
        return True


class _Levelled(_Volume):
    strides: tuple[int | Triple, ...] = (2, 2, 2)

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """As configured."""
        return tuple((s, s, s) if isinstance(s, int) else s for s in self.strides)


class _Strided(_Levelled):
    channels: tuple[int, ...] = Field((32, 64, 128, 256), min_length=2)

    @model_validator(mode="after")
    def _strides_fit(self) -> "_Strided":
        check_strides(self.strides, len(self.channels), "channels")
        return self


class PlainUnet3d(PlainParts, _Strided):
    """The 3D U-Net (Cicek 2016) with the switches of the 2D one."""

    arch: Literal["plain_unet"]


class Capsules3d(CapsuleParts, _Levelled):
    """A capsule network after SegCaps (LaLonde 2018), over volumes."""

    arch: Literal["capsules"]

    @model_validator(mode="after")
    def _strides_fit(self) -> "Capsules3d":
        check_strides(self.strides, len(self.types), "types")
        return self


class Unet3d(_Strided):
    """MONAI's residual U-Net; `res_units: 0` is one plain convolution a level."""

    arch: Literal["unet"]
    res_units: int = Field(2, ge=0)
    norm: NormName = "instance"
    act: ActName = "prelu"
    dropout: float = Field(0.0, ge=0, lt=1)


class AttentionUnet(_Strided):
    """MONAI's Attention U-Net (Oktay 2018): batch norm and ReLU, gates on the skips."""

    arch: Literal["attention_unet"]
    dropout: float = Field(0.0, ge=0, lt=1)


class ResidualUnet(_Strided):
    """The residual symmetric U-Net (Lee 2017) in the manner of pytorch-3dunet: group norm, pooling, summed skips."""

    arch: Literal["residual_unet"]

    @model_validator(mode="after")
    def _grouped(self) -> "ResidualUnet":
        check_groups(self.channels)
        return self


class DynUnet(_Strided):
    """MONAI's DynUNet, nnU-Net's plain U-Net or, with `residual`, its residual one; heads as in nnU-Net."""

    arch: Literal["dynunet"]
    residual: bool = False
    norm: GroupedNormName = "instance"
    act: ActName = "leakyrelu"
    deep_supervision: int = Field(0, ge=0, description="so many more maps in training, each from a coarser level")

    @model_validator(mode="after")
    def _parts_fit(self) -> "DynUnet":
        if len(self.channels) < 3:
            raise ValueError("dynunet has at least 3 levels; give 3 channels or more")
        check_heads(self.deep_supervision, len(self.channels))
        if self.norm == "group":
            check_groups(self.channels)
        return self


class SegResNet(_Volume):
    """MONAI's SegResNet (Myronenko 2018); with `deep_supervision` SegResNetDS, whose weights are named otherwise."""

    arch: Literal["segresnet"]
    filters: int = Field(32, ge=1, description="of the first level; each level doubles them")
    blocks_down: tuple[int, ...] = Field((1, 2, 2, 4), min_length=2)
    blocks_up: tuple[int, ...] = (1, 1, 1)
    norm: GroupedNormName = "group"
    act: ActName = "relu"
    dropout: float = Field(0.0, ge=0, lt=1, description="of whole channels after the first convolution")
    deep_supervision: int = Field(0, ge=0, description="so many more maps in training, each from a coarser level")

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """2 between levels."""
        return ((2, 2, 2),) * (len(self.blocks_down) - 1)

    @model_validator(mode="after")
    def _parts_fit(self) -> "SegResNet":
        ups = len(self.blocks_down) - 1
        if len(self.blocks_up) != ups:
            raise ValueError(f"{ups + 1} blocks_down want {ups} blocks_up, not {len(self.blocks_up)}")
        check_heads(self.deep_supervision, ups + 1)
        if self.deep_supervision and self.dropout:
            raise ValueError("dropout: segresnet has none under deep_supervision; take one of the two")
        if self.norm == "group":
            check_groups((self.filters,))
        return self


class FlexibleUnet(_Volume):
    """MONAI's FlexibleUNet: a U-Net over a 3D ResNet or EfficientNet with random weights, batch norm throughout."""

    arch: Literal["flexible_unet"]
    backbone: str = Field("resnet34", description="resnet10 .. resnet200, efficientnet-b0 .. efficientnet-b8")
    decoder_channels: tuple[int, int, int, int, int] = (256, 128, 64, 32, 16)
    dropout: float = Field(0.0, ge=0, lt=1, description="in the decoder")

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """Five halvings."""
        return ((2, 2, 2),) * 5


class SwinUnetr(_Volume):
    """MONAI's Swin UNETR (Hatamizadeh 2022)."""

    arch: Literal["swinunetr"]
    feature_size: int = Field(48, ge=12, multiple_of=12)
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    window: int = Field(7, ge=1, description="voxels of a half-size grid along each axis that attend to each other")
    dropout: float = Field(0.0, ge=0, lt=1, description="after attention and in the MLPs")
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    path_dropout: float = Field(0.0, ge=0, lt=1, description="share of residual paths left out, at the deepest block")

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """Five halvings."""
        return ((2, 2, 2),) * 5


class Unetr(_Volume):
    """MONAI's UNETR (Hatamizadeh 2021): a transformer of 12 blocks over cubes of 16 voxels, `data.patch` its size."""

    arch: Literal["unetr"]
    feature_size: int = Field(16, ge=1, description="channels at full size; each level down doubles them")
    hidden_size: int = Field(768, ge=1, description="numbers by which the transformer knows a cube")
    mlp_size: int = Field(3072, ge=1)
    heads: int = Field(12, ge=1, description="of attention; they share out hidden_size")
    dropout: float = Field(0.0, ge=0, lt=1, description="after attention, in the MLPs and of what enters")

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """Four halvings."""
        return ((2, 2, 2),) * 4

    @property
    def normed(self) -> bool:
        """Not by other cubes: its norms over space stand from an 8th of the size up."""
        return False

    @model_validator(mode="after")
    def _heads_share(self) -> "Unetr":
        if self.hidden_size % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a hidden_size of {self.hidden_size}")
        return self


Seg3dModel = Annotated[
    Unet3d
    | AttentionUnet
    | ResidualUnet
    | DynUnet
    | SegResNet
    | FlexibleUnet
    | SwinUnetr
    | Unetr
    | PlainUnet3d
    | Capsules3d,
    Field(discriminator="arch"),
]
