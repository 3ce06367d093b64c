"""How much of an ensemble there is time for: seconds a scan are learnt as it goes, and the dearest is shed first."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from casefold.recipe import Recipe

FOLDS = (5, 3, 2, 1)
MARGIN = 0.1
RECENT = 8
CLOSING_S = 60.0  # kept for writing and checking the submission, or CLOSING_SHARE of a short time
CLOSING_SHARE = 0.05


class Plan(NamedTuple):
    """A rung of the recipe by the first `folds` models of each member; cost: its time by the whole recipe's."""

    rung: int
    folds: int
    cost: float


def plans(recipe: Recipe, folds: int) -> list[Plan]:
    """Every plan, from the whole ensemble down: fewer folds of a rung, then the next rung with all of them.

    folds: models a member. Costs go by the rungs' seconds_a_scan, or by their number of members where one has none.
    """
    weights = [rung.seconds_a_scan for rung in recipe.rungs]
    if not all(weights):
        weights = [float(len(rung.members)) for rung in recipe.rungs]
    counts = [folds, *(count for count in FOLDS if count < folds)]
    return [
        Plan(rung, count, weight / weights[0] * count / folds)
        for rung, weight in enumerate(weights)
        for count in counts
    ]


class Clock:
    """The time that is left until a deadline, and the plan that fits into it.

    deadline_s: from now on. folds: models a member. now: gives seconds. Work is in any unit that a scan's time goes by.
    """

    def __init__(
        self, deadline_s: float, recipe: Recipe, folds: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.plans = plans(recipe, folds)
        self.now = now
        self.deadline = now() + deadline_s
        self._seen: deque[tuple[float, float]] = deque(maxlen=RECENT)  # work times cost, seconds

    def choose(self, works: Sequence[float]) -> Plan | None:
        """The first plan by which all of `works`, the next scan in front, are done in time with MARGIN to spare.

        Where none is, the cheapest; None where even by that the next scan alone would be late. The first scan of all
        is by the cheapest, too: nothing is known yet, and it tells what a scan takes.
        """
        left = self.deadline - self.now()
        if not self._seen:
            return self.plans[-1] if left > 0 else None
        rate = (1 + MARGIN) * sum(seconds for _, seconds in self._seen) / sum(work for work, _ in self._seen)
        fitting = (plan for plan in self.plans if rate * plan.cost * sum(works) <= left)
        last = self.plans[-1] if rate * self.plans[-1].cost * works[0] <= left else None
        return next(fitting, last)

    def note(self, plan: Plan, work: float, seconds: float) -> None:
        """Learn from a scan that was predicted; the last RECENT count."""
        self._seen.append((work * plan.cost, seconds))


def closing_seconds(deadline_s: float) -> float:
    """The seconds before a deadline that are kept for what comes after the last scan."""
    return min(CLOSING_S, CLOSING_SHARE * deadline_s)
