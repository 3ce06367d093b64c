"""Config to module: every network takes any size and gives named logits."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.core import ConfigError
from casefold.models.slices import SLICE_MULTIPLE, classifier, segmenter, size_argument, slice_multiple
from casefold.models.volumes import size_multiple, volume_net

Outputs = dict[str, Tensor]


class PaddedNet(nn.Module):
    """A network that wants sizes divisible by `multiple`: pads by repeating the border, crops its maps back exactly.

    forward: float (batch, channel, *spatial) -> logits: `maps` (batch, class[+1 background first], *spatial) and/or
    `presence` (batch, class); in training, under deep supervision or with an auxiliary head, also `maps@1`, `maps@2`..
    as small as the net gives them, but of a padded image enlarged and cropped to its size.
    """

    def __init__(self, net: nn.Module, multiple: tuple[int, ...], outputs: Callable[[Any], Outputs]) -> None:
        super().__init__()
        self.net, self.multiple, self.outputs = net, multiple, outputs

    def forward(self, image: Tensor) -> Outputs:
        """Logits by name."""
        size = image.shape[2:]
        short = [-length % multiple for length, multiple in zip(size, self.multiple, strict=True)]
        if not any(short):
            return self.outputs(self.net(image))
        image = F.pad(image, [amount for add in reversed(short) for amount in (0, add)], mode="replicate")
        outputs = self.outputs(self.net(image))
        for name in [name for name in outputs if name.startswith("maps")]:
            maps = outputs[name]
            if maps.shape[2:] != image.shape[2:]:  # its voxels may lie across the border of what is cropped
                maps = F.interpolate(maps, image.shape[2:], mode="bilinear" if len(size) == 2 else "trilinear")
            for axis, length in enumerate(size):
                maps = maps.narrow(axis + 2, 0, length)
            outputs[name] = maps
        return outputs


def build(config: Experiment, modalities: int, classes: int, pretrained: bool = False) -> PaddedNet:
    """The network of a member; pretrained: load encoder weights as the config says (never needed for inference)."""
    if isinstance(config, Seg3d):
        net = volume_net(config, modalities, map_channels(config.model.activation, classes))
        return PaddedNet(net, size_multiple(config.model), _named_maps)
    if isinstance(config, Cls):
        net = classifier(config, modalities * len(config.data.window), classes, pretrained)
        sized = size_argument(config.model.encoder.removeprefix("tu-"), config.data.size)
        return PaddedNet(net, (SLICE_MULTIPLE, SLICE_MULTIPLE) if sized else (1, 1), _named_presence)
    if isinstance(config, Seg25d):
        maps = map_channels(config.model.activation, classes)
        net = segmenter(config, modalities * len(config.data.window), maps, classes, pretrained)
        return PaddedNet(net, slice_multiple(config.model), _named_maps)
    raise ConfigError(f"no network is known for {type(config).__name__}")


def map_channels(activation: str, classes: int) -> int:
    """Channels of the maps' logits: softmax adds a background channel in front."""
    return classes + 1 if activation == "softmax" else classes


def _named_presence(output: Tensor) -> Outputs:
    return {"presence": output}


def _named_maps(output: Any) -> Outputs:
    """Of maps; of maps and presence in a tuple (smp); of maps in a list, the coarser ones behind (deep supervision)."""
    if isinstance(output, list):
        return {f"maps@{number}" if number else "maps": maps for number, maps in enumerate(output)}
    if isinstance(output, tuple):
        return {"maps": output[0], "presence": output[1]}
    return output if isinstance(output, dict) else {"maps": output}


def parameters(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def memory_format(net: PaddedNet) -> torch.memory_format:
    """channels_last for slices, the plain format for volumes (channels_last_3d brought nothing)."""
    return torch.channels_last if len(net.multiple) == 2 else torch.contiguous_format
