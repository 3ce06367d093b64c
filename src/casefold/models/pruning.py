"""Weights of convolutions set to 0 where they are least, over the whole net or a level of it at a time."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def convolutions(net: nn.Module) -> list[str]:
    """The names of all convolutions, transposed ones too, in the order in which the net holds them."""
    return [name for name, module in net.named_modules() if isinstance(module, CONVOLUTIONS)]


def zero_least(net: nn.Module, names: Iterable[str], amount: float) -> None:
    """Set a share of the weights of these convolutions, taken together, to 0: those of the least magnitude.

    amount: 0..1, rounded to whole weights. Biases stay. Zeros are stored and multiplied like any other number.
    """
    weights = [(net.get_submodule(name), "weight") for name in names]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=amount)
    for module, what in weights:
        prune.remove(module, what)  # type: ignore[no-untyped-call]


def levels(net: nn.Module, image: Tensor) -> dict[str, list[str]]:
    """The convolutions by the size of the maps that they give for an image, the largest first: {"16 x 16": names}.

    In a U-Net those of one size are an encoder's block with its decoder's; the deepest have no partner. What gives a
    single voxel follows a global pooling, and is of no level.
    """
    sizes: dict[str, tuple[int, ...]] = {}

    def noting(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(module: nn.Module, given: Any, maps: Tensor) -> None:
            sizes[name] = tuple(maps.shape[2:])

        return note

    hooks = [net.get_submodule(name).register_forward_hook(noting(name)) for name in convolutions(net)]
    try:
        with torch.inference_mode():
            net.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
    found = sorted(
        {size for size in sizes.values() if max(size) > 1}, key=lambda size: (-torch.Size(size).numel(), size)
    )
    return {" x ".join(map(str, size)): [name for name, own in sizes.items() if own == size] for size in found}
