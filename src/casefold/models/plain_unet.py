"""A U-Net of nothing but its switches, for slices and for volumes."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from casefold.config.networks import PlainUnet3d
from casefold.config.own_networks import GROUPS, PlainUnet2d

ACTS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU, "leakyrelu": nn.LeakyReLU}
RARE = 3.0  # the logit by which a net holds "nothing" for likelier at the start: shares of about 0.05
LINEAR = {2: "bilinear", 3: "trilinear"}


class PlainUNet(nn.Module):
    """The U-Net (Ronneberger 2015, in 3D Cicek 2016): max pooling down, the skips joined to what comes up.

    forward: float (batch, channel, *spatial), sizes divisible by the strides -> the maps' logits; in training, with
    heads, those of each level in a list, the full size first. checkpointing: each level's convolutions run again on
    the way back; a batch norm's running mean then moves twice a step.
    """

    def __init__(self, model: PlainUnet2d | PlainUnet3d, channels: int, maps: int, checkpointing: bool = False) -> None:
        super().__init__()
        strides: Sequence[tuple[int, ...]] = model.level_strides
        axes, widths = len(strides[0]), model.channels
        self.checkpointing = checkpointing
        self.first = Stage(model, axes, channels, widths[0], whole=True)
        self.down, self.enlarge, self.gates, self.up = (nn.ModuleList() for _ in range(4))
        for upper, lower, stride in zip(widths, widths[1:], strides, strict=False):
            self.down.append(nn.Sequential(_of("MaxPool", axes)(stride), Stage(model, axes, upper, lower)))
            self.enlarge.append(_enlarge(model.up, axes, lower, upper, stride))
            if model.attention:
                self.gates.append(Gate(axes, upper, lower, stride))
            self.up.append(Stage(model, axes, 2 * upper, upper))
        self.last = _head(axes, widths[0], maps, model.activation)
        self.heads = nn.ModuleList(
            [_head(axes, width, maps, model.activation) for width in widths[1 : 1 + model.deep_supervision]]
        )

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Logits."""
        skips, stages = [self._run(self.first, image)], []
        for down in self.down:
            skips.append(self._run(down, skips[-1]))
        x = skips.pop()
        for level in reversed(range(len(skips))):
            skip = self.gates[level](skips[level], x) if self.gates else skips[level]
            x = self._run(self.up[level], torch.cat([skip, self.enlarge[level](x)], dim=1))
            stages.append(x)
        maps: Tensor = self.last(stages.pop())
        if not self.training or not self.heads:
            return maps
        return [maps, *(head(stage) for head, stage in zip(self.heads, reversed(stages), strict=False))]

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if not (self.checkpointing and self.training):
            plain: Tensor = stage(x)
            return plain
        again: Tensor = checkpoint(stage, x, use_reentrant=False)
        return again


class Stage(nn.Module):
    """What a level does at one size: convolutions of 3 voxels, each with norm and activation, then dropout.

    residual: the input, by a convolution of 1 voxel where the channels change, is added before the last activation.
    whole: the first convolution is not split, because it has too few channels for that.
    """

    def __init__(
        self, model: PlainUnet2d | PlainUnet3d, axes: int, before: int, after: int, whole: bool = False
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for number in range(model.convolutions):
            split = model.separable and not (whole and number == 0)
            parts += _convolution(axes, before if number == 0 else after, after, split, bias=not model.normed)
            parts += [*_norm(model.norm, axes, after), _act(model.act)]
        self.body, self.act = nn.Sequential(*parts[:-1]), parts[-1]
        self.residual = model.residual
        self.widen = _of("Conv", axes)(before, after, 1) if model.residual and before != after else nn.Identity()
        self.dropout = _of("Dropout", axes)(model.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The same size, `after` channels."""
        found = self.body(x)
        if self.residual:
            found = found + self.widen(x)
        out: Tensor = self.dropout(self.act(found))
        return out


class Gate(nn.Module):
    """An additive attention gate (Oktay 2018): the level below says how much of each place of a skip passes.

    Without the convolution and norm that the original puts behind it.
    """

    def __init__(self, axes: int, upper: int, lower: int, stride: tuple[int, ...]) -> None:
        super().__init__()
        inner, conv = max(1, upper // 2), _of("Conv", axes)
        self.fine, self.coarse = conv(upper, inner, stride, stride, bias=False), conv(lower, inner, 1)
        self.share, self.mode = conv(inner, 1, 1), LINEAR[axes]

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """The skip times shares between 0 and 1, the same for all its channels."""
        share = torch.sigmoid(self.share(torch.relu(self.fine(skip) + self.coarse(below))))
        return skip * F.interpolate(share, skip.shape[2:], mode=self.mode)


def _head(axes: int, width: int, maps: int, activation: str) -> nn.Module:
    """The maps of a level; they start near empty, or training would first unlearn to see things everywhere."""
    head: nn.Conv2d | nn.Conv3d = _of("Conv", axes)(width, maps, 1)
    bias = torch.zeros(maps) if activation == "softmax" else torch.full((maps,), -RARE)
    if activation == "softmax":
        bias[0] = RARE  # background
    head.bias = nn.Parameter(bias)
    return head


def _enlarge(up: str, axes: int, lower: int, upper: int, stride: tuple[int, ...]) -> nn.Module:
    if up == "transposed":
        transposed: nn.Module = _of("ConvTranspose", axes)(lower, upper, stride, stride)
        return transposed
    factors = tuple(float(factor) for factor in stride)
    return nn.Sequential(_of("Conv", axes)(lower, upper, 1), nn.Upsample(scale_factor=factors, mode=LINEAR[axes]))


def _convolution(axes: int, before: int, after: int, split: bool, bias: bool) -> list[nn.Module]:
    """Over 3 voxels along each axis; split: one by channel, then one of 1 voxel across channels.

    Weights are He's: without a norm, torch's own fade from level to level.
    """
    conv = _of("Conv", axes)
    if split:
        parts = [conv(before, before, 3, padding=1, groups=before, bias=False), conv(before, after, 1, bias=bias)]
    else:
        parts = [conv(before, after, 3, padding=1, bias=bias)]
    for number, part in enumerate(reversed(parts)):
        nn.init.kaiming_normal_(part.weight, nonlinearity="linear" if number else "relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    return parts


def _norm(name: str, axes: int, channels: int) -> list[nn.Module]:
    if name == "none":
        return []
    if name == "group":
        return [nn.GroupNorm(GROUPS, channels)]
    return [_of({"batch": "BatchNorm", "instance": "InstanceNorm"}[name], axes)(channels, affine=True)]


def _act(name: str) -> nn.Module:
    return ACTS[name]() if name == "prelu" else ACTS[name](inplace=True)


def _of(name: str, axes: int) -> Any:
    """torch's layer of that name over so many axes."""
    return getattr(nn, f"{name}{axes}d")
