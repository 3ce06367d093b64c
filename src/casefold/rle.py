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
    flat = (mask if order == "row" else mask.T).astype(np.bool_, order="C", copy=False).tobytes()
    find = flat.find  # by memchr, which is faster than comparing all neighbours
    numbers: list[int] = []
    origin: int = -base
    start = find(1)
    while start >= 0:
        end = find(0, start)
        end = end if end >= 0 else len(flat)
        numbers += (start - origin, end - start)
        if starts == "relative":
            origin = end - base
        start = find(1, end)
    return " ".join(["%d %d"] * (len(numbers) // 2)) % tuple(numbers)


def decode(
    rle: str, shape: tuple[int, int], *, order: Order = "row", base: Base = 1, starts: Starts = "absolute"
) -> NDArray[np.bool_]:
    """The mask (height, width) that a text of runs stands for; an empty text gives an empty mask.

    Runs must be sorted and must not overlap, but may touch. Raises DataError naming what is wrong.
    """
    size = shape[0] * shape[1]
    stripes = _plain_stripes(rle, size, base, starts)
    if stripes is None:
        stripes = _stripes(rle, shape, base, starts)
    inside = np.zeros(len(stripes), np.bool_)
    inside[1::2] = True
    return inside.repeat(stripes).reshape(shape, order=_NUMPY_ORDER[order])


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


def _plain_stripes(rle: str, size: int, base: Base, starts: Starts) -> NDArray[np.int64] | None:
    """Lengths of background, run, background ... background, read at once; None where the text wants a closer look."""
    if not rle.isascii() or rle.encode().translate(None, b"0123456789 "):
        return None
    numbers = np.fromstring(rle, np.int64, sep=" ")  # a number too large for the type becomes the largest
    if not len(numbers) or len(numbers) % 2:
        return None
    stripes = np.empty(len(numbers) + 1, np.int64)
    stripes[:-1], stripes[-1] = numbers, size + base
    if starts == "absolute":
        stripes[0] -= base
        stripes[2::2] -= numbers[::2] + numbers[1::2]
    else:
        stripes[::2] -= base
        stripes[-1:] -= stripes[:-1].sum(keepdims=True)
    # as unsigned numbers, those below 0 are too large as well; where none is, no sum went round the corner
    return stripes if stripes.view(np.uint64).max() <= size and numbers[1::2].all() else None


def _stripes(rle: str, shape: tuple[int, int], base: Base, starts: Starts) -> NDArray[np.int64]:
    """What `_plain_stripes` gives, or the DataError that says why there are none."""
    first, lengths = _runs(rle, base, starts)
    size = shape[0] * shape[1]
    past = np.flatnonzero(lengths > size - first)  # not first + lengths, which a huge length takes round the corner
    if past.size:
        raise DataError(
            f"RLE: the run {first[past[0]] + base} {lengths[past[0]]} goes past the end of a mask of "
            f"{shape[0]} x {shape[1]} (height x width) = {size} pixels"
        )
    edges = np.stack([first, first + lengths], axis=1)
    return np.diff(edges.ravel(), prepend=0, append=size)


def _runs(rle: str, base: Base, starts: Starts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts (absolute, from 0) and lengths, word by word, checked in themselves."""
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
