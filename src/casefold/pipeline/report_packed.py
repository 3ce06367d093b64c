"""One scan packed for the viewer, with the ensemble's masks and each member's; loads no trainer."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from casefold.metrics import Mask
from casefold.pipeline.report_masks import Maker, alone
from casefold.pipeline.report_record import Task
from casefold.report.viewer import Mark, Packed, pack


class Wanted(NamedTuple):
    """A scan to be shown. group: why. outliers: of its record. colour: it is an RGB image. budget: in bytes."""

    task: Task
    classes: Sequence[str]
    group: str
    score: float
    outliers: NDArray[Any]
    colour: bool
    budget: int


def packed(wanted: Wanted) -> Packed:
    """Read it again, and pack it."""
    task, classes = wanted.task, wanted.classes
    scan, predictions = task.read()
    make = Maker(scan, predictions, [task.rung])
    del predictions
    marks = [Mark(classes[int(c)], int(z), int(y), int(x)) for c, _, z, y, x, *_ in wanted.outliers.tolist() if z == z]
    rungs = {"ensemble": task.rung} | {name: alone(task.rung, name) for name in task.segmenters}

    def found() -> Iterator[tuple[str, Mask]]:
        for name, rung in rungs.items():
            masks = np.zeros((len(classes), *scan.grid.shape), np.bool_)
            masks[:, *make.box] = make.masks(rung)
            yield name, masks

    return pack(
        scan, found(), group=wanted.group, score=wanted.score, marks=marks, colour=wanted.colour, budget=wanted.budget
    )
