"""The scans that a report shows slice by slice: the worst, the best, and those whose labels are doubted."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.datasets import ImagesDataset
from casefold.metrics import Mask
from casefold.pipeline.report_masks import Maker, alone
from casefold.pipeline.report_pass import Looked, every
from casefold.pipeline.report_record import Task
from casefold.pipeline.tuning import processes_for
from casefold.recipe import Rung
from casefold.report.viewer import VIEWER_BYTES, Mark, Packed, pack

ENDS, DOUBTED = 5, 3  # so many of the worst, of the best, and of the most suspect


def viewer(looked: Looked, by_scan: pd.DataFrame, doubted: pd.DataFrame) -> tuple[Packed, ...]:
    """The worst scans, the best, and the most suspect that are neither."""
    scored = by_scan[by_scan["score"].notna()]
    names = scored["scan"].tolist()
    worst = names[: min(ENDS, math.ceil(len(names) / 2))]
    best = [name for name in names[::-1] if name not in worst][:ENDS]
    suspect = [name for name in doubted["scan"].tolist()[:DOUBTED] if name not in (*worst, *best)]
    groups = dict.fromkeys(worst, "worst") | dict.fromkeys(best, "best") | dict.fromkeys(suspect, "suspect")
    score = dict(zip(by_scan["scan"], by_scan["score"], strict=True))
    tasks, held = {task.source.scan: task for task in looked.tasks}, looked.held
    records = dict(zip(held.scans, held.records, strict=True))
    dataset = looked.project.dataset
    show = partial(
        _packed,
        classes=held.classes,
        colour=isinstance(dataset, ImagesDataset) and dataset.colour == "rgb",
        budget=VIEWER_BYTES // max(len(groups), 1),
    )
    wanted = [(tasks[name], group, float(score[name]), records[name].outliers) for name, group in groups.items()]
    with processes_for(looked.project, len(wanted)) as run:
        return tuple(every(run, show, wanted, "viewer"))


def _packed(wanted: tuple[Task, str, float, NDArray[Any]], classes: Sequence[str], colour: bool, budget: int) -> Packed:
    task, group, score, outliers = wanted
    scan, predictions = task.source.read()
    make = Maker(scan, predictions, task.lowest)
    del predictions

    def whole(rung: Rung) -> Mask:
        masks = np.zeros((len(classes), *scan.grid.shape), np.bool_)
        masks[:, *make.box] = make.masks(rung)
        return masks

    marks = [Mark(classes[int(c)], int(z), int(y), int(x)) for c, _, z, y, x, *_ in outliers.tolist() if z == z]
    found = {"ensemble": whole(task.rung)} | {name: whole(alone(task.rung, name)) for name in task.segmenters}
    return pack(scan, found, group=group, score=score, marks=marks, colour=colour, budget=budget)
