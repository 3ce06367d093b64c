"""What was freed goes back to the system."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from casefold.data import memory
from casefold.data.memory import give_back_freed

COUNT, SIZE = 64, 100_000  # below the 128 KB from which glibc maps an array by itself


def anonymous_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def test_holes_in_the_heap_are_given_back() -> None:
    """Every second of 64 arrays is freed: the others hold the heap where it is."""
    arrays = [np.ones(SIZE, np.uint8) for _ in range(COUNT)]
    before = anonymous_kb()
    del arrays[::2]
    give_back_freed()
    assert before - anonymous_kb() > COUNT // 2 * SIZE // 1024 // 2
    assert all(array.all() for array in arrays)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._malloc_trim.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    give_back_freed()
    assert memory._malloc_trim() is None
    memory._malloc_trim.cache_clear()
