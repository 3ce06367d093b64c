"""Which items an epoch shows and in which order: a pure function of (seed, epoch), never a hidden stream."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from casefold.core import DataError


def epoch_order(positive: NDArray[np.bool_], empty_share: float, seed: int, epoch: int) -> NDArray[np.int64]:
    """A shuffled epoch: every positive item, and a share of the others drawn anew each epoch (rounded up)."""
    rng = np.random.default_rng([seed, epoch, 2])
    empty = np.flatnonzero(~positive)
    kept = rng.permutation(empty)[: int(np.ceil(len(empty) * empty_share))]
    return rng.permutation(np.concatenate([np.flatnonzero(positive), kept]))


class BatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) for one epoch at a time, the same number on every rank.

    Their number is a multiple of `group` (the batches of one step); what is left over waits for another epoch, unless
    it is all there is. skip: batches at the start of the epoch that are done already.
    """

    def __init__(
        self, positive: NDArray[np.bool_], empty_share: float, batch_size: int, seed: int, rank: int = 0,
        ranks: int = 1, group: int = 1,
    ) -> None:  # fmt: skip
        self.positive, self.empty_share, self.batch_size, self.seed = positive, empty_share, batch_size, seed
        self.rank, self.ranks, self.group = rank, ranks, group
        self.epoch, self.skip = 0, 0

    def _mine(self, epoch: int) -> NDArray[np.int64]:
        order = epoch_order(self.positive, self.empty_share, self.seed, epoch)
        return order[: len(order) - len(order) % self.ranks][self.rank :: self.ranks]

    def length(self, epoch: int) -> int:
        """Batches of an epoch, whatever was done of it."""
        return max(1, len(self._mine(epoch)) // (self.batch_size * self.group)) * self.group

    def __len__(self) -> int:
        return self.length(self.epoch) - self.skip

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        mine = self._mine(self.epoch)
        if len(mine) < self.group:
            raise DataError(
                f"epoch {self.epoch} has nothing for rank {self.rank} of {self.ranks}: {self.positive.sum()} positive "
                f"items of {len(self.positive)} and sampler.empty_share {self.empty_share}; raise the share"
            )
        batches = self.length(self.epoch)
        for batch in np.array_split(mine[: batches * self.batch_size], batches)[self.skip :]:
            yield [(self.epoch, int(index)) for index in batch]
