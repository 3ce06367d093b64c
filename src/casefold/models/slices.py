"""The 2D networks: timm's classifiers, smp's segmenters over its own or timm's encoders, and segmenters of our own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from casefold.config.experiments import Cls, Seg25d
from casefold.config.inputs import SliceData
from casefold.config.networks import Seg2dModel, Seg25dModel
from casefold.core import ConfigError, nearest_word
from casefold.models.capsules import CapsuleNet
from casefold.models.heads import supervised
from casefold.models.plain_unet import PlainUNet
from casefold.models.pretrained import load_pretrained
from casefold.models.volumes import check_deepest, size_multiple

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
OWN_NETS: dict[str, Callable[[Any, int, int, bool], nn.Module]] = {"plain_unet": PlainUNet, "capsules": CapsuleNet}
DECODER_DROPOUT = {"fpn": "decoder_dropout", "pspnet": "psp_dropout", "deeplabv3plus": "decoder_aspp_dropout"}
# timm encoders whose windows are cut for one input size, which has to be told at build
SIZED_ENCODERS = ("swin", "maxvit", "maxxvit", "coatnet", "vit_")
SLICE_MULTIPLE = 32
DEPTH = 5  # stages of an encoder, the last at a 32nd of the size
HEAD_STD = 0.01


def classifier(config: Cls, channels: int, classes: int, pretrained: bool) -> nn.Module:
    """A timm net with one logit a class."""
    import timm

    name = config.model.encoder.removeprefix("tu-")
    size = _checked_size(name, config.data)
    try:
        net: nn.Module = timm.create_model(
            name, in_chans=channels, num_classes=classes, drop_rate=config.model.dropout, **size
        )
    except RuntimeError as e:
        raise _unknown_encoder(name, timm.list_models(pretrained=False), e) from e
    head = net.get_classifier()  # type: ignore[operator]
    if isinstance(head, nn.Linear):  # timm spreads EfficientNet's head over -1..1 for one class: logits in the tens
        nn.init.normal_(head.weight, std=HEAD_STD)
        nn.init.zeros_(head.bias)
    if config.train.gradient_checkpointing:
        _switch_on_checkpointing(net, name)
    if pretrained:
        load_pretrained(net, name, config.model.pretrained, channels, prefix="")
    return net


def segmenter(config: Seg25d, channels: int, maps: int, classes: int, pretrained: bool) -> nn.Module:
    """A net of `maps` logits; one of smp's also of presence, where the config has a head for it."""
    model = config.model
    if not isinstance(model, Seg2dModel):
        check_deepest(model, "data.size", config.data.size)
        if config.data.train_patch is not None:
            check_deepest(model, "data.train_patch", config.data.train_patch)
        return OWN_NETS[model.arch](model, channels, maps, config.train.gradient_checkpointing)
    import segmentation_models_pytorch as smp

    outputs = {"none": 0, "any": 1, "classes": classes}[model.presence_head]
    aux = {"aux_params": {"classes": outputs, "pooling": "avg", "dropout": model.dropout}} if outputs else {}
    size = _checked_size(model.encoder.removeprefix("tu-"), config.data)
    dropout = _decoder_dropout(model)
    try:
        net = getattr(smp, SMP_ARCHS[model.arch])(
            encoder_name=model.encoder,
            encoder_weights=None,
            in_channels=channels,
            classes=maps,
            **aux,
            **size,
            **dropout,
        )
    except (KeyError, RuntimeError, ValueError) as e:
        raise _unknown_encoder(model.encoder, _smp_encoders(), e) from e
    if config.train.gradient_checkpointing:
        _switch_on_checkpointing(net.encoder.model if model.encoder.startswith("tu-") else None, model.encoder)
    if pretrained:
        _load_smp_encoder(net, model, channels)
    if len(net.encoder.out_channels) <= DEPTH:
        _freeze_unread(net.encoder, torch.zeros(1, channels, *size.get("img_size", (2 * SLICE_MULTIPLE,) * 2)))
    return supervised(net, model.arch, maps, model.deep_supervision, model.aux_head)


def slice_multiple(model: Seg25dModel) -> tuple[int, ...]:
    """What y and x of a segmenter's input have to be divisible by."""
    return (SLICE_MULTIPLE, SLICE_MULTIPLE) if isinstance(model, Seg2dModel) else size_multiple(model)


def size_argument(encoder: str, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """What an encoder that is cut for one size has to be told; nothing for any other."""
    if not encoder.startswith(SIZED_ENCODERS):
        return {}
    height, width = (-(-length // SLICE_MULTIPLE) * SLICE_MULTIPLE for length in size)
    return {"img_size": (height, width)}


def _checked_size(encoder: str, data: SliceData) -> dict[str, tuple[int, int]]:
    """The argument for slices at the config's size, which has to be that of what training sees of them as well."""
    size = size_argument(encoder, data.size)
    if data.train_patch is not None and size_argument(encoder, data.train_patch) != size:
        raise ConfigError(
            f"data.train_patch: {' x '.join(map(str, data.train_patch))} is another size than data.size, "
            f"{' x '.join(map(str, data.size))}, and {encoder} is cut for one; take an encoder of any size, or leave "
            "train_patch out"
        )
    return size


def _decoder_dropout(model: Seg2dModel) -> dict[str, float]:
    if model.decoder_dropout is None:
        return {}
    if model.arch not in DECODER_DROPOUT:
        raise ConfigError(f"model.decoder_dropout: {model.arch} has none; {', '.join(DECODER_DROPOUT)} have")
    return {DECODER_DROPOUT[model.arch]: model.decoder_dropout}


def _switch_on_checkpointing(net: Any, encoder: str) -> None:
    try:
        net.set_grad_checkpointing(True)
    except (AttributeError, AssertionError) as e:
        raise ConfigError(
            f"train.gradient_checkpointing: {encoder} has none; most encoders of timm have (under a segmenter "
            "with `tu-` in front)"
        ) from e


def _freeze_unread(encoder: nn.Module, image: Tensor) -> None:
    """Freeze the stages behind the last one that a decoder reads (PSPNet's): DDP would wait for their gradient."""
    last = encoder.eval()(image)[-1]
    weights = list(encoder.parameters())
    for weight, gradient in zip(weights, torch.autograd.grad(last.sum(), weights, allow_unused=True), strict=True):
        weight.requires_grad_(gradient is not None)
    encoder.train()


def _load_smp_encoder(net: Any, model: Seg2dModel, channels: int) -> None:
    if model.encoder.startswith("tu-"):
        load_pretrained(net.encoder, model.encoder.removeprefix("tu-"), model.pretrained, channels, prefix="model.")
    elif model.pretrained is True:
        import segmentation_models_pytorch as smp

        source = smp.encoders.get_encoder(model.encoder, in_channels=channels, weights="imagenet")
        net.encoder.load_state_dict(source.state_dict())
    elif model.pretrained:
        load_pretrained(net.encoder, model.encoder, model.pretrained, channels, prefix="")


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
