"""Maps beside the maps, for training alone: an smp segmenter's own parts, with heads on its stages."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from casefold.core import ConfigError

AUX_STAGE = 4  # of an smp encoder's features: a 16th of the size
AUX_CHANNELS, AUX_DROPOUT = 256, 0.1  # of UPerNet's auxiliary head in mmsegmentation


class Supervised(nn.Module):
    """An smp segmenter, its parts taken over by name, so that the weights of the plain one fit.

    forward: float (batch, channel, y, x) -> logits: `maps` (batch, class[+1], y, x), `presence` where there is a head;
    in training also `maps@1`, `maps@2`.., as large as the stages they come from: the decoder's, then the encoder's.
    """

    def __init__(self, net: Any, arch: str, maps: int, deep: int, aux: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = net.encoder, net.decoder
        self.segmentation_head, self.classification_head = net.segmentation_head, net.classification_head
        self.stages, widths = STAGES[arch] if deep else (_one_stage, _no_more)
        self.deep_heads = nn.ModuleList([nn.Conv2d(width, maps, 1) for width in widths(net.decoder)[:deep]])
        self.aux_head = _aux_head(net.encoder.out_channels[AUX_STAGE], maps) if aux else None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Logits by name."""
        features = self.encoder(image)
        stages = self.stages(self.decoder, features)
        outputs = {"maps": self.segmentation_head(stages[0])}
        if self.classification_head is not None:
            outputs["presence"] = self.classification_head(features[-1])
        if self.training:
            more = [head(stage) for head, stage in zip(self.deep_heads, stages[1:], strict=False)]
            more += [] if self.aux_head is None else [self.aux_head(features[AUX_STAGE])]
            outputs |= {f"maps@{number}": logits for number, logits in enumerate(more, 1)}
        return outputs


def supervised(net: Any, arch: str, maps: int, deep: int, aux: bool) -> nn.Module:
    """An smp segmenter with `deep` heads on its decoder and an auxiliary one on its encoder, or as it came.

    Raises ConfigError where the architecture has no such stages, or fewer.
    """
    if not deep and not aux:
        plain: nn.Module = net
        return plain
    if deep and arch not in STAGES:
        raise ConfigError(f"model.deep_supervision: {arch} has none; {' and '.join(STAGES)} have")
    if deep and deep > (most := len(STAGES[arch][1](net.decoder))):
        raise ConfigError(f"model.deep_supervision: {arch} over this encoder takes {most} at most, not {deep}")
    if aux and len(net.encoder.out_channels) <= AUX_STAGE:
        raise ConfigError(f"model.aux_head: the encoder of {arch} stops before a 16th of the size; any other arch can")
    return Supervised(net, arch, maps, deep, aux)


def _aux_head(channels: int, maps: int) -> nn.Sequential:
    """The FCN head of mmsegmentation with one convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, AUX_CHANNELS, 3, padding=1, bias=False),
        nn.BatchNorm2d(AUX_CHANNELS),
        nn.ReLU(),
        nn.Dropout2d(AUX_DROPOUT),
        nn.Conv2d(AUX_CHANNELS, maps, 1),
    )


def _unet_stages(decoder: Any, features: Sequence[Tensor]) -> list[Tensor]:
    """What each block of the decoder gives, the full size first."""
    stages = [decoder.center(features[-1])]
    skips = [*features[-2:0:-1], None]
    for block, skip, finer in zip(decoder.blocks, skips, features[-2::-1], strict=True):
        stages.append(block(stages[-1], *finer.shape[2:], skip_connection=skip))
    return stages[:0:-1]


def _nested_stages(decoder: Any, features: Sequence[Tensor]) -> list[Tensor]:
    """The last node, then those of the finest skip (Zhou 2018's x_0_j), from the one behind most nodes to the first."""
    levels = features[:0:-1]
    rows: list[list[Tensor]] = []
    for level in range(decoder.depth):
        row: list[Tensor] = []  # smp's x_{level}_{level}, then x_{level - 1}_{level} and so on to x_0_{level}
        for start in range(level, -1, -1):
            below = levels[level] if start == level else rows[-1][level - 1 - start]
            row.append(decoder.blocks[f"x_{start}_{level}"](below, torch.cat([*row[::-1], levels[level + 1]], dim=1)))
        rows.append(row)
    last = decoder.blocks[f"x_0_{decoder.depth}"](rows[-1][-1])
    return [last, *rows[_finest(decoder)][-2::-1]]


def _finest(decoder: Any) -> int:
    """The finest level that has a skip: encoders in the manner of transformers have none at half the size."""
    return max(level for level, width in enumerate(decoder.skip_channels) if width > 0)


def _unet_widths(decoder: Any) -> list[int]:
    return [block.conv2[0].out_channels for block in decoder.blocks][-2::-1]


def _nested_widths(decoder: Any) -> list[int]:
    level = _finest(decoder)
    return [decoder.skip_channels[level]] * level


def _one_stage(decoder: Any, features: Sequence[Tensor]) -> list[Tensor]:
    return [decoder(features)]


def _no_more(decoder: Any) -> list[int]:
    return []


# how to run a decoder and get at its stages, the last first; and the channels of all but that
STAGES: dict[str, tuple[Callable[[Any, Sequence[Tensor]], list[Tensor]], Callable[[Any], list[int]]]] = {
    "unet": (_unet_stages, _unet_widths),
    "unetplusplus": (_nested_stages, _nested_widths),
}
