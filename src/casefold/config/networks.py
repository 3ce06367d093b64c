"""Schema of the networks, one class a family."""

from typing import Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict

ArchName = Literal["unet", "unetplusplus", "upernet", "fpn", "manet", "linknet", "pspnet", "deeplabv3plus", "segformer"]
NormName = Literal["instance", "batch"]


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
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    presence_head: Literal["none", "any", "classes"] = Field(
        "none", description="a classification head beside the maps"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="before the presence head")


class Seg3dModel(Strict):
    """MONAI's residual U-Net."""

    arch: Literal["unet"] = "unet"
    channels: tuple[int, ...] = Field((32, 64, 128, 256), min_length=2)
    strides: tuple[int | tuple[int, int, int], ...] = (2, 2, 2)
    res_units: int = Field(2, ge=0)
    norm: NormName = "instance"
    dropout: float = Field(0.0, ge=0, lt=1)
    activation: Literal["sigmoid", "softmax"] = "sigmoid"

    @model_validator(mode="after")
    def _strides_fit(self) -> "Seg3dModel":
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError(
                f"{len(self.channels)} channels want {len(self.channels) - 1} strides, not {len(self.strides)}"
            )
        return self
