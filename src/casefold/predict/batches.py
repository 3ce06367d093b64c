"""Batches through a network: one that does not fit in memory is halved, and the next ones are as small."""

import logging

import torch
from torch import Tensor

from casefold.core import DataError
from casefold.models.build import Outputs, PaddedNet

logger = logging.getLogger(__name__)
# what torch, its CPU's allocator, cuDNN and cuBLAS say
SHORTAGES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


class BatchLimit:
    """The most images that one call of a network may take, as far as is known; None: no limit was met."""

    def __init__(self) -> None:
        self.most: int | None = None

    def halve(self, shape: torch.Size, cause: RuntimeError) -> None:
        """Allow half of the batch that did not fit; raises DataError where it was a single image."""
        if shape[0] == 1:
            raise DataError(
                f"out of memory with a single image of shape {tuple(shape[1:])}; take a larger device, or run fewer "
                f"processes on this one ({cause})"
            ) from cause
        level = logging.WARNING if self.most is None else logging.INFO
        self.most = shape[0] // 2
        logger.log(level, "out of memory with %d images in a batch; from here on %d", shape[0], self.most)


def forward(net: PaddedNet, image: Tensor, limit: BatchLimit) -> Outputs:
    """What a network says of a batch (image, channel, *spatial), in as many parts as memory asks for."""
    parts: list[Outputs] = []
    start = 0
    while start < len(image):
        part = image[start : start + (limit.most or len(image))]
        outputs = _attempt(net, part)
        if isinstance(outputs, RuntimeError):
            limit.halve(part.shape, outputs)
            if image.is_cuda:
                torch.cuda.empty_cache()
            continue
        parts.append(outputs)
        start += len(part)
    return parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def is_shortage(error: RuntimeError) -> bool:
    """Whether an error is one of memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error).lower() for word in SHORTAGES)


def _attempt(net: PaddedNet, image: Tensor) -> Outputs | RuntimeError:
    """What a network says, or the error where memory is short, without the frames that hold what it had allocated."""
    try:
        outputs: Outputs = net(image)
        return outputs
    except RuntimeError as e:
        if not is_shortage(e):
            raise
        return e.with_traceback(None)
