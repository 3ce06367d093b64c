"""A submission drawn on the scans that it is of."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from casefold.config.base import Dataset
from casefold.config.masks import RleForm
from casefold.core import CasefoldError, Scan, pack_masks
from casefold.readers.rle_table import Key, decode_rows
from casefold.readers.table import csv_form, find, load
from casefold.report.montage import draw_montage
from casefold.submission import read_csv


def draw_submission(dataset: Dataset, root: Path, submission: Path, folder: Path, count: int) -> list[Path]:
    """PNGs of the first `count` scans, of the test part or where that is empty of the training part, as submitted.

    Scans that can't be read are passed over. What the submission has no row of is drawn without contours.
    """
    form, scans = csv_form(dataset), []
    for raw in find(dataset, root, "test") or find(dataset, root, "train"):
        try:
            scans.append(load(dataset, raw))
        except (CasefoldError, OSError):
            continue  # the run has told of it
        if len(scans) == count:
            break
    names = [name for scan in scans for name in scan.slice_names]
    given = read_csv(submission, [form], names, dataset.classes)
    paths = [folder / f"{scan.name}.png" for scan in scans]
    for scan, path in zip(scans, paths, strict=True):
        draw_montage(_submitted(scan, given, form), path)
    return paths


def _submitted(scan: Scan, given: Mapping[Key, str], form: RleForm) -> Scan:
    """The scan with the submission's masks as its own."""
    shape = scan.grid.shape[1:]
    masks = np.stack(
        [
            np.stack([decode_rows(given.get((name, label), ""), shape, form) for name in scan.slice_names])
            for label in scan.classes
        ]
    )
    return replace(scan, masks=pack_masks(masks), ignore=None)
