"""Mixup and cutmix of a batch, drawn from a key: each item with another one of the batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from casefold.config.training import Mix

TARGETS = ("maps", "presence")


def mix_batch(batch: dict[str, Tensor], mix: Mix, key: Sequence[int]) -> dict[str, Tensor]:
    """The batch, mixed or not as the key draws; batches of one item and shares of 0 come back as they are.

    Mixup (Zhang 2018): image and targets are weighted means. Cutmix (Yun 2019): a box of the other item's image, maps
    and keep; presence is what the maps then hold. What either item ignores stays ignored under mixup.
    """
    rng = np.random.default_rng([*key, 3])
    draw = rng.random()
    items = len(batch["image"])
    if items < 2 or draw >= mix.mixup + mix.cutmix:
        return batch
    order = rng.permutation(items)
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)  # never itself
    other = torch.from_numpy(partner)
    if draw < mix.mixup:
        return _mixup(batch, other, float(rng.beta(mix.alpha, mix.alpha)))
    alpha = mix.alpha if mix.cutmix_alpha is None else mix.cutmix_alpha
    return _cutmix(batch, other, float(rng.beta(alpha, alpha)), rng)


def _mixup(batch: dict[str, Tensor], other: Tensor, weight: float) -> dict[str, Tensor]:
    mixed = {name: torch.lerp(batch[name][other], batch[name], weight) for name in ("image", *TARGETS) if name in batch}
    keep = {"keep": batch["keep"] * batch["keep"][other]} if "keep" in batch else {}
    return batch | mixed | keep


def _cutmix(batch: dict[str, Tensor], other: Tensor, weight: float, rng: np.random.Generator) -> dict[str, Tensor]:
    size = batch["image"].shape[2:]
    share = (1 - weight) ** (1 / len(size))
    lengths = [max(1, round(length * share)) for length in size]
    starts = [int(rng.integers(0, whole - part + 1)) for whole, part in zip(size, lengths, strict=True)]
    box = (slice(None), slice(None), *(slice(s, s + part) for s, part in zip(starts, lengths, strict=True)))
    mixed: dict[str, Tensor] = {}
    for name in ("image", "maps", "keep"):
        if name in batch:
            mixed[name] = batch[name].clone()
            mixed[name][box] = batch[name][other][box]
    if "presence" in batch:
        mixed["presence"] = mixed["maps"].flatten(2).amax(2)
    return batch | mixed
