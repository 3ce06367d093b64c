"""3D nets that no library has as they are wanted: a U-Net that sums its skips, and DynUNet with small maps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

Triple = tuple[int, int, int]


class SupervisedDynUNet(nn.Module):
    """MONAI's DynUNet, its parts taken over by name; maps of coarser levels come as small as they are.

    MONAI's own module registers each weight twice, so that its file is twice as large, keeps tensors of the last pass,
    so that it can't be copied, and enlarges each map. A MONAI file's weights fit by name.
    forward: float (batch, modality, z, y, x) -> the maps' logits; in training, with heads, those of each level in a
    list, the full size first.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.input_block, self.downsamples, self.bottleneck = net.input_block, net.downsamples, net.bottleneck
        self.upsamples, self.output_block = net.upsamples, net.output_block
        self.deep_supervision_heads: Any = net.deep_supervision_heads if net.deep_supervision else nn.ModuleList()

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Logits."""
        skips = [self.input_block(image)]
        for down in self.downsamples:
            skips.append(down(skips[-1]))
        stages = [self.bottleneck(skips[-1])]
        for up, skip in zip(self.upsamples, reversed(skips), strict=True):
            stages.append(up(stages[-1], skip))
        maps: Tensor = self.output_block(stages.pop())
        if not self.training or not self.deep_supervision_heads:
            return maps
        coarser = zip(self.deep_supervision_heads, reversed(stages), strict=False)
        return [maps, *(head(stage) for head, stage in coarser)]


class ResidualUNet(nn.Module):
    """The residual symmetric U-Net (Lee 2017, arXiv 1706.00120): residual blocks of three convolutions, summed skips.

    As pytorch-3dunet builds it: max pooling down, transposed convolutions up, group norm before each convolution.
    forward: float (batch, modality, z, y, x), sizes divisible by the strides -> the maps' logits.
    """

    def __init__(
        self, modalities: int, maps: int, channels: Sequence[int], strides: Sequence[Triple], groups: int
    ) -> None:
        super().__init__()
        self.first = ResidualBlock(modalities, channels[0], groups)
        self.down, self.enlarge, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for upper, lower, stride in zip(channels, channels[1:], strides, strict=False):
            self.down.append(nn.Sequential(nn.MaxPool3d(stride), ResidualBlock(upper, lower, groups)))
            z, y, x = stride
            self.enlarge.append(
                nn.ConvTranspose3d(lower, upper, 3, stride, padding=1, output_padding=(z - 1, y - 1, x - 1))
            )
            self.up.append(ResidualBlock(upper, upper, groups))
        self.last = nn.Conv3d(channels[0], maps, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        x = self.first(image)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for enlarge, up in zip(reversed(self.enlarge), reversed(self.up), strict=True):
            x = up(enlarge(x) + skips.pop())
        maps: Tensor = self.last(x)
        return maps


class ResidualBlock(nn.Module):
    """A 1 x 1 x 1 convolution to the new channels, plus two of 3 x 3 x 3 on top of it, then ReLU."""

    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        self.widen = nn.Identity() if before == after else nn.Conv3d(before, after, 1)
        self.residual = nn.Sequential(
            nn.GroupNorm(groups, after),
            nn.Conv3d(after, after, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.GroupNorm(groups, after),
            nn.Conv3d(after, after, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The same size, `after` channels."""
        x = self.widen(x)
        return torch.relu(x + self.residual(x))
