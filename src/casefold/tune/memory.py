"""What the search counted, on disk by content: a second search, or one with a member more, counts only the rest."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from casefold.files import atomic, hash_value
from casefold.tune.counts import Mix, Point
from casefold.tune.objective import Floats


@dataclass
class Memory:
    """Arrays by what they are of. root: a folder, or None to keep them in memory alone.

    known: a digest of the data (truth, scans in their order, gate). members: by place in the mixes, name and digest of
    a member's predictions: what is kept is known by these, so the order and number of members does not matter.
    """

    root: Path | None
    known: str
    members: tuple[tuple[str, str], ...]
    _kept: dict[Any, Floats] = field(default_factory=dict)

    def get(self, key: tuple[Any, ...], count: Callable[[], Floats]) -> Floats:
        """What is kept under a key, counted where it is not."""
        if key not in self._kept:
            self._kept[key] = self._from_disk(key, count)
        return self._kept[key]

    def _from_disk(self, key: tuple[Any, ...], count: Callable[[], Floats]) -> Floats:
        if self.root is None:
            return count()
        path = self.root / f"{hash_value([self.known, *(self._plain(part) for part in key)])}.npy"
        if path.is_file():
            kept: Floats = np.load(path)
            return kept
        found = count()
        with atomic(path) as stream:
            np.save(stream, found)
        return found

    def _plain(self, part: Any) -> Any:
        if isinstance(part, Mix):
            used = [[*self.members[i], weight] for i, weight in enumerate(part.weights) if weight]
            return [sorted(used), part.average]
        if isinstance(part, Point):
            steps = [step.model_dump(mode="json") for step in part.post]
            return [self._plain(part.mix), part.gate, part.level, part.peak, steps]
        return part
