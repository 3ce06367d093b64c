"""The clock's decisions, worked out by hand: a rung of 4 seconds a scan with 5 folds, then one of 1 second."""

import pytest

from casefold.recipe import Recipe
from casefold.rerun.clock import Clock, Plan, closing_seconds, plans
from toy_recipe import recipe, rung

LADDER = recipe(rung(seconds_a_scan=4.0), rung(seconds_a_scan=1.0))


class Hand:
    """A clock's hand that only a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def clock_after(
    deadline_s: float, passed_s: float, seconds: float, ladder: Recipe = LADDER, cheapest: float = 0.05
) -> Clock:
    """A clock that has seen one scan of work 1, by the cheapest plan, and then stands where the test wants it."""
    hand = Hand()
    clock = Clock(deadline_s, ladder, 5, hand)
    clock.note(Plan(1, 1, cheapest), 1.0, seconds)
    hand.at += passed_s
    return clock


def test_folds_are_shed_first_then_the_next_rung_is_taken_with_all_of_them() -> None:
    steps = [(plan.rung, plan.folds, plan.cost) for plan in plans(LADDER, 5)]
    assert steps == [
        (0, 5, 1.0), (0, 3, 0.6), (0, 2, 0.4), (0, 1, 0.2),
        (1, 5, 0.25), (1, 3, 0.15), (1, 2, 0.1), (1, 1, 0.05),
    ]  # fmt: skip


def test_a_full_fit_has_no_folds_to_shed_and_two_folds_shed_one() -> None:
    assert [(plan.rung, plan.folds) for plan in plans(LADDER, 1)] == [(0, 1), (1, 1)]
    assert [(plan.rung, plan.folds) for plan in plans(LADDER, 2)] == [(0, 2), (0, 1), (1, 2), (1, 1)]
    assert [plan.folds for plan in plans(recipe(), 7)] == [7, 5, 3, 2, 1]


def test_a_rung_that_was_not_timed_is_weighed_by_its_members() -> None:
    two = rung(weights={"one": {"a": 1, "b": 1}, "two": {"a": 1, "b": 1}}, seconds_a_scan=0.0)
    assert [plan.cost for plan in plans(recipe(two, rung(seconds_a_scan=0.0)), 1)] == [1.0, 0.5]


def test_the_first_scan_is_by_the_cheapest_plan() -> None:
    assert Clock(3600.0, LADDER, 5).choose([1.0] * 100) == Plan(1, 1, 0.05)
    assert Clock(0.0, LADDER, 5).choose([1.0] * 100) is None


@pytest.mark.parametrize(
    ("left_s", "plan"),
    [  # 1 second at a cost of 0.05 is 20 seconds a scan by the whole, 22 with the margin; ten scans wait: 220
        (220.0, (0, 5)),
        (219.0, (0, 3)),  # 132
        (131.0, (0, 2)),  # 88
        (87.0, (0, 1)),  # 44
        (43.0, (1, 3)),  # 33; with all folds the next rung takes 55, more than what was shed before it
        (32.0, (1, 2)),  # 22
        (21.0, (1, 1)),  # 11
        (10.9, (1, 1)),  # not all ten any more, but the next one, 1.1
        (1.2, (1, 1)),
        (1.0, None),
    ],
)
def test_the_first_plan_that_fits_what_waits_is_taken(left_s: float, plan: tuple[int, int] | None) -> None:
    clock = clock_after(300.0, 300.0 - left_s, seconds=1.0)
    chosen = clock.choose([1.0] * 10)
    assert (None if chosen is None else chosen[:2]) == plan


def test_the_next_rung_is_taken_whole_where_that_is_cheaper() -> None:
    ladder = recipe(rung(seconds_a_scan=10.0), rung(seconds_a_scan=1.0))  # 0.02 the cheapest: 50 s by the whole, 55
    assert clock_after(100.0, 40.0, 1.0, ladder, 0.02).choose([1.0] * 10) == Plan(1, 5, 0.1)  # 55 of 60


def test_work_counts_not_scans() -> None:
    clock = clock_after(300.0, 0.0, seconds=1.0)
    assert clock.choose([1.0] * 10) == Plan(0, 5, 1.0)  # 220
    assert clock.choose([*[1.0] * 9, 5.0]) == Plan(0, 3, 0.6)  # 14 of work are 308, or 185 by three folds


def test_a_machine_that_gets_faster_gets_the_whole_again() -> None:
    hand = Hand()
    clock = Clock(1000.0, LADDER, 5, hand)
    clock.note(Plan(1, 1, 0.05), 1.0, 5.0)  # 110 seconds a scan with the margin, twenty are 2200
    assert clock.choose([1.0] * 20) == Plan(0, 2, 0.4)
    for _ in range(8):  # only the last eight count: 22 each
        clock.note(Plan(0, 2, 0.4), 1.0, 8.0)
    hand.at += 500
    assert clock.choose([1.0] * 20) == Plan(0, 5, 1.0)  # 440


def test_a_minute_is_kept_for_the_end_or_a_twentieth_of_a_short_time() -> None:
    assert closing_seconds(9 * 3600) == 60.0
    assert closing_seconds(100.0) == 5.0
