"""A generator whose draws are known beforehand."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Highest:
    """Stands for a numpy generator: draws are the highest that are allowed, noise is 1 everywhere."""

    def uniform(self, low: Any, high: Any, size: Any = None) -> Any:
        return np.array(np.broadcast_to(high, np.shape(high) if size is None else size), np.float64)

    def integers(self, low: int, high: int | None = None, endpoint: bool = False) -> int:
        return (low if high is None else high) - (0 if endpoint else 1)

    def standard_normal(self, size: Sequence[int], kind: Any) -> Any:
        return np.ones(size, kind)
