"""The scans that a report shows slice by slice: the worst, the best, and those whose labels are doubted."""

import math

import pandas as pd

from casefold.config.datasets import ImagesDataset
from casefold.pipeline.report_packed import Wanted, packed
from casefold.pipeline.report_pass import Looked
from casefold.pipeline.report_share import every
from casefold.report.viewer import VIEWER_BYTES, Packed

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
    tasks, held = {task.scan: task for task in looked.tasks}, looked.held
    records = dict(zip(held.scans, held.records, strict=True))
    dataset = looked.project.dataset
    colour = isinstance(dataset, ImagesDataset) and dataset.colour == "rgb"
    budget = VIEWER_BYTES // max(len(groups), 1)
    wanted = [
        Wanted(tasks[name], held.classes, group, float(score[name]), records[name].outliers, colour, budget)
        for name, group in groups.items()
    ]
    return tuple(every(looked.project.jobs, packed, wanted, "viewer"))
