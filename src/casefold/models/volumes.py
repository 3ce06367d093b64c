"""The 3D networks: a visible table from a config's `arch` to nets, most of them MONAI's, and what sizes each wants."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from casefold.config.experiments import Seg3d
from casefold.config.networks import (
    AttentionUnet,
    DynUnet,
    FlexibleUnet,
    ResidualUnet,
    Seg3dModel,
    SegResNet,
    SwinUnetr,
    Unet3d,
    Unetr,
)
from casefold.config.own_networks import GROUPS, Capsules2d, PlainUnet2d
from casefold.core import ConfigError, nearest_word
from casefold.models.capsules import CapsuleNet
from casefold.models.plain_unet import PlainUNet
from casefold.models.volume_nets import ResidualUNet, SupervisedDynUNet

Builder = Callable[[Any, int, int], nn.Module]
SWIN_HEADS = (3, 6, 12, 24)  # of attention, by stage; they share out feature_size, which is a multiple of 12


def volume_net(config: Seg3d, channels: int, maps: int) -> nn.Module:
    """The 3D net of a member, from `channels` modalities to `maps` logits.

    Raises ConfigError where a patch leaves one voxel at the deepest level, for a net without the gradient
    checkpointing that was asked for, and for one of a fixed size that is to see whole scans.
    """
    model, patch = config.model, config.data.patch
    if patch is not None:
        check_deepest(model, "data.patch", patch)
    if isinstance(model, Unetr):
        builder: Builder = partial(_unetr, patch=patch)
    else:
        builder = NETS[model.arch]
    if not config.train.gradient_checkpointing:
        return builder(model, channels, maps)
    if model.arch not in CHECKPOINTED:
        raise ConfigError(
            f"train.gradient_checkpointing: {model.arch} has none; of the 3D nets, {', '.join(CHECKPOINTED)} have"
        )
    return CHECKPOINTED[model.arch](model, channels, maps)


def check_deepest(model: Seg3dModel | PlainUnet2d | Capsules2d, field: str, size: tuple[int, ...]) -> None:
    """Raise ConfigError where inputs of a size leave one voxel at a net's deepest level, and a norm stands there."""
    multiple = size_multiple(model)
    if model.normed and all(length <= least for length, least in zip(size, multiple, strict=True)):
        raise ConfigError(
            f"{field}: {' x '.join(map(str, size))} leaves one voxel at the deepest level of this {model.arch}, "
            f"where a norm has nothing to go by; take more than {' x '.join(map(str, multiple))}, or fewer levels"
        )


def size_multiple(model: Seg3dModel | PlainUnet2d | Capsules2d) -> tuple[int, ...]:
    """What the sizes (z,) y and x of the net's input have to be divisible by."""
    return tuple(math.prod(strides) for strides in zip(*model.level_strides, strict=True))


def level_depths(model: Seg3dModel, depth: int) -> list[int]:
    """How many voxels deep (z) each level of the 3D net is, from the input on; `depth` is padded as PaddedNet does.

    The convolutions of every net work at just these depths; only MONAI's EfficientNets, which pad each level before
    they convolve it, work at a few more.
    """
    depth += -depth % size_multiple(model)[0]
    strides = [stride[0] for stride in model.level_strides]
    return [depth // math.prod(strides[:level]) for level in range(len(strides) + 1)]


def _unet(model: Unet3d, channels: int, maps: int) -> nn.Module:
    from monai.networks import nets

    net: nn.Module = nets.UNet(
        spatial_dims=3,
        in_channels=channels,
        out_channels=maps,
        channels=model.channels,
        strides=model.level_strides,
        num_res_units=model.res_units,
        act=model.act,
        norm=model.norm,
        dropout=model.dropout,
    )
    return net


def _attention_unet(model: AttentionUnet, channels: int, maps: int) -> nn.Module:
    from monai.networks import nets

    net: nn.Module = nets.AttentionUnet(
        3, channels, maps, channels=model.channels, strides=model.level_strides, dropout=model.dropout
    )
    return net


def _residual_unet(model: ResidualUnet, channels: int, maps: int) -> nn.Module:
    return ResidualUNet(channels, maps, model.channels, model.level_strides, GROUPS)


def _dynunet(model: DynUnet, channels: int, maps: int) -> nn.Module:
    from monai.networks import nets

    name, arguments = _norm(model.norm)
    return SupervisedDynUNet(
        nets.DynUNet(
            spatial_dims=3,
            in_channels=channels,
            out_channels=maps,
            kernel_size=[3] * len(model.channels),
            strides=[1, *model.level_strides],
            upsample_kernel_size=list(model.level_strides),
            filters=model.channels,
            norm_name=(name, {**arguments, "affine": True}),
            act_name=model.act,
            deep_supervision=model.deep_supervision > 0,
            deep_supr_num=max(1, model.deep_supervision),
            res_block=model.residual,
        )
    )


def _segresnet(model: SegResNet, channels: int, maps: int) -> nn.Module:
    from monai.networks import nets

    common: dict[str, Any] = {
        "init_filters": model.filters,
        "in_channels": channels,
        "out_channels": maps,
        "act": model.act,
        "norm": _norm(model.norm),
        "blocks_down": model.blocks_down,
        "blocks_up": model.blocks_up,
    }
    net: nn.Module
    if model.deep_supervision:
        net = nets.SegResNetDS(**common, dsdepth=1 + model.deep_supervision)
    else:
        net = nets.SegResNet(**common, dropout_prob=model.dropout or None)
    return net


def _flexible_unet(model: FlexibleUnet, channels: int, maps: int) -> nn.Module:
    from monai.networks.nets import flexible_unet

    known = list(flexible_unet.FLEXUNET_BACKBONE.register_dict)
    if model.backbone not in known:
        hint = nearest_word(model.backbone, known)
        raise ConfigError(f"model.backbone: {model.backbone!r} is not known{hint}; take one of {', '.join(known)}")
    net: nn.Module = flexible_unet.FlexibleUNet(
        channels,
        maps,
        model.backbone,
        decoder_channels=model.decoder_channels,
        spatial_dims=3,
        dropout=model.dropout,
    )
    for unused in ("_conv_head", "_bn1", "_fc"):  # an EfficientNet's as a classifier; DDP would wait for their gradient
        if hasattr(net.encoder, unused):
            setattr(net.encoder, unused, nn.Identity())
    return net


def _swinunetr(model: SwinUnetr, channels: int, maps: int, checkpointing: bool = False) -> nn.Module:
    from monai.networks import nets

    net: nn.Module = nets.SwinUNETR(
        channels,
        maps,
        depths=model.depths,
        num_heads=SWIN_HEADS,
        window_size=model.window,
        feature_size=model.feature_size,
        drop_rate=model.dropout,
        attn_drop_rate=model.attention_dropout,
        dropout_path_rate=model.path_dropout,
        use_checkpoint=checkpointing,
    )
    return net


def _unetr(model: Unetr, channels: int, maps: int, patch: tuple[int, int, int] | None = None) -> nn.Module:
    if patch is None:
        raise ConfigError(
            "data.patch: unetr learns a place for each cube of one size; give a patch, null is whole scans"
        )
    from monai.networks import nets

    net: nn.Module = nets.UNETR(
        channels,
        maps,
        img_size=[length + -length % least for length, least in zip(patch, size_multiple(model), strict=True)],
        feature_size=model.feature_size,
        hidden_size=model.hidden_size,
        mlp_dim=model.mlp_size,
        num_heads=model.heads,
        dropout_rate=model.dropout,
    )
    for name, weight in net.named_parameters():  # of an attention that no block has; DDP would wait for their gradient
        weight.requires_grad_(".norm_cross_attn." not in name)
    return net


def _norm(name: str) -> tuple[str, dict[str, Any]]:
    return name, {"num_groups": GROUPS} if name == "group" else {}


NETS: dict[str, Builder] = {
    "unet": _unet,
    "attention_unet": _attention_unet,
    "residual_unet": _residual_unet,
    "dynunet": _dynunet,
    "segresnet": _segresnet,
    "flexible_unet": _flexible_unet,
    "swinunetr": _swinunetr,
    "unetr": _unetr,
    "plain_unet": PlainUNet,
    "capsules": CapsuleNet,
}
CHECKPOINTED: dict[str, Builder] = {
    "swinunetr": partial(_swinunetr, checkpointing=True),
    "plain_unet": partial(PlainUNet, checkpointing=True),
    "capsules": partial(CapsuleNet, checkpointing=True),
}
