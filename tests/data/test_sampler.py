"""What an epoch shows, in which order and to which rank."""

import numpy as np
import pytest

from casefold.config.sampling import Ramp
from casefold.core import ConfigError, DataError
from casefold.data.sampler import BatchSampler, epoch_order, epoch_size

POSITIVE = np.array([True, False, False, True, False, False, False, True, False, False])  # 0, 3, 7 of ten
# three cases of 3, 7 and 2 items, which have 1, 2 and 0 positive ones
OF_CASES = np.array([True, False, False, True, True, False, False, False, False, False, False, False])
CASES = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2])
NAMES = ["case7"] * 3 + ["case2"] * 7 + ["case10"] * 2


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


@pytest.mark.parametrize(
    ("share", "seed", "epoch", "order"),
    [
        (1.0, 0, 0, [8, 6, 3, 7, 0, 5, 2, 1, 9, 4]),
        (1.0, 0, 1, [0, 8, 3, 1, 4, 5, 9, 7, 2, 6]),
        (0.3, 0, 0, [8, 3, 7, 0, 2, 9]),
        (0.3, 5, 2, [0, 8, 1, 7, 6, 3]),
        (0.0, 1, 0, [3, 0, 7]),
    ],
)
def test_the_order_of_runs_trained_before_stands(share: float, seed: int, epoch: int, order: list[int]) -> None:
    """What the sampler drew when it knew no other knob: a run trained then is trained the same again."""
    assert epoch_order(POSITIVE, share, seed, epoch).tolist() == order
    assert [
        index for batch in batches(epoch, empty_share=share, batch_size=1, seed=seed) for _, index in batch
    ] == order


def test_the_share_of_empties_goes_down_over_the_epochs() -> None:
    # 1, 0.75, 0.5, 0.25 and 0 of 7 empties, rounded up: 7, 6, 4, 2, 0; and the 3 positive ones
    ramp = Ramp.model_validate({"from": 1, "to": 0})
    sizes = [sum(map(len, batches(epoch, empty_share=ramp, epochs=5, batch_size=1))) for epoch in range(5)]
    assert sizes == [10, 9, 7, 5, 3]
    with pytest.raises(ConfigError, match="has no share for epoch 5"):
        batches(5, empty_share=ramp, epochs=5)


@pytest.mark.parametrize(
    ("share", "empties"),
    [(1.0, 0), (0.8, 1), (0.75, 1), (0.5, 3), (0.45, 4), (0.3, 7), (0.1, 7)],  # 3 / share - 3, at most 7
)
def test_empties_are_drawn_to_make_the_share_of_positives(share: float, empties: int) -> None:
    drawn = set()
    for epoch in range(40):
        order = epoch_order(POSITIVE, 1.0, 0, epoch, share)
        assert len(set(order.tolist())) == len(order) == 3 + empties == epoch_size(POSITIVE, 1.0, share)
        assert sorted(order[POSITIVE[order]]) == [0, 3, 7]
        drawn.update(order.tolist())
    assert drawn == (set(range(10)) if empties else {0, 3, 7})


def test_the_share_of_positives_goes_from_eight_tenths_to_four() -> None:
    # 4 of 40 are positive: 4 / 0.8 = 5, 4 / 0.6 = 6.7, 4 / 0.4 = 10
    positive, ramp = np.arange(40) % 10 == 0, Ramp.model_validate({"from": 0.8, "to": 0.4})
    sampler = BatchSampler(positive, 1.0, 1, seed=0, positive_share=ramp, epochs=3)
    assert [sampler.length(epoch) for epoch in range(3)] == [5, 7, 10]


def times_shown(order: np.ndarray) -> np.ndarray:
    return np.bincount(order % 12, minlength=12)


def test_every_case_gives_the_same_number_of_items() -> None:
    """12 items are 4 a case: the first repeats one of 3, the second leaves 3 of 7 out, the third shows its 2 twice."""
    often = np.zeros(12)
    for epoch in range(300):
        order = epoch_order(OF_CASES, 1.0, 0, epoch, cases=CASES)
        shown = times_shown(order)
        often += shown
        assert len(set(order.tolist())) == len(order) == 12 == epoch_size(OF_CASES, 1.0, cases=CASES)
        assert np.bincount(CASES, shown).tolist() == [4, 4, 4]
        assert sorted(shown[:3]) == [1, 1, 2] and shown[3:10].max() == 1 and shown[10:].tolist() == [2, 2]
    np.testing.assert_allclose(often / 300, [4 / 3] * 3 + [4 / 7] * 7 + [2, 2], atol=0.1)


def test_what_comes_again_has_another_index() -> None:
    order = epoch_order(OF_CASES, 1.0, 0, 0, cases=CASES)
    assert sorted(order[order % 12 >= 10]) == [10, 11, 22, 23]
    alone = epoch_order(np.array([True, True, False, True, True]), 0.0, 0, 0, cases=np.array([0, 0, 0, 0, 1]))
    assert sorted(alone[alone % 5 == 4]) == [4, 9]  # 4 positive ones are 2 a case


@pytest.mark.parametrize(
    ("share", "positives", "empties"),
    [
        (0.0, [2, 2, 0], [0, 0, 0]),  # 3 positive ones, and two cases that have any
        (0.5, [1.5, 1.2, 0], [1.5, 1.8, 3]),  # 3 and 5 of 9 are 8, so 3 a case: of 1 + 1, of 2 + 3, of 0 + 1
    ],
)
def test_a_share_of_the_empties_holds_inside_each_case(
    share: float, positives: list[float], empties: list[float]
) -> None:
    shown = np.mean([times_shown(epoch_order(OF_CASES, share, 0, e, cases=CASES)) for e in range(300)], axis=0)
    np.testing.assert_allclose(np.bincount(CASES, shown * OF_CASES), positives, atol=0.1)
    np.testing.assert_allclose(np.bincount(CASES, shown * ~OF_CASES), empties, atol=0.1)


def test_the_share_of_positives_holds_inside_each_case_that_has_any() -> None:
    # 3 positive ones at a share of 0.5 are 6 items, 2 a case: one of either kind, and 2 empty ones of the third
    for epoch in range(20):
        shown = times_shown(epoch_order(OF_CASES, 1.0, 0, epoch, 0.5, CASES))
        assert np.bincount(CASES, shown * OF_CASES).tolist() == [1, 1, 0]
        assert np.bincount(CASES, shown * ~OF_CASES).tolist() == [1, 1, 2]
    # at 0.1 all empty ones would not do, so all 12 are shown, 4 a case: the positive part is 1 of 3 and 2 of 7
    mean = np.mean([times_shown(epoch_order(OF_CASES, 1.0, 0, e, 0.1, CASES)) for e in range(300)], axis=0)
    np.testing.assert_allclose(np.bincount(CASES, mean * OF_CASES), [4 / 3, 8 / 7, 0], atol=0.1)


def test_one_case_alone_shows_each_item_once() -> None:
    order = epoch_order(POSITIVE, 1.0, 0, 0, cases=np.zeros(10, np.int64))
    assert sorted(order) == list(range(10))


@pytest.mark.parametrize("fields", [{}, {"positive_share": 0.5}, {"empty_share": 0.3}])
@pytest.mark.parametrize("group", [1, 2])
def test_ranks_share_the_cases_too_and_go_on_in_the_middle(fields: dict[str, float], group: int) -> None:
    whole = {"positive": OF_CASES, "cases": NAMES, "batch_size": 1, **fields}
    for epoch in range(4):
        shares = [batches(epoch, **whole, rank=rank, ranks=2, group=group) for rank in (0, 1)]
        assert len(shares[0]) == len(shares[1]) and len(shares[0]) % group == 0
        seen = [index for share in shares for batch in share for _, index in batch]
        assert len(seen) == len(set(seen)) and set(seen) <= {b[0][1] for b in batches(epoch, **whole)}
        sampler = BatchSampler(seed=5, rank=1, ranks=2, group=group, **{"empty_share": 1.0, **whole})  # type: ignore[arg-type]
        sampler.epoch, sampler.skip = epoch, group
        assert list(sampler) == shares[1][group:] and len(sampler) == len(shares[1]) - group


def test_cases_are_told_apart_by_name() -> None:
    order = epoch_order(OF_CASES, 1.0, 5, 3, cases=np.array([2] * 3 + [1] * 7 + [0] * 2))  # sorted as text
    assert [b[0][1] for b in batches(3, positive=OF_CASES, cases=NAMES, batch_size=1)] == order.tolist()


@pytest.mark.parametrize("cases", [None, ["a", "a", "b", "b"]])
def test_a_share_of_positives_wants_a_positive_item(cases: list[str] | None) -> None:
    message = r"0 positive items of 4 and sampler\.positive_share 0\.5; lower the share, or give an empty_share instead"
    with pytest.raises(DataError, match=message):
        batches(1, positive=np.zeros(4, bool), positive_share=0.5, cases=cases)


def test_cases_without_anything_to_show_are_refused_together() -> None:
    with pytest.raises(DataError, match=r"0 positive items of 4 and sampler\.empty_share 0\.0; raise the share"):
        batches(0, positive=np.zeros(4, bool), empty_share=0.0, cases=["a", "a", "b", "b"])
