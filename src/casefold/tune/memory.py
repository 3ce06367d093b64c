"""What the search counted, on disk by content: a second search, or one with a member more, counts only the rest."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from casefold.files import atomic, hash_value
from casefold.tune.counts import Mix, Point
from casefold.tune.objective import Floats

Key = tuple[Any, ...]
Count = Callable[[list[Key]], Sequence[Floats]]


class Remembers(Protocol):
    """A memory as a search asks it, its own or shared with others."""

    def get(self, key: Key, count: Count) -> Floats:
        """What is kept under a key, counted where it is not."""

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """The keys under which nothing is kept, each once."""

    def fill(self, keys: Iterable[Key], count: Count) -> None:
        """See to it that something is kept under every key: `count` is given those of which nothing is, all at once."""


@dataclass
class Memory:
    """Arrays by what they are of. root: a folder, or None to keep them in memory alone.

    known: a digest of the data (truth, scans in their order, gate). members: by place in the mixes, name and digest of
    a member's predictions: what is kept is known by these, so the order and number of members does not matter.
    """

    root: Path | None
    known: str
    members: tuple[tuple[str, str], ...]
    _kept: dict[Key, Floats] = field(default_factory=dict)

    def get(self, key: Key, count: Count) -> Floats:
        """What is kept under a key, counted where it is not."""
        self.fill([key], count)
        return self._kept[key]

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """The keys under which nothing is kept, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self._kept and not self._from_disk(key)]

    def fill(self, keys: Iterable[Key], count: Count) -> None:
        """See to it that something is kept under every key: `count` is given those of which nothing is, all at once."""
        missing = self.missing(keys)
        if not missing:
            return
        for key, found in zip(missing, count(missing), strict=True):
            self._kept[key] = found
            if self.root is not None:
                with atomic(self._path(self.root, key)) as stream:
                    np.save(stream, found)

    def _from_disk(self, key: Key) -> bool:
        if self.root is None or not (path := self._path(self.root, key)).is_file():
            return False
        self._kept[key] = np.load(path)
        return True

    def _path(self, root: Path, key: Key) -> Path:
        return root / f"{hash_value([self.known, *(self._plain(part) for part in key)])}.npy"

    def _plain(self, part: Any) -> Any:
        if isinstance(part, Mix):
            used = [[*self.members[i], weight] for i, weight in enumerate(part.weights) if weight]
            return [sorted(used), part.average]
        if isinstance(part, Point):
            steps = [step.model_dump(mode="json") for step in part.post]
            return [self._plain(part.mix), part.gate, part.level, part.peak, steps]
        return part
