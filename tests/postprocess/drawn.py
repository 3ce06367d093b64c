"""Masks drawn as text: a slice is its rows joined by `/`, a `#` is a voxel of the class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from casefold.config.postprocess import Step
from casefold.postprocess import apply


def mask(*slices: str) -> np.ndarray:
    """A mask of one class, bool (1, z, y, x)."""
    return np.array([[[[letter == "#" for letter in row] for row in text.split("/")] for text in slices]])


def picture(masks: np.ndarray) -> tuple[str, ...]:
    """The reverse of `mask`, for the first class."""
    return tuple("/".join("".join("#" if voxel else "." for voxel in row) for row in plane) for plane in masks[0])


def after(step: Step | Sequence[Step], *slices: str, **known: Any) -> tuple[str, ...]:
    """What steps leave of a drawing."""
    steps = [step] if isinstance(step, Step) else step
    return picture(apply(mask(*slices), steps, ("a",), **known))
