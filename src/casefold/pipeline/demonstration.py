"""The demo: every stage on the phantom, scored against the truth that was kept aside, and a picture."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from casefold.pipeline.evaluation import oof_step
from casefold.pipeline.project import Project
from casefold.pipeline.submitting import score_step, submit_step
from casefold.pipeline.tuning import tune_step
from casefold.readers.table import find, load
from casefold.report.figures import Panel, draw_overlays
from casefold.rle import decode
from casefold.submission import read_csv

PANELS = 3


def demo_step(project: Project, out: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Run all of it and yield titled tables; writes submission.csv and predictions.png into `out`."""
    yield "OOF, each member at level 128, by fold", oof_step(project)
    _, scores = tune_step(project)
    yield "ensemble on OOF: tuned, and cross-fitted (tuned on the other cases)", scores
    submission = submit_step(project, None, out / "submission.csv", None)
    truth = project.raw / "hidden" / "solution.csv"
    hidden = score_step(project, submission, truth)
    yield "hidden test, against the truth kept aside", hidden
    honest = scores.set_index("what").loc["recipe, cross-fitted"]
    total = hidden.set_index("scan").loc["all"]
    both = [{"where": where, "uw_score": row["uw_score"], "dice_slice": row["dice_slice"]}
            for where, row in (("OOF, cross-fitted", honest), ("hidden test", total))]  # fmt: skip
    yield "OOF beside hidden test", pd.DataFrame(both)
    _draw(project, submission, truth, out / "predictions.png")


def _draw(project: Project, submission: Path, truth: Path, path: Path) -> None:
    """The fullest slice of the first scans of the hidden test."""
    predicted, wanted = read_csv(submission), read_csv(truth)
    classes, panels = project.dataset.classes, []
    for raw in find(project.dataset, project.raw, "test")[:PANELS]:
        scan = load(project.dataset, raw)
        height, width = scan.grid.shape[1:]
        masks = [
            np.array([[decode(rows[name, label], (height, width)) for label in classes] for name in scan.slice_names])
            for rows in (wanted, predicted)
        ]
        z = int(masks[0].any(axis=1).sum(axis=(1, 2)).argmax())
        panels.append(Panel(scan.slice_names[z], scan.image[0, z], masks[0][z], masks[1][z]))
    draw_overlays(panels, classes, path)
