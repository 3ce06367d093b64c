"""The part of a scan that steps work on: the box that holds all of its masks, and what else they may read there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from casefold.config.postprocess import Step
from casefold.core import Triple

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Part:
    """Masks of one scan inside the box that holds them all, for steps to change in place.

    masks: bool (class, z, y, x) of the box. shape: the scan's own (z, y, x). maps: uint8 (class, z, y, x) of the box.
    presence: uint8 (class or 1, z) of the whole scan, by member.
    """

    masks: Mask
    classes: tuple[str, ...]
    box: Box
    shape: tuple[int, ...]
    spacing_mm: Triple | None = None
    presence: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    maps: NDArray[np.uint8] | None = None
    levels: Sequence[int] | None = None

    def chosen(self, step: Step) -> list[int]:
        """Where the step's classes stand, in the step's order."""
        return [self.classes.index(name) for name in step.classes or self.classes]

    def each(self, step: Step) -> Iterator[Mask]:
        """The masks (z, y, x) of the step's classes, not the empty ones, each as a view of its own smallest box."""
        for index in self.chosen(step):
            if (box := smallest_box(self.masks[index])) is not None:
                yield self.masks[index][box]


def common_box(masks: Mask) -> Box:
    """The smallest box (z, y, x) that holds all masks (class, z, y, x); an empty one where all are empty."""
    boxes = [box for mask in masks if (box := smallest_box(mask)) is not None]
    starts = [min((box[axis].start for box in boxes), default=0) for axis in range(3)]
    stops = [max((box[axis].stop for box in boxes), default=0) for axis in range(3)]
    z, y, x = (slice(start, stop) for start, stop in zip(starts, stops, strict=True))
    return z, y, x


def slices_with(mask: Mask) -> NDArray[np.bool_]:
    """Which slices of a mask (z, y, x) hold anything, bool (z,)."""
    return np.asarray(mask.any((1, 2)))


def smallest_box(mask: Mask) -> Box | None:
    """The smallest box (z, y, x) that holds a mask, or None for an empty one."""
    slices = np.flatnonzero(slices_with(mask))
    if not slices.size:
        return None
    flat = np.asarray(mask[slices[0] : slices[-1] + 1].any(0))
    sides = (slices, np.flatnonzero(flat.any(1)), np.flatnonzero(flat.any(0)))
    z, y, x = (slice(int(side[0]), int(side[-1]) + 1) for side in sides)
    return z, y, x
