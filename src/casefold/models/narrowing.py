"""Networks that really shrink: whole filters go, and what is left fills the narrower net of a narrower config."""

from collections import defaultdict
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from casefold.config.experiments import Experiment, as_plain
from casefold.config.networks import AttentionUnet, DynUnet, PlainUnet3d, ResidualUnet, SegResNet, Unet3d
from casefold.config.own_networks import GROUPS, PlainUnet2d
from casefold.core import ConfigError
from casefold.models.pruning import CONVOLUTIONS, convolutions
from casefold.models.wiring import Filter, Wiring, wiring

Net = TypeVar("Net", bound=nn.Module)
BY_CHANNELS = (PlainUnet2d, PlainUnet3d, Unet3d, AttentionUnet, ResidualUnet, DynUnet)
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
SHOWN = 3


def narrower(config: Experiment, amount: float) -> Experiment:
    """The config of a member whose levels have that share of their filters less; one, or one a group, is the least.

    Raises ConfigError for networks whose widths are no numbers of their config, as those over a library's encoder.
    """
    model: Any = config.model  # type: ignore[attr-defined]
    step = GROUPS if isinstance(model, ResidualUnet) or getattr(model, "norm", None) == "group" else 1

    def less(width: int) -> int:
        return max(1, round(width * (1 - amount) / step)) * step

    if isinstance(model, BY_CHANNELS):
        changed: dict[str, Any] = {"channels": [less(width) for width in model.channels]}
    elif isinstance(model, SegResNet):
        changed = {"filters": less(model.filters)}
    else:
        raise ConfigError(
            f"structured pruning narrows the widths that a config gives, and that of {config.name} gives none; it is "
            "for plain_unet, and in 3D for unet, attention_unet, residual_unet, dynunet and segresnet"
        )
    plain = as_plain(config)
    return type(config).model_validate(plain | {"model": plain["model"] | changed})


def narrowed(net: nn.Module, narrow: Net, image: Tensor) -> Net:
    """`narrow`, which is `net` with fewer filters, filled with those of `net` that weigh most; changed in place.

    What is added to one another (residual paths, summed skips, gates) stays or goes together. A filter weighs the norm
    of its weights and of those that read it, each against its layer's mean; under a group norm each group keeps as
    many. image: float (1, channel, *spatial), of a size that the nets take. Raises ConfigError where what is left does
    not fit, as where two levels were of different widths and no longer are.
    """
    gone = set(convolutions(net)) ^ set(convolutions(narrow))
    if gone:
        raise ConfigError(
            f"where levels become as wide as one another, the narrower net lacks {sorted(gone)[:SHOWN]}; "
            "take another amount"
        )
    wires = wiring(net, image)
    kept = _kept(net, narrow, wires)
    state = {}
    for name, value in net.state_dict().items():
        layer = name.rpartition(".")[0]
        for axis, units in _axes(net.get_submodule(layer), layer, value, wires):
            places = [place for place, unit in enumerate(units) if unit is None or unit in kept]
            value = value.index_select(axis, torch.tensor(places))
        state[name] = value
    given, wanted = ({name: tuple(v.shape) for name, v in s.items()} for s in (state, narrow.state_dict()))
    odd = sorted(name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name))
    if odd:
        listed = ", ".join(f"{name} {given.get(name)} for {wanted.get(name)}" for name in odd[:SHOWN])
        raise ConfigError(
            f"what is left of {len(odd)} tensors does not fit the narrower net: {listed}; take another amount"
        )
    narrow.load_state_dict(state)
    return narrow


def _axes(layer: nn.Module, name: str, value: Tensor, wires: Wiring) -> list[tuple[int, list[Any]]]:
    """The axes of a layer's tensor along which there are channels, and their units."""
    if not isinstance(layer, CONVOLUTIONS):
        of_channels = value.ndim == 1 and len(value) == len(wires.reads.get(name, ()))
        return [(0, wires.reads[name])] if of_channels else []
    if value.ndim == 1:
        return [(0, wires.gives[name])]
    out, into = (1, 0) if isinstance(layer, TRANSPOSED) else (0, 1)
    return [(out, wires.gives[name]), *([(into, wires.reads[name])] if layer.groups == 1 else [])]


def _weights(net: nn.Module, wires: Wiring) -> dict[Filter, float]:
    """What each unit weighs."""
    found: dict[Filter, float] = defaultdict(float)
    for name in wires.gives:
        layer: Any = net.get_submodule(name)
        weight: Tensor = layer.weight.detach().float()
        for axis, units in _axes(layer, name, weight, wires):
            norms = weight.transpose(0, axis).flatten(1).norm(dim=1)
            for unit, share in zip(units, (norms / norms.mean().clamp(min=1e-12)).tolist(), strict=True):
                if unit is not None:
                    found[unit] += share
    return found


def _kept(net: nn.Module, narrow: nn.Module, wires: Wiring) -> set[Filter]:
    """The units that stay: of each convolution across channels as many as the narrower net's has, the heaviest."""
    weights = _weights(net, wires)
    groups = max((layer.num_groups for layer in net.modules() if isinstance(layer, nn.GroupNorm)), default=1)
    kept: set[Filter] = set()
    for name, units in wires.gives.items():
        layer: Any = narrow.get_submodule(name)
        if layer.groups > 1:  # it gives on what it reads
            continue
        count = layer.out_channels
        runs = groups if count % groups == 0 and len(units) % groups == 0 else 1
        size = len(units) // runs
        for start in range(0, len(units), size):
            heaviest = sorted(units[start : start + size], key=lambda unit: -weights[unit])
            kept.update(heaviest[: count // runs])
    return kept
