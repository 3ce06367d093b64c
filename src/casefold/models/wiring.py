"""Which filters of a network are added to one another, and which layers read them; found by showing, not by reading."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from casefold.core import ConfigError
from casefold.models.pruning import CONVOLUTIONS

PASSED = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.modules.dropout._DropoutNd)
NEAR = 0.01
Filter = tuple[str, int]  # a convolution, and which of the channels that it gives


@dataclass(frozen=True)
class Wiring:
    """The units of a network: filters that stay or go together, each unit named by one of them.

    gives: of a convolution, the unit of each channel it gives; reads: of a layer with weights, that of each channel it
    reads, None for one of the image.
    """

    gives: dict[str, list[Filter]]
    reads: dict[str, list[Filter | None]]


def wiring(net: nn.Module, image: Tensor) -> Wiring:
    """The wiring of a network of convolutions, norms, and whatever passes channels on, adds or joins them.

    image: float (1, channel, *spatial), of a size that the net takes. One convolution after the other gives its
    channels' numbers while all others give 0, and every layer says which reach it, so what stands between has to keep
    ratios: ReLU and its leaky kin, pooling, enlarging. Raises ConfigError where it does not, and for convolutions in
    groups that are neither one nor one a channel.
    """
    probe = deepcopy(net).train()  # heads of deep supervision are read in training alone
    convs: dict[str, Any] = {name: part for name, part in probe.named_modules() if isinstance(part, CONVOLUTIONS)}
    shown = _Shown()
    for name, part in probe.named_modules():
        if name in convs or (part._parameters and not part._modules):
            part.register_forward_pre_hook(shown.reading(name))
        if name in convs:
            part.forward = shown.giving(name, convs[name])
        elif isinstance(part, PASSED):
            part.forward = _pass_on  # type: ignore[method-assign]
    with torch.no_grad():
        for name in convs:
            shown.giver = name
            probe(image.new_zeros((2, *image.shape[1:])))
    tied = {(name, number): (name, number) for name, conv in convs.items() for number in range(conv.out_channels)}
    for name, channels in shown.reached.items():
        for place, filters in enumerate(channels):
            own = [(name, place)] if name in convs and _is_by_channel(name, convs[name]) else []
            for other in [*filters[1:], *own] if filters else []:
                tied[_unit(tied, other)] = _unit(tied, filters[0])
    return Wiring(
        {name: [_unit(tied, (name, number)) for number in range(conv.out_channels)] for name, conv in convs.items()},
        {
            name: [_unit(tied, filters[0]) if filters else None for filters in channels]
            for name, channels in shown.reached.items()
        },
    )


class _Shown:
    """What the layers of a network read while one of its convolutions, the giver, shows its channels.

    Of two images the first has ones where there is something, the second the channels' numbers, counted from 1.
    """

    def __init__(self) -> None:
        self.giver = ""
        self.reached: dict[str, list[list[Filter]]] = {}  # by layer and channel

    def giving(self, name: str, conv: nn.Module) -> Callable[[Tensor], Tensor]:
        """What stands for a convolution."""
        really = conv.forward

        def give(x: Tensor) -> Tensor:
            maps: Tensor = torch.zeros_like(really(torch.zeros_like(x)))
            if name == self.giver:
                maps[0] = 1
                maps[1] += torch.arange(1, maps.shape[1] + 1).view(-1, *[1] * (maps.ndim - 2))
            return maps

        return give

    def reading(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        """Notes what reaches a layer."""

        def read(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            there, numbered = given[0].flatten(2).amax(2)
            channels = self.reached.setdefault(name, [[] for _ in there])
            for place in there.nonzero()[:, 0].tolist():
                number = float(numbered[place] / there[place])
                if abs(number - round(number)) > NEAR:
                    raise ConfigError(f"what {self.giver} gives can't be followed to {name}; no filter can go")
                channels[place].append((self.giver, round(number) - 1))

        return read


def _pass_on(x: Tensor) -> Tensor:
    return x


def _is_by_channel(name: str, conv: Any) -> bool:
    if conv.groups not in (1, conv.in_channels) or (conv.groups > 1 and conv.out_channels != conv.in_channels):
        raise ConfigError(f"{name} convolves {conv.in_channels} channels in {conv.groups} groups; no filter can go")
    return bool(conv.groups > 1)


def _unit(tied: dict[Filter, Filter], filter: Filter) -> Filter:
    while tied[filter] != filter:
        filter = tied[filter]
    return filter
