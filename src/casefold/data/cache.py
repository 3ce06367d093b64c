"""Prepared arrays kept in memory, as far as a budget goes."""

from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray


class ArrayCache:
    """Arrays by key: what came first stays until the budget is spent, the rest is made anew each time.

    Nothing is thrown out for another: an epoch asks for everything once in a shuffled order, where the last ones asked
    for are no more likely to be asked for next. A budget of 0 keeps nothing.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.left_bytes = budget_bytes
        self._arrays: dict[Hashable, NDArray[Any]] = {}

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of a key, made where it is not kept; it is not to be written to."""
        array = self._arrays.get(key)
        if array is None:
            array = make()
            if array.nbytes <= self.left_bytes:
                self._arrays[key] = array
                self.left_bytes -= array.nbytes
        return array
