"""Several searches ask one memory: what they wait for is counted together, and an error of one ends all."""

from collections.abc import Callable

import numpy as np
import pytest

from casefold.tune.memory import Key, Memory
from casefold.tune.objective import Floats
from casefold.tune.together import SharedMemory


class Counter:
    """Gives a key's own number, and remembers which keys it was asked for at once."""

    def __init__(self) -> None:
        self.rounds: list[list[Key]] = []

    def __call__(self, keys: list[Key]) -> list[Floats]:
        self.rounds.append(sorted(keys))
        return [np.array(float(key[0])) for key in keys]


def asking(shared: SharedMemory, count: Counter, *keys: int) -> Callable[[], float]:
    """A work that asks for keys one after the other and adds what it gets."""
    return lambda: float(sum(shared.get((key,), count) for key in keys))


def test_what_all_wait_for_is_counted_at_once_and_each_thing_once() -> None:
    count = Counter()
    shared = SharedMemory(Memory(None, "", ()))
    works = [asking(shared, count, 1, 2, 3), asking(shared, count, 1, 5), asking(shared, count, 4)]
    assert shared.side_by_side(works) == [6.0, 6.0, 4.0]
    # 1, 1 and 4 are waited for first; then 2 and 5; then 3 alone
    assert count.rounds == [[(1,), (4,)], [(2,), (5,)], [(3,)]]


def test_what_is_kept_is_not_waited_for() -> None:
    count, memory = Counter(), Memory(None, "", ())
    memory.fill([(1,), (2,)], count)
    shared = SharedMemory(memory)
    assert shared.side_by_side([asking(shared, count, 1, 2), asking(shared, count, 2, 3)]) == [3.0, 5.0]
    assert count.rounds == [[(1,), (2,)], [(3,)]]


def test_no_work_gives_nothing() -> None:
    assert SharedMemory(Memory(None, "", ())).side_by_side([]) == []


def test_an_error_of_one_search_ends_all_and_is_the_one_that_is_raised() -> None:
    count = Counter()
    shared = SharedMemory(Memory(None, "", ()))

    def fails() -> float:
        shared.get((1,), count)
        raise ValueError("this one")

    endless = asking(shared, count, *range(1, 10_000))
    with pytest.raises(ValueError, match="this one"):
        shared.side_by_side([endless, fails, endless])
    assert len(count.rounds) < 10


def test_an_error_while_counting_ends_all() -> None:
    def count(keys: list[Key]) -> list[Floats]:
        raise OSError("disk full")

    shared = SharedMemory(Memory(None, "", ()))
    works = [lambda: float(shared.get((1,), count)), lambda: float(shared.get((2,), count))]
    with pytest.raises(OSError, match="disk full"):
        shared.side_by_side(works)
