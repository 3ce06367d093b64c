"""Config to module: one visible table a library; every network takes any size and gives named logits."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.config.networks import Seg2dModel, Seg3dModel
from casefold.core import ConfigError, nearest_word
from casefold.models.pretrained import load_pretrained

Outputs = dict[str, Tensor]
SMP_ARCHS = {
    "unet": "Unet",
    "unetplusplus": "UnetPlusPlus",
    "upernet": "UPerNet",
    "fpn": "FPN",
    "manet": "MAnet",
    "linknet": "Linknet",
    "pspnet": "PSPNet",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
}
# timm encoders whose windows are cut for one input size, which has to be told at build
SIZED_ENCODERS = ("swin", "maxvit", "maxxvit", "coatnet", "vit_")
SLICE_MULTIPLE = 32
HEAD_STD = 0.01


class PaddedNet(nn.Module):
    """A network that wants sizes divisible by `multiple`: pads by repeating the border, crops its maps back exactly.

    forward: float (batch, channel, *spatial) -> logits: `maps` (batch, class[+1 background first], *spatial) and/or
    `presence` (batch, class).
    """

    def __init__(self, net: nn.Module, multiple: tuple[int, ...], outputs: Callable[[Any], Outputs]) -> None:
        super().__init__()
        self.net, self.multiple, self.outputs = net, multiple, outputs

    def forward(self, image: Tensor) -> Outputs:
        """Logits by name."""
        size = image.shape[2:]
        short = [-length % multiple for length, multiple in zip(size, self.multiple, strict=True)]
        if any(short):
            image = F.pad(image, [amount for add in reversed(short) for amount in (0, add)], mode="replicate")
        outputs = self.outputs(self.net(image))
        if any(short) and "maps" in outputs:
            for axis, length in enumerate(size):
                outputs["maps"] = outputs["maps"].narrow(axis + 2, 0, length)
        return outputs


def build(config: Experiment, modalities: int, classes: int, pretrained: bool = False) -> PaddedNet:
    """The network of a member; pretrained: load encoder weights as the config says (never needed for inference)."""
    if isinstance(config, Seg3d):
        return _seg3d(config, modalities, classes)
    if isinstance(config, Cls):
        return _cls(config, modalities * len(config.data.window), classes, pretrained)
    if isinstance(config, Seg25d):
        return _seg25d(config, modalities * len(config.data.window), classes, pretrained)
    raise ConfigError(f"no network is known for {type(config).__name__}")


def map_channels(activation: str, classes: int) -> int:
    """Channels of the maps' logits: softmax adds a background channel in front."""
    return classes + 1 if activation == "softmax" else classes


def _presence_only(output: Tensor) -> Outputs:
    return {"presence": output}


def _maps_only(output: Tensor) -> Outputs:
    return {"maps": output}


def _maps_and_presence(output: tuple[Tensor, Tensor]) -> Outputs:
    return {"maps": output[0], "presence": output[1]}


def _cls(config: Cls, channels: int, classes: int, pretrained: bool) -> PaddedNet:
    import timm

    name = config.model.encoder.removeprefix("tu-")
    extra = _size_argument(name, config.data.size)
    try:
        net = timm.create_model(name, in_chans=channels, num_classes=classes, drop_rate=config.model.dropout, **extra)
    except RuntimeError as e:
        raise _unknown_encoder(name, timm.list_models(pretrained=False), e) from e
    head = net.get_classifier()
    if isinstance(head, nn.Linear):  # timm spreads EfficientNet's head over -1..1 for one class: logits in the tens
        nn.init.normal_(head.weight, std=HEAD_STD)
        nn.init.zeros_(head.bias)
    if pretrained:
        load_pretrained(net, name, config.model.pretrained, channels, prefix="")
    return PaddedNet(net, (SLICE_MULTIPLE, SLICE_MULTIPLE) if extra else (1, 1), _presence_only)


def _seg25d(config: Seg25d, channels: int, classes: int, pretrained: bool) -> PaddedNet:
    import segmentation_models_pytorch as smp

    model = config.model
    heads = {"none": 0, "any": 1, "classes": classes}[model.presence_head]
    aux = {"aux_params": {"classes": heads, "pooling": "avg", "dropout": model.dropout}} if heads else {}
    extra = _size_argument(model.encoder.removeprefix("tu-"), config.data.size)
    try:
        net = getattr(smp, SMP_ARCHS[model.arch])(
            encoder_name=model.encoder,
            encoder_weights=None,
            in_channels=channels,
            classes=map_channels(model.activation, classes),
            **aux,
            **extra,
        )
    except (KeyError, RuntimeError, ValueError) as e:
        raise _unknown_encoder(model.encoder, _smp_encoders(), e) from e
    if pretrained:
        _load_smp_encoder(net, model, channels)
    return PaddedNet(net, (SLICE_MULTIPLE, SLICE_MULTIPLE), _maps_and_presence if heads else _maps_only)


def _seg3d(config: Seg3d, modalities: int, classes: int) -> PaddedNet:
    from monai.networks.nets import UNet

    model = config.model
    strides = [(s, s, s) if isinstance(s, int) else s for s in model.strides]
    net = UNet(
        spatial_dims=3,
        in_channels=modalities,
        out_channels=map_channels(model.activation, classes),
        channels=model.channels,
        strides=strides,
        num_res_units=model.res_units,
        norm=model.norm.upper(),
        dropout=model.dropout,
    )
    multiple = tuple(math.prod(stride[axis] for stride in strides) for axis in range(3))
    return PaddedNet(net, multiple, _maps_only)


def _load_smp_encoder(net: Any, model: Seg2dModel, channels: int) -> None:
    if model.encoder.startswith("tu-"):
        load_pretrained(net.encoder, model.encoder.removeprefix("tu-"), model.pretrained, channels, prefix="model.")
    elif model.pretrained is True:
        import segmentation_models_pytorch as smp

        source = smp.encoders.get_encoder(model.encoder, in_channels=channels, weights="imagenet")
        net.encoder.load_state_dict(source.state_dict())
    elif model.pretrained:
        load_pretrained(net.encoder, model.encoder, model.pretrained, channels, prefix="")


def _size_argument(encoder: str, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    if not encoder.startswith(SIZED_ENCODERS):
        return {}
    height, width = (-(-length // SLICE_MULTIPLE) * SLICE_MULTIPLE for length in size)
    return {"img_size": (height, width)}


def _smp_encoders() -> list[str]:
    import segmentation_models_pytorch as smp
    import timm

    return [*smp.encoders.get_encoder_names(), *(f"tu-{name}" for name in timm.list_models())]


def _unknown_encoder(name: str, known: list[str], cause: Exception) -> ConfigError:
    hint = f" ({cause})" if name in known else nearest_word(name, known)
    return ConfigError(
        f"model.encoder: {name!r} can't be built{hint}; take a name of timm.list_models() "
        "(with `tu-` in front under a segmenter) or of smp.encoders.get_encoder_names()"
    )


def level_depths(model: Seg3dModel, depth: int) -> list[int]:
    """How many voxels deep (z) each level of the 3D net is, from the input on; `depth` is padded as PaddedNet does."""
    strides = [s if isinstance(s, int) else s[0] for s in model.strides]
    depth += -depth % math.prod(strides)
    return [depth // math.prod(strides[:level]) for level in range(len(strides) + 1)]


def parameters(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def memory_format(net: PaddedNet) -> torch.memory_format:
    """channels_last for slices, the plain format for volumes (channels_last_3d brought nothing)."""
    return torch.channels_last if len(net.multiple) == 2 else torch.contiguous_format
