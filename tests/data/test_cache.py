"""Arrays are kept as far as the budget goes, and made anew beyond it."""

import numpy as np
from numpy.typing import NDArray

from casefold.data.cache import ArrayCache


def test_what_came_first_stays_until_the_budget_is_spent() -> None:
    made: list[str] = []

    def get(cache: ArrayCache, key: str, size: int) -> NDArray[np.uint8]:
        def make() -> NDArray[np.uint8]:
            made.append(key)
            return np.full(size, ord(key), np.uint8)

        array = cache.get(key, make)
        assert array.tolist() == [ord(key)] * size
        return array

    cache = ArrayCache(10)
    for key, size in [("a", 6), ("b", 5), ("a", 6), ("c", 4), ("b", 5), ("c", 4), ("d", 1)]:
        get(cache, key, size)
    assert made == ["a", "b", "c", "b", "d"] and cache.left_bytes == 0
    assert get(cache, "a", 6) is get(cache, "a", 6)


def test_a_budget_of_nothing_keeps_nothing() -> None:
    cache = ArrayCache(0)
    first, second = (cache.get("a", lambda: np.zeros(1)) for _ in range(2))
    assert first is not second
