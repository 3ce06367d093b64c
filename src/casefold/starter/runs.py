"""How texts of runs are to be read: along rows or down columns, from 0 or 1, with absolute or relative starts.

The boundary of a mask decides: read in the wrong order it is scattered, and its boundary longer; counted from the wrong
pixel it is scattered at the image's edge. It is counted from the runs alone, so an image of any size costs nothing.
Where two readings have boundaries as long (a square image's transposed mask, a mask moved by one pixel), the image's
own edges decide, on which a true outline lies more often.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.readers.images.files import read_image
from casefold.rle import Base, Order, Starts, decode
from casefold.starter.guess import Finding

Runs = NDArray[np.int64]  # (run, 2): start and length
CLOSE = 1.05  # a boundary is not called longer below so many times the other
SURE = 2.0  # standard errors between two readings' edges, from which on they decide
LEAST_SHARE = 1e-6
LARGEST_PX, SHOWN_PX = 4096, 1024  # sides of an image that is opened, and that it is brought down to


class Sample(NamedTuple):
    """A text of runs with its image's height and width."""

    text: str
    height: int
    width: int
    image: Path


class Reading(NamedTuple):
    """How texts of runs are to be read, each with its evidence."""

    order: Finding[Order]
    base: Finding[Base]
    starts: Finding[Starts]


def find_reading(samples: Sequence[Sample]) -> Reading:
    """Order, base and starts that fit the masks best; samples are texts with at least one run."""
    starts = _find_starts([parse_runs(sample.text) for sample in samples])
    uneven = [sample for sample in samples if sample.height != sample.width]
    zero = any(parse_runs(sample.text)[:, 0].min() == 0 for sample in samples)
    bases: tuple[Base, ...] = (0,) if zero else (0, 1)
    orders: tuple[Order, ...] = ("row", "column")
    lengths = {(o, b): _total(uneven or samples, o, b, starts.value) for o in orders for b in bases}
    if uneven:
        best = min(orders, key=lambda order: min(lengths[order, base] for base in bases))
        order = _found_order({o: min(lengths[o, b] for b in bases) for o in orders}, best, len(uneven))
    else:
        base = min(bases, key=lambda base: lengths["row", base])
        order = _order_by_edges(samples, base, starts.value)
    if zero:
        return Reading(order, Finding(0, "a start of 0 occurs"), starts)
    return Reading(order, _find_base(samples, order.value, starts.value), starts)


def parse_runs(text: str) -> Runs:
    """The numbers of a text of pairs."""
    return np.array(text.split(), np.int64).reshape(-1, 2)


def from_first_pixel(runs: Runs, base: Base, starts: Starts) -> Runs:
    """Runs whose starts are counted from the first pixel, which is 0."""
    first = runs[:, 0] - base
    if starts == "relative":
        first = np.cumsum(first) + np.concatenate([[0], np.cumsum(runs[:-1, 1])])
    return np.stack([first, runs[:, 1]], axis=1)


def boundary(runs: Runs, line: int, lines: int) -> int:
    """The length in pixel sides of a mask's boundary inside its image of so many lines of so many pixels.

    runs: absolute, in order. Four sides a pixel, less those at the image's edge, less two for each pair of neighbours
    on a line and on neighbouring lines.
    """
    apart = runs[1:, 0] > runs[:-1].sum(axis=1)
    first = runs[np.concatenate([[True], apart]), 0]
    last = runs.sum(axis=1)[np.concatenate([apart, [True]])]  # one past the end
    before = np.concatenate([[0], np.cumsum(last - first)])

    def pixels_below(places: Runs) -> Runs:
        index = np.searchsorted(first, places)  # runs that start below a place; the last of them may go past it
        past = np.where(index > 0, np.maximum(0, last[index - 1] - places), 0)
        return np.asarray(before[index] - past)

    def at_column(column: int) -> int:
        return int(((last - 1 - column) // line - (first - 1 - column) // line).sum())

    pixels, size = int(before[-1]), line * lines
    inner = at_column(0) - int((first % line == 0).sum())  # pixels at a line's start whose run began before
    along = int((last - first - 1).sum()) - inner
    across = int((pixels_below(last + line) - pixels_below(first + line)).sum())
    top, above_last = (int(pixels_below(np.array([place]))[0]) for place in (line, size - line))
    return 4 * pixels - 2 * (along + across) - at_column(0) - at_column(line - 1) - top - (pixels - above_last)


def edge_share(image: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """The mean gradient of a grey image (y, x) on a mask's outline, over its mean everywhere; 1 where it has none."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1)
    slope = np.hypot(*np.gradient(smooth))
    outline = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return float(slope[outline].mean() / slope.mean()) if outline.any() and np.ptp(image) > 0 else 1.0


def _total(samples: Sequence[Sample], order: Order, base: Base, starts: Starts) -> int:
    shapes = [(s.width, s.height) if order == "row" else (s.height, s.width) for s in samples]
    runs = [from_first_pixel(parse_runs(sample.text), base, starts) for sample in samples]
    return sum(boundary(own, *shape) for own, shape in zip(runs, shapes, strict=True))


def _find_starts(texts: Sequence[Runs]) -> Finding[Starts]:
    several = [runs for runs in texts if len(runs) > 1]
    disorder = sum(bool((runs[1:, 0] < runs[:-1].sum(axis=1)).any()) for runs in several)
    if disorder:
        return Finding("relative", f"in {disorder} of {len(several)} texts a start lies before the end of the last run")
    return Finding("absolute", f"in all {len(several)} texts of several runs the starts increase")


def _found_order(lengths: dict[Order, int], best: Order, count: int) -> Finding[Order]:
    other: Order = "column" if best == "row" else "row"
    why = f"the boundary of {count} masks of images that are not square is {lengths[best]} px long, "
    close = lengths[other] < CLOSE * lengths[best]
    check = "the two orders hardly differ; look at a scan with its masks" if close else ""
    return Finding(best, f"{why}read by {other} {lengths[other]} px", check)


def _order_by_edges(samples: Sequence[Sample], base: Base, starts: Starts) -> Finding[Order]:
    gain, count = _edge_gain(samples, ("row", base, starts), ("column", base, starts))
    best: Order = "column" if gain < 0 else "row"
    why = "all images are square, so the wrong order gives the transposed mask; the outlines of "
    why += f"{count} masks lie on edges of their images by {best}, with {abs(gain):.1f} standard errors"
    return Finding(best, why, "that is thin; look at a scan with its masks" if abs(gain) < SURE else "")


def _find_base(samples: Sequence[Sample], order: Order, starts: Starts) -> Finding[Base]:
    """The first pixel's number, where no start is 0."""
    from_0, from_1 = (_total(samples, order, base, starts) for base in (0, 1))
    best: Base = 1 if from_1 <= from_0 else 0
    if from_0 != from_1:
        lengths = f"{min(from_0, from_1)} px long, counted from {1 - best} {max(from_0, from_1)} px"
        return Finding(best, f"no start of 0; the masks' boundary is {lengths}")
    gain, count = _edge_gain(samples, (order, 0, starts), (order, 1, starts))
    best = 0 if gain >= SURE else 1
    why = f"no start of 0, and no mask at the image's edge; the outlines of {count} masks lie on edges of their images "
    why += f"counted from {int(gain < 0)}, with {abs(gain):.1f} standard errors"
    return Finding(best, why, "that is thin, and a pixel to the side hard to see" if abs(gain) < SURE else "")


def _edge_gain(
    samples: Sequence[Sample], one: tuple[Order, Base, Starts], other: tuple[Order, Base, Starts]
) -> tuple[float, int]:
    """By how many standard errors outlines lie rather on edges under one reading than another; of how many masks."""
    gains = []
    for sample in samples:
        shape = (sample.height, sample.width)
        if max(shape) <= LARGEST_PX:
            image, step = read_image(sample.image), -(-max(shape) // SHOWN_PX)
            grey = (image if image.ndim == 2 else image.mean(axis=2))[::step, ::step]
            try:
                masks = [
                    decode(sample.text, shape, order=o, base=b, starts=s)[::step, ::step] for o, b, s in (one, other)
                ]
            except DataError:  # a text that is broken says nothing; `check` names it
                continue
            shares = [max(edge_share(grey, mask), LEAST_SHARE) for mask in masks]
            gains.append(np.log(shares[0] / shares[1]))
    error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return (float(np.mean(gains) / error) if error > 0 else 0.0), len(gains)
