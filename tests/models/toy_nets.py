"""One config of every network at toy size, with what its outputs in training are."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casefold.config.experiments import Seg3d, Seg25d, as_plain
from casefold.models.build import PaddedNet, build
from toy_members import cls, seg3d, seg25d

CLASSES = 2
Size = tuple[int, ...]


@dataclass(frozen=True)
class Toy:
    """A config, a size that its net takes as it is and one that it pads, and the sizes of `maps@1`.. at the first."""

    config: Any
    size: Size
    odd: Size
    more: tuple[Size, ...] = ()
    outputs: frozenset[str] = field(default=frozenset({"maps"}))


def own(arch: str, size: Size, odd: Size, *more: Size, **model: Any) -> Toy:
    """A 2.5D member of a net of our own."""
    plain = as_plain(seg25d(data={"size": size}))
    return Toy(Seg25d.model_validate(plain | {"model": {"arch": arch, **model}}), size, odd, more)


def volume(model: dict[str, Any], patch: Size | None = (64, 64, 64), **train: Any) -> Seg3d:
    """A 3D member of another net than the toy U-Net."""
    plain = as_plain(seg3d(train=train))
    return Seg3d.model_validate(plain | {"model": model, "data": {"patch": patch}})


def flat(arch: str, *more: Size, outputs: tuple[str, ...] = ("maps",), **model: Any) -> Toy:
    """A 2.5D member of an architecture, at 64 x 64 and, padded to that, at 35 x 50."""
    return Toy(seg25d(model={"arch": arch, **model}), (64, 64), (35, 50), more, frozenset(outputs))


def deep(arch: str, size: Size, odd: Size, *more: Size, **model: Any) -> Toy:
    """A 3D member of an architecture."""
    return Toy(volume({"arch": arch, **model}, size), size, odd, more)


LEVELS: dict[str, Any] = {"channels": (8, 8, 16), "strides": ((1, 2, 2), 2)}  # 2 x 4 x 4 voxels make one at the bottom
SMALL, SMALL_ODD = (4, 8, 16), (3, 7, 9)
SWIN = {"feature_size": 12, "depths": (1, 1, 1, 1), "window": 2}
PLAIN = {"channels": (8, 8, 16), "strides": (2, 2)}
CAPSULES = {"types": (2, 2, 3), "dims": (4, 4, 8)}
CONVNEXT = {"encoder": "tu-test_convnext"}  # without a stage at half the size, as all transformers
NETS: dict[str, Toy] = {
    "cls": Toy(cls(), (32, 32), (35, 50), (), frozenset({"presence"})),
    "unet": flat("unet"),
    "unetplusplus": flat("unetplusplus"),
    "upernet": flat("upernet"),
    "fpn": flat("fpn"),
    "manet": flat("manet"),
    "linknet": flat("linknet"),
    "pspnet": flat("pspnet"),
    "deeplabv3plus": flat("deeplabv3plus"),
    "segformer": flat("segformer"),
    "unet, presence": flat("unet", outputs=("maps", "presence"), presence_head="classes"),
    "unet, deep": flat("unet", (32, 32), (16, 16), (8, 8), (4, 4), deep_supervision=4),
    "unet, deep, convnext": flat("unet", (32, 32), deep_supervision=1, **CONVNEXT),
    "unet, deep, aux, presence": flat(
        "unet", (32, 32), (4, 4), outputs=("maps", "presence"), deep_supervision=1, aux_head=True, presence_head="any"
    ),
    "unetplusplus, deep": flat("unetplusplus", (32, 32), (32, 32), (32, 32), deep_supervision=3),
    "unetplusplus, deep, convnext": flat("unetplusplus", (16, 16), (16, 16), deep_supervision=2, **CONVNEXT),
    "upernet, aux": flat("upernet", (4, 4), aux_head=True, activation="softmax", **CONVNEXT),
    "fpn, aux": flat("fpn", (4, 4), aux_head=True),
    "deeplabv3plus, aux": flat("deeplabv3plus", (4, 4), aux_head=True, encoder="resnet18"),
    "plain_unet": own("plain_unet", (8, 16), (6, 13), **PLAIN, norm="none", convolutions=1),
    "plain_unet, every switch": own(
        "plain_unet", (16, 32), (13, 25), (8, 16), (4, 8), channels=(8, 8, 8, 16), residual=True, attention=True,
        separable=True, norm="group", act="prelu", dropout=0.2, up="linear", deep_supervision=2, activation="softmax",
    ),
    "plain_unet, strides": own("plain_unet", (12, 24), (11, 13), **PLAIN | {"strides": (2, 3)}, norm="batch"),
    "capsules": own("capsules", (8, 16), (6, 13), **CAPSULES, strides=(2, 2), activation="softmax"),
    "3D unet": deep("unet", SMALL, SMALL_ODD, **LEVELS, act="relu"),
    "3D unet, plain": deep("unet", SMALL, SMALL_ODD, **LEVELS, res_units=0, norm="batch", activation="softmax"),
    "attention_unet": deep("attention_unet", SMALL, SMALL_ODD, **LEVELS, dropout=0.1),
    "residual_unet": deep("residual_unet", SMALL, SMALL_ODD, **LEVELS),
    "dynunet": deep("dynunet", SMALL, SMALL_ODD, **LEVELS),
    "dynunet, deep": deep(
        "dynunet", (8, 16, 16), (5, 9, 16), (8, 8, 8), (4, 4, 4), residual=True, norm="group", deep_supervision=2,
        channels=(8, 8, 8, 8), strides=((1, 2, 2), 2, 2),
    ),
    "segresnet": deep("segresnet", (8, 8, 16), (5, 6, 9), filters=8, blocks_down=(1, 1, 1), blocks_up=(1, 1)),
    "segresnet, batch": deep(
        "segresnet", (8, 8, 16), (5, 6, 9), filters=3, blocks_down=(1, 2), blocks_up=(1,), norm="batch", act="prelu",
        dropout=0.2,
    ),
    "segresnet, deep": deep(
        "segresnet", (8, 16, 16), (5, 9, 16), (4, 8, 8), filters=8, blocks_down=(1, 1, 1), blocks_up=(1, 1),
        deep_supervision=1,
    ),
    "flexible_unet, resnet": deep(
        "flexible_unet", (64, 32, 32), (33, 20, 32), backbone="resnet10", decoder_channels=(8, 8, 8, 8, 8)
    ),
    "flexible_unet, efficientnet": deep(
        "flexible_unet", (64, 32, 32), (33, 20, 32), backbone="efficientnet-b0", decoder_channels=(8, 8, 8, 8, 8)
    ),
    "swinunetr": deep("swinunetr", (64, 32, 32), (33, 20, 32), **SWIN),
    "unetr": deep(
        "unetr", (16, 32, 32), (9, 20, 32), feature_size=2, hidden_size=12, mlp_size=16, heads=3, dropout=0.1
    ),
    "3D plain_unet": deep("plain_unet", SMALL, SMALL_ODD, **LEVELS),
    "3D plain_unet, every switch": deep(
        "plain_unet", SMALL, SMALL_ODD, (4, 4, 8), **LEVELS, residual=True, attention=True, separable=True,
        norm="group", act="leakyrelu", dropout=0.2, up="linear", deep_supervision=1, activation="softmax",
    ),
    "3D capsules": deep("capsules", SMALL, SMALL_ODD, **CAPSULES, strides=((1, 2, 2), 2), kernel=5, routing=2),
}  # fmt: skip


def built(config: Any, seed: int = 0, modalities: int = 1) -> PaddedNet:
    """The net of a config, from random weights of a seed."""
    torch.manual_seed(seed)
    return build(config, modalities, CLASSES)


def image_for(config: Any, size: Size, modalities: int = 1) -> Tensor:
    """Two images of noise."""
    channels = modalities * len(getattr(config.data, "window", (0,)))
    return torch.from_numpy(np.random.default_rng(1).normal(size=(2, channels, *size)).astype(np.float32))
