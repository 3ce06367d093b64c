"""Searches side by side: what all of them wait for is counted in one go, so that a scan is read once for all."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, Lock
from typing import TypeVar

from casefold.tune.memory import Count, Key, Remembers
from casefold.tune.objective import Floats

T = TypeVar("T")


class Stopped(Exception):
    """Another search failed, or counting was stopped: one that waits for it ends too."""


class SharedMemory:
    """A memory that several threads ask. Each goes on until it needs something new; when none can go on, all that was
    asked for is counted, by the thread that called `side_by_side`."""

    def __init__(self, memory: Remembers) -> None:
        lock = Lock()
        self._memory, self._waits, self._counted = memory, Condition(lock), Condition(lock)
        self._asked: list[tuple[list[Key], Count]] = []
        self._going, self._rounds, self._stopped = 0, 0, False

    def get(self, key: Key, count: Count) -> Floats:
        """What is kept under a key, counted where it is not."""
        self.fill([key], count)
        return self._memory.get(key, count)

    def fill(self, keys: Iterable[Key], count: Count) -> None:
        """Wait until something is kept under every key."""
        with self._counted:
            missing = self._memory.missing(keys)
            if missing:
                now = self._rounds
                self._asked.append((missing, count))
                self._waits.notify()
                self._counted.wait_for(lambda: self._stopped or self._rounds > now)
            if self._stopped:
                raise Stopped

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """The keys under which nothing is kept, each once."""
        return self._memory.missing(keys)

    def side_by_side(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What each work gives that asks this memory, in their order; an error of any ends all, and is raised."""
        self._going = len(works)
        with ThreadPoolExecutor(max(len(works), 1)) as threads:
            jobs = [threads.submit(self._work, work) for work in works]
            try:
                while self._count():
                    pass
            finally:
                self._stop(self._going > 0)
        errors = [error for job in jobs if (error := job.exception()) is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
            raise error
        return [job.result() for job in jobs]

    def _work(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except BaseException:
            self._stop(True)
            raise
        finally:
            with self._waits:
                self._going -= 1
                self._waits.notify()

    def _count(self) -> bool:
        """Wait until no work can go on, and count what they asked for; False once all have ended."""
        with self._waits:
            self._waits.wait_for(lambda: self._stopped or len(self._asked) == self._going)
            asked, self._asked = self._asked, []
            if self._stopped or not asked:
                return False
            for count in dict.fromkeys(count for _, count in asked):
                self._memory.fill([key for keys, own in asked if own == count for key in keys], count)
            self._rounds += 1
            self._counted.notify_all()
        return True

    def _stop(self, needed: bool) -> None:
        with self._counted:
            self._stopped |= needed
            self._waits.notify()
            self._counted.notify_all()
