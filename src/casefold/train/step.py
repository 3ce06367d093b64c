"""One optimiser step: its batches, their losses and gradients, and the numbers that all ranks agree on."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from casefold.config.experiments import Experiment
from casefold.core import CasefoldError
from casefold.data.augment import seed_of
from casefold.losses import total_loss
from casefold.train.mixing import mix_batch

Batch = dict[str, Any]
COUNTED = "gradient_norm", "predicted_positive"


class DivergedError(CasefoldError):
    """The loss is no longer a number."""


class Stepper:
    """Makes steps of one run. split: pieces a batch is cut into; it doubles, once, where a GPU's memory runs out."""

    def __init__(self, fabric: Fabric, config: Experiment, model: Any, optimizer: Any, split: int = 1) -> None:
        self.fabric, self.config, self.model, self.optimizer, self.split = fabric, config, model, optimizer, split
        self.scaler = getattr(fabric._precision, "scaler", None)

    def step(self, batches: Sequence[Batch], epoch: int, first: int, stop: bool) -> tuple[dict[str, float], bool]:
        """Make one step from `batches`, the `first`.. of an epoch; gives its numbers and whether a rank wants to stop.

        Both are the same on every rank. Raises DivergedError, naming batch and slices, where the loss is no number.
        """
        try:
            parts = self._gradients(batches, epoch, first)
        except torch.OutOfMemoryError as e:
            if self.split > 1 or self.fabric.world_size > 1 or len(batches[0]["image"]) < 2:
                raise CasefoldError(
                    f"{self.config.name}: out of memory with {len(batches[0]['image'])} items a batch in {self.split} "
                    "pieces; halve train.batch_size and double train.accumulate"
                ) from e
            self.split = 2
            torch.cuda.empty_cache()
            self.optimizer.zero_grad(set_to_none=True)
            parts = self._gradients(batches, epoch, first)
        limit = self.config.train.clip_norm
        norm = self.fabric.clip_gradients(
            self.model, self.optimizer, max_norm=math.inf if limit is None else limit, error_if_nonfinite=False
        )
        parts["gradient_norm"] = float(norm)
        parts, stop = self._agree(parts, stop)
        where = f"epoch {epoch + 1}, batch {first}, on {[name for batch in batches for name in batch['name']]}"
        if not math.isfinite(parts["loss"]):
            raise DivergedError(f"the loss became {parts['loss']} in {where}; lower train.lr, or look at those slices")
        if not math.isfinite(parts["gradient_norm"]) and self.scaler is None:
            raise DivergedError(f"the gradient became {parts['gradient_norm']} in {where}; lower train.lr")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return parts, stop

    def _gradients(self, batches: Sequence[Batch], epoch: int, first: int) -> dict[str, float]:
        """Add up the gradients of the batches; gives the mean of their losses, by part."""
        sums: dict[str, float] = {}
        for index, batch in enumerate(batches):
            key = (self.config.train.seed, epoch, first + index, self.fabric.global_rank)
            torch.manual_seed(seed_of(key))  # dropout and drop path draw from this
            tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
            tensors = mix_batch(tensors, self.config.train.mix, key)
            pieces = [dict(zip(tensors, values, strict=True)) for values in
                      zip(*(value.chunk(self.split) for value in tensors.values()), strict=True)]  # fmt: skip
            for number, piece in enumerate(pieces):
                last = index == len(batches) - 1 and number == len(pieces) - 1
                share = len(piece["image"]) / len(tensors["image"]) / len(batches)
                with self.fabric.no_backward_sync(self.model, enabled=not last):
                    for name, value in self._backward(piece, share).items():
                        sums[name] = sums.get(name, 0.0) + share * value
        return sums

    def _backward(self, batch: dict[str, Tensor], share: float) -> dict[str, float]:
        target = {name: value.to(self.fabric.device, non_blocking=True) for name, value in batch.items()}
        image = target.pop("image")
        if image.ndim == 4:
            image = image.contiguous(memory_format=torch.channels_last)
        outputs = self.model(image)
        activation = getattr(self.config.model, "activation", "sigmoid")  # type: ignore[attr-defined]
        smoothing = self.config.train.label_smoothing
        loss, parts = total_loss(self.config.losses, outputs, target, activation, smoothing)  # type: ignore[attr-defined]
        if self.config.train.l1 > 0:
            weights = torch.cat([p.abs().flatten() for p in self.model.parameters() if p.ndim > 1])
            loss = loss + self.config.train.l1 * weights.mean()
        self.fabric.backward(loss * share)
        return {"loss": float(loss.detach()), **parts, "predicted_positive": _positive(outputs, activation)}

    def _agree(self, parts: dict[str, float], stop: bool) -> tuple[dict[str, float], bool]:
        """The mean over ranks, and whether any of them was told to stop."""
        if self.fabric.world_size == 1:
            return parts, stop
        values = torch.tensor([float(stop), *parts.values()], dtype=torch.float64, device=self.fabric.device)
        first, *mean = (self.fabric.all_reduce(values, reduce_op="mean")).tolist()
        return dict(zip(parts, mean, strict=True)), first > 0


def _positive(outputs: dict[str, Tensor], activation: str) -> float:
    what = "maps" if "maps" in outputs else "presence"
    logits = outputs[what].detach()
    if what == "maps" and activation == "softmax":
        return float((logits[:, 1:] > logits[:, :1]).any(1).float().mean())  # argmax is several times slower on a CPU
    return float((logits > 0).float().mean())
