"""What an epoch shows, in which order and to which rank."""

import numpy as np
import pytest

from casefold.core import DataError
from casefold.data.sampler import BatchSampler, epoch_order

POSITIVE = np.array([True, False, False, True, False, False, False, True, False, False])  # 0, 3, 7 of ten


def batches(epoch: int, **changes: object) -> list[list[tuple[int, int]]]:
    fields = {"positive": POSITIVE, "empty_share": 1.0, "batch_size": 3, "seed": 5, **changes}
    sampler = BatchSampler(**fields)  # type: ignore[arg-type]
    sampler.epoch = epoch
    assert len(sampler) == len(list(sampler))
    return list(sampler)


@pytest.mark.parametrize(("share", "empties"), [(0.0, 0), (0.01, 1), (0.3, 3), (0.5, 4), (1.0, 7)])
def test_every_positive_once_and_a_share_of_the_others_rounded_up(share: float, empties: int) -> None:
    for epoch in range(5):
        order = epoch_order(POSITIVE, share, 0, epoch)
        assert len(set(order.tolist())) == len(order) == 3 + empties
        assert sorted(order[POSITIVE[order]]) == [0, 3, 7]


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    first = epoch_order(POSITIVE, 0.3, 0, 1).tolist()
    assert first == epoch_order(POSITIVE, 0.3, 0, 1).tolist()
    assert first != epoch_order(POSITIVE, 0.3, 0, 2).tolist()
    assert first != epoch_order(POSITIVE, 0.3, 1, 1).tolist()
    drawn = {index for epoch in range(20) for index in epoch_order(POSITIVE, 0.3, 0, epoch).tolist()}
    assert drawn == set(range(10))


def test_batches_carry_the_epoch_and_leave_the_incomplete_last_one_out() -> None:
    done = batches(4)
    assert [len(batch) for batch in done] == [3, 3, 3]
    assert {epoch for batch in done for epoch, _ in batch} == {4}
    order = epoch_order(POSITIVE, 1.0, 5, 4).tolist()
    assert [index for batch in done for _, index in batch] == order[:9]


def test_the_only_batch_may_be_incomplete() -> None:
    assert [len(batch) for batch in batches(0, batch_size=16)] == [10]
    assert [len(batch) for batch in batches(0, batch_size=10)] == [10]
    assert [len(batch) for batch in batches(0, empty_share=0.0, batch_size=2)] == [2]


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_share_an_epoch_without_overlap(ranks: int) -> None:
    shares = [batches(2, batch_size=2, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    seen = [index for share in shares for batch in share for _, index in batch]
    assert len(seen) == len(set(seen)) == ranks * 2 * (10 // ranks // 2)


def test_an_epoch_without_items_is_refused() -> None:
    with pytest.raises(DataError, match=r"epoch 1 has nothing for rank 0 of 1: 0 positive items of 4 and .* 0\.0"):
        batches(1, positive=np.zeros(4, bool), empty_share=0.0)
