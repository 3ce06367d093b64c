"""Which items an epoch shows and in which order: a pure function of (seed, epoch), never a hidden stream."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from casefold.config.sampling import Share, share_at
from casefold.core import DataError

Ints = NDArray[np.int64]


def empties_shown(positive: int, empty: int, empty_share: float, positive_share: float | None) -> int:
    """How many empty items go with all positive ones: their share, rounded up, or what makes the positive ones' share.

    The latter to the nearest item, at most all, and none beside no positive one.
    """
    if positive_share is None:
        return math.ceil(empty * empty_share)
    return min(empty, round(positive / positive_share) - positive)


def case_shares(
    positive: NDArray[np.bool_], cases: Ints, empty_share: float, positive_share: float | None
) -> NDArray[np.float64]:
    """The share of positive items in what each case shows by itself; nan where a case has nothing to show."""
    has, lacks = np.bincount(cases, positive), np.bincount(cases, ~positive)
    if positive_share is not None:
        return np.where(has > 0, np.maximum(positive_share, has / (has + lacks)), 0.0)
    shown = has + np.ceil(lacks * empty_share)
    shares: NDArray[np.float64] = np.divide(has, shown, out=np.full(len(has), np.nan), where=shown > 0)
    return shares


def epoch_size(
    positive: NDArray[np.bool_], empty_share: float, positive_share: float | None = None, cases: Ints | None = None
) -> int:
    """How many items `epoch_order` gives."""
    has = int(positive.sum())
    total = has + empties_shown(has, len(positive) - has, empty_share, positive_share)
    if cases is None:
        return total
    giving = max(1, int(np.isfinite(case_shares(positive, cases, empty_share, positive_share)).sum()))
    return math.ceil(total / giving) * giving


def epoch_order(
    positive: NDArray[np.bool_], empty_share: float, seed: int, epoch: int, positive_share: float | None = None,
    cases: Ints | None = None,
) -> Ints:  # fmt: skip
    """A shuffled epoch: every positive item, and empty ones drawn anew each epoch (`empties_shown`).

    cases: the number, from 0 on, of each item's case. With them every case that has something to show gives equally
    many items, positive and empty in the shares of `case_shares`. One comes again only where all of its kind in the
    case were taken: as its index plus the number of items, then plus twice that.
    """
    rng = np.random.default_rng([seed, epoch, 2])
    if cases is None:
        empty = np.flatnonzero(~positive)
        shown = empties_shown(len(positive) - len(empty), len(empty), empty_share, positive_share)
        kept = rng.permutation(empty)[:shown]
        return rng.permutation(np.concatenate([np.flatnonzero(positive), kept]))
    shares = case_shares(positive, cases, empty_share, positive_share)
    giving = max(1, int(np.isfinite(shares).sum()))
    each = epoch_size(positive, empty_share, positive_share, cases) // giving
    groups = np.split(np.argsort(cases, kind="stable"), np.bincount(cases).cumsum()[:-1])
    drawn = [np.empty(0, np.int64)]
    for own, share in zip(groups, shares, strict=True):
        if np.isfinite(share):
            count = min(each, int(each * share + rng.random()))  # up or down by chance, so that the mean is right
            drawn.append(_taken(own[positive[own]], count, len(positive), rng))
            drawn.append(_taken(own[~positive[own]], each - count, len(positive), rng))
    return rng.permutation(np.concatenate(drawn))


def _taken(own: Ints, count: int, size: int, rng: np.random.Generator) -> Ints:
    """So many of the items, none again before all were taken; `size` is added to an index each time it comes again."""
    rounds = math.ceil(count / max(1, len(own)))
    return np.concatenate([own[:0], *(rng.permutation(own) + turn * size for turn in range(rounds))])[:count]


class BatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) for one epoch at a time, the same number on every rank.

    Their number is a multiple of `group` (the batches of one step); what is left over waits for another epoch, unless
    it is all there is. skip: batches at the start of the epoch that are done already. epochs: how long shares that are
    ramps take. cases: the case of each item, where cases rather than items count alike; an index past the last item
    means an item that comes again (`epoch_order`).
    """

    def __init__(
        self, positive: NDArray[np.bool_], empty_share: Share, batch_size: int, seed: int, rank: int = 0,
        ranks: int = 1, group: int = 1, *, positive_share: Share | None = None, cases: Sequence[str] | None = None,
        epochs: int = 1,
    ) -> None:  # fmt: skip
        self.positive, self.empty_share, self.batch_size, self.seed = positive, empty_share, batch_size, seed
        self.rank, self.ranks, self.group = rank, ranks, group
        self.positive_share, self.epochs = positive_share, epochs
        self.cases = None if cases is None else np.unique(cases, return_inverse=True)[1]
        self.epoch, self.skip = 0, 0

    def _shares(self, epoch: int) -> tuple[float, float | None]:
        """Of the empty items those shown, and of those shown the positive ones."""
        positive = None if self.positive_share is None else share_at(self.positive_share, epoch, self.epochs)
        return share_at(self.empty_share, epoch, self.epochs), positive

    def _count(self, epoch: int) -> int:
        """Items of an epoch that a rank may show."""
        return epoch_size(self.positive, *self._shares(epoch), self.cases) // self.ranks

    def length(self, epoch: int) -> int:
        """Batches of an epoch, whatever was done of it."""
        return max(1, self._count(epoch) // (self.batch_size * self.group)) * self.group

    def __len__(self) -> int:
        return self.length(self.epoch) - self.skip

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        empty_share, positive_share = self._shares(self.epoch)
        count, batches = self._count(self.epoch), self.length(self.epoch)
        if count < self.group:
            share, advice = f"empty_share {empty_share}", "raise the share"
            if positive_share is not None:
                share, advice = f"positive_share {positive_share}", "lower the share, or give an empty_share instead"
            raise DataError(
                f"epoch {self.epoch} has nothing for rank {self.rank} of {self.ranks}: {self.positive.sum()} positive "
                f"items of {len(self.positive)} and sampler.{share}; {advice}"
            )
        order = epoch_order(self.positive, empty_share, self.seed, self.epoch, positive_share, self.cases)
        mine = order[: count * self.ranks][self.rank :: self.ranks]
        for batch in np.array_split(mine[: batches * self.batch_size], batches)[self.skip :]:
            yield [(self.epoch, int(index)) for index in batch]
