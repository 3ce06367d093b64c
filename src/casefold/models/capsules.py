"""A capsule network for slices and for volumes, after SegCaps (LaLonde and Bagci 2018, arXiv 1804.04241)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from casefold.config.networks import Capsules3d
from casefold.config.own_networks import Capsules2d

HALF, RARE = 1.0, 0.04  # squared lengths, before squashing, of capsules of length 1/2 and 1/26
CONVOLUTIONS: dict[int, tuple[Any, Any]] = {2: (nn.Conv2d, nn.ConvTranspose2d), 3: (nn.Conv3d, nn.ConvTranspose3d)}
TINY = 1e-4  # below this squared length a capsule's direction is noise


class CapsuleNet(nn.Module):
    """A U-shape of capsule layers: strided ones down, transposed ones up, the skips' types joined to those coming up.

    The features of one convolution, as capsules of one type, are what the first layer routes. The last layer has a
    type a map. A squashed capsule is n^2 / (1 + n^2) long, of which log n^2 is the logit: so that is what is given, and
    its sigmoid is the capsule's length; a softmax shares by n^2. Not built: the decoder that paints the input again
    from the capsules as a further loss.
    forward: float (batch, channel, *spatial), sizes divisible by the strides -> the maps' logits.
    """

    def __init__(self, model: Capsules2d | Capsules3d, channels: int, maps: int, checkpointing: bool = False) -> None:
        super().__init__()
        strides: Sequence[tuple[int, ...]] = model.level_strides
        axes, kernel = len(strides[0]), (model.kernel,) * len(strides[0])
        self.checkpointing = checkpointing
        self.features = CONVOLUTIONS[axes][0](channels, model.dims[0], kernel, padding=model.kernel // 2)
        levels = list(zip(model.types, model.dims, strict=True))
        self.down, self.enlarge, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        here = (1, model.dims[0])
        for number, (below, stride) in enumerate(zip(levels[1:], strides, strict=True)):
            first = CapsuleLayer(here, below, kernel, stride, routing=model.routing if number else 1)
            self.down.append(nn.Sequential(first, CapsuleLayer(below, below, kernel, (1,) * axes, model.routing)))
            here = below
        for number, (own, below, stride) in enumerate(zip(levels, levels[1:], strides, strict=False)):
            reach = tuple(step + 2 for step in stride)
            self.enlarge.append(CapsuleLayer(below, own, reach, stride, model.routing, transposed=True))
            skip = own[0] if number else 1
            parents, size = (own, kernel) if number else ((maps, own[1]), (1,) * axes)
            self.up.append(
                CapsuleLayer((skip + own[0], own[1]), parents, size, (1,) * axes, model.routing, last=not number)
            )
        if model.activation == "softmax":  # background, the first type, starts as long as any other capsule
            votes = self.up[0].get_parameter("vote.weight").detach().view(1 + model.types[0], maps, -1)
            votes[:, 0].mul_(math.sqrt(HALF / RARE))

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        x = squash(self.features(image).float()[:, None])
        skips = []
        for down in self.down:
            skips.append(x)
            for layer in down.children():
                x = self._run(layer, x)
        for level in reversed(range(len(skips))):
            x = self._run(self.up[level], torch.cat([skips[level], self._run(self.enlarge[level], x)], dim=1))
        return torch.log(x.square().sum(2) + TINY)

    def _run(self, layer: nn.Module, x: Tensor) -> Tensor:
        if not (self.checkpointing and self.training):
            plain: Tensor = layer(x)
            return plain
        again: Tensor = checkpoint(layer, x, use_reentrant=False)
        return again


class CapsuleLayer(nn.Module):
    """Convolutional capsules: each type of child votes for each type of parent, by a convolution of its own.

    Locally-constrained routing (LaLonde 2018): at each place, each child type shares its votes out among the parent
    types, evenly at first, then more and more for those that agree with what all the children there say; what steers
    the shares is not learnt through, as in Sabour 2017. Routing is computed in float32.
    forward: (batch, type, number, *spatial) -> the same of the parents, squashed, or of the `last` layer before that.
    children, parents: their types and numbers a capsule.
    """

    def __init__(
        self,
        children: tuple[int, int],
        parents: tuple[int, int],
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        routing: int,
        transposed: bool = False,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.shape, self.routing, self.last = (children[0], *parents), routing, last
        convolution = CONVOLUTIONS[len(kernel)][transposed]
        padding = tuple(1 if transposed else size // 2 for size in kernel)
        self.vote = convolution(
            math.prod(children), math.prod(self.shape), kernel, stride, padding, groups=children[0], bias=False
        )
        self.bias = nn.Parameter(torch.zeros(*parents, *(1 for _ in kernel)))
        heard = math.prod(kernel) / (math.prod(stride) if transposed else 1)
        # Children of length 1/2 make parents of length 1/2, or squashing would take them to nothing in a few layers.
        # The last start short: nets that see things everywhere first unlearn that, and what lies below them with it.
        spread = 4 * parents[0] ** 2 / (children[0] * parents[1] * heard)
        nn.init.normal_(self.vote.weight, std=math.sqrt(spread * (RARE if last else HALF)))

    def forward(self, children: Tensor) -> Tensor:
        """Parents."""
        votes = self.vote(children.flatten(1, 2)).unflatten(1, self.shape).float()
        found = (self._shares(votes.detach()) * votes).sum(1) + self.bias
        return found if self.last else squash(found)

    def _shares(self, votes: Tensor) -> Tensor:
        """How each child's votes are shared among the parent types: (batch, child, parent, 1, *spatial), sums of 1."""
        agreement = torch.zeros_like(votes[:, :, :, :1])
        for _ in range(self.routing - 1):
            parents = squash((agreement.softmax(2) * votes).sum(1) + self.bias.detach())
            agreement = agreement + (parents[:, None] * votes).sum(3, keepdim=True)
        return agreement.softmax(2)


def squash(capsules: Tensor) -> Tensor:
    """The same directions, lengths n made n^2 / (1 + n^2); numbers along the third axis."""
    squared = capsules.square().sum(2, keepdim=True)
    return capsules * (torch.sqrt(squared + TINY) / (1 + squared))
