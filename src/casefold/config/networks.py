"""Schema of the networks, one class a family; what a 3D net halves and where stands beside it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict

ArchName = Literal["unet", "unetplusplus", "upernet", "fpn", "manet", "linknet", "pspnet", "deeplabv3plus", "segformer"]
NormName = Literal["instance", "batch"]
GroupedNormName = Literal["instance", "batch", "group"]
ActName = Literal["prelu", "relu", "leakyrelu"]
Activation = Literal["sigmoid", "softmax"]
Triple = tuple[int, int, int]
GROUPS = 8  # of a group norm


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


class _Volume(Strict):
    activation: Activation = "sigmoid"

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """The strides (z, y, x) from each level of the net to the next, from the input down."""
        raise NotImplementedError


class _Strided(_Volume):
    channels: tuple[int, ...] = Field((32, 64, 128, 256), min_length=2)
    strides: tuple[int | Triple, ...] = (2, 2, 2)

    @property
    def level_strides(self) -> tuple[Triple, ...]:
        """As configured."""
        return tuple((s, s, s) if isinstance(s, int) else s for s in self.strides)

    @model_validator(mode="after")
    def _strides_fit(self) -> "_Strided":
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError(
                f"{len(self.channels)} channels want {len(self.channels) - 1} strides, not {len(self.strides)}"
            )
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
        _check_groups(self.channels)
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
        _check_heads(self.deep_supervision, len(self.channels))
        if self.norm == "group":
            _check_groups(self.channels)
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
        _check_heads(self.deep_supervision, ups + 1)
        if self.deep_supervision and self.dropout:
            raise ValueError("dropout: segresnet has none under deep_supervision; take one of the two")
        if self.norm == "group":
            _check_groups((self.filters,))
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


Seg3dModel = Annotated[
    Unet3d | AttentionUnet | ResidualUnet | DynUnet | SegResNet | FlexibleUnet | SwinUnetr,
    Field(discriminator="arch"),
]


def _check_heads(heads: int, levels: int) -> None:
    if heads > levels - 2:
        raise ValueError(
            f"deep_supervision: of {levels} levels, {levels - 2} at most lie between output and bottom, not {heads}"
        )


def _check_groups(channels: tuple[int, ...]) -> None:
    odd = [count for count in channels if count % GROUPS]
    if odd:
        raise ValueError(f"group norm has {GROUPS} groups, which do not divide {odd} channels; take multiples")
