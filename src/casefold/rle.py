"""Run-length text of a mask, as submissions and label files hold it: `start length start length ...`.

A start is a pixel's number, or under `relative` its number counted anew from the end of the run before (SIIM-ACR).
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError

Order = Literal["row", "column"]
Base = Literal[0, 1]
Starts = Literal["absolute", "relative"]
_NUMPY_ORDER: dict[Order, Literal["C", "F"]] = {"row": "C", "column": "F"}


def encode(mask: NDArray[Any], *, order: Order = "row", base: Base = 1, starts: Starts = "absolute") -> str:
    """The runs of a mask (height, width) as text, in order, as few as can be; an empty mask gives an empty text."""
    if mask.ndim != 2:
        raise DataError(f"RLE is of one slice, (height, width); this mask has shape {mask.shape}")
    flat = mask.astype(np.bool_).ravel(_NUMPY_ORDER[order])
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=False)).reshape(-1, 2)
    before = np.concatenate([[0], edges[:-1, 1]]) if starts == "relative" and len(edges) else 0
    runs = np.stack([edges[:, 0] - before + base, edges[:, 1] - edges[:, 0]], axis=1)
    return " ".join(map(str, runs.ravel().tolist()))


def decode(
    rle: str, shape: tuple[int, int], *, order: Order = "row", base: Base = 1, starts: Starts = "absolute"
) -> NDArray[np.bool_]:
    """The mask (height, width) that a text of runs stands for; an empty text gives an empty mask.

    Runs must be sorted and must not overlap, but may touch. Raises DataError naming what is wrong.
    """
    first, lengths = _runs(rle, base, starts)
    size = shape[0] * shape[1]
    past = np.flatnonzero(lengths > size - first)  # not first + lengths, which a huge length takes round the corner
    if past.size:
        raise DataError(
            f"RLE: the run {first[past[0]] + base} {lengths[past[0]]} goes past the end of a mask of "
            f"{shape[0]} x {shape[1]} (height x width) = {size} pixels"
        )
    change = np.zeros(size + 1, np.int8)
    change[first] += 1
    change[first + lengths] -= 1
    flat = np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_)
    return flat.reshape(shape, order=_NUMPY_ORDER[order])


def check(
    rle: str, shape: tuple[int, int], *, order: Order = "row", base: Base = 1, starts: Starts = "absolute"
) -> None:
    """Raise DataError unless `rle` is the very text that `encode` writes for its mask."""
    mask = decode(rle, shape, order=order, base=base, starts=starts)
    if encode(mask, order=order, base=base, starts=starts) != rle:
        raise DataError(
            f"RLE: {_shorten(rle)} can be read but is not canonical: runs that touch should be one, "
            "numbers plain and parted by one space"
        )


def _runs(rle: str, base: Base, starts: Starts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts (absolute, from 0) and lengths, checked in themselves."""
    words = rle.split()
    if len(words) % 2:
        raise DataError(f"RLE: wanted pairs of start and length, but {_shorten(rle)} has {len(words)} entries")
    try:
        values = [int(word) for word in words]
        if starts == "relative":
            end = 0
            for index in range(0, len(values), 2):
                values[index] += end
                end = values[index] - base + values[index + 1]
        numbers = np.array(values, np.int64).reshape(-1, 2)
    except (ValueError, OverflowError) as e:
        raise DataError(f"RLE: wanted integers, but {_shorten(rle)} has other words: {e}") from e
    if (numbers[:, 0] < base).any():
        raise DataError(f"RLE: the first pixel is {base}, but a run starts at {numbers[:, 0].min()}")
    first, lengths = numbers[:, 0] - base, numbers[:, 1]
    if (lengths < 1).any():
        raise DataError(f"RLE: a run has at least 1 pixel, but one has the length {lengths.min()}")
    disorder = np.flatnonzero(first[1:] < first[:-1] + lengths[:-1])
    if disorder.size:
        place = int(disorder[0])
        pair = " and ".join(f"{start} {length}" for start, length in numbers[place : place + 2].tolist())
        raise DataError(f"RLE: runs should be sorted and not overlap, but {pair} follow one another")
    return first, lengths


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
