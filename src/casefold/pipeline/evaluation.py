"""oof: verified out-of-fold predictions and their Dice tables."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.experiments import as_plain
from casefold.core import HALF, Prediction, Scan
from casefold.files import hash_file, hash_value, write_text, writing
from casefold.folds import FoldTable
from casefold.metrics import (
    UwmgiScore,
    dice_by_slice,
    dice_of,
    mean_uwmgi,
    nan_mean,
    overlap,
    uwmgi_score,
)
from casefold.models.weights import read_info
from casefold.oof import join, read_prediction
from casefold.pipeline.project import Project
from casefold.pipeline.training import train_step
from casefold.store import Store

logger = logging.getLogger(__name__)
ALL = "all"


@dataclass
class Tally:
    """Scores gathered scan by scan: Dice by slice, scan and case (3D), and the UW-Madison score."""

    classes: tuple[str, ...]
    slices: list[NDArray[np.float64]] = field(default_factory=list)
    scans: list[NDArray[np.float64]] = field(default_factory=list)
    cases: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    uwmgi: list[UwmgiScore] = field(default_factory=list)

    def add(self, scan: Scan, masks: NDArray[np.bool_]) -> None:
        """Count one scan's masks (class, z, y, x) against its truth; ignored voxels count on neither side."""
        truth = scan.class_masks()
        if scan.ignore is not None:
            truth, masks = truth & ~scan.ignore, masks & ~scan.ignore
        counts = overlap(truth, masks)
        self.slices.append(dice_by_slice(truth, masks))
        self.scans.append(dice_of(counts))
        self.cases[scan.case] = self.cases.get(scan.case, np.zeros_like(counts)) + counts
        self.uwmgi.append(uwmgi_score(truth, masks))

    def extend(self, other: "Tally") -> None:
        """Take in what another counted on other scans."""
        self.slices += other.slices
        self.scans += other.scans
        for case, counts in other.cases.items():
            self.cases[case] = self.cases.get(case, np.zeros_like(counts)) + counts
        self.uwmgi += other.uwmgi

    def row(self) -> dict[str, float]:
        """Means over slices, scans and cases; Dice of a case also by class."""
        by_case = np.stack([dice_of(counts) for counts in self.cases.values()])
        total = mean_uwmgi(self.uwmgi)
        return {
            "dice_slice": float(nan_mean(np.concatenate([d.ravel() for d in self.slices]))),
            "dice_scan": float(nan_mean(np.stack(self.scans))),
            "dice_case": float(nan_mean(nan_mean(by_case, axis=1))),
            "uw_score": total.score,
            "uw_distance": total.hausdorff,
            **{f"dice {name}": float(nan_mean(by_case[:, c])) for c, name in enumerate(self.classes)},
        }


def predictions(
    project: Project, table: FoldTable, store: Store, folds: Sequence[int]
) -> Iterator[tuple[Scan, dict[str, Prediction]]]:
    """Each labelled scan of these folds with the verified OOF of every member, one scan in memory at a time."""
    root = project.ensemble.dataset
    files = {name: join(project.paths.member(root, name), table, store, folds) for name in project.members}
    for name in next(iter(files.values())):
        yield store.scan(name), {member: read_prediction(paths[name]) for member, paths in files.items()}


def oof_step(project: Project, folds: Sequence[int] | None = None) -> pd.DataFrame:
    """Train what is missing, verify every member's OOF, and score it fold by fold at level 128; writes oof.csv."""
    store, table, folds = trained(project, folds)
    path, inputs = project.out / "oof.csv", evaluation_inputs(project, table, store, folds)
    if is_current(path, inputs):
        return pd.read_csv(path)
    tallies: dict[tuple[str, str], Tally] = {}
    presence: dict[tuple[str, str], NDArray[np.int64]] = {}
    for scan, given in predictions(project, table, store, folds):
        fold = str(table.fold(store, scan.name))
        for member, prediction in given.items():
            if prediction.maps is not None:
                tallies.setdefault((member, fold), Tally(store.classes)).add(scan, prediction.maps >= HALF)
            if prediction.presence is not None:
                presence.setdefault((member, fold), np.zeros(3, np.int64))[:] += _slices(scan, prediction.presence)
    for (member, _), tally in list(tallies.items()):
        tallies.setdefault((member, ALL), Tally(store.classes)).extend(tally)
    for (member, _), counts in list(presence.items()):
        presence.setdefault((member, ALL), np.zeros(3, np.int64))[:] += counts
    rows = [{"member": m, "fold": fold, **tally.row()} for (m, fold), tally in tallies.items()]
    rows += [
        {"member": m, "fold": fold, "presence_f1": float(dice_of(n[None])[0])} for (m, fold), n in presence.items()
    ]
    frame = pd.DataFrame(rows).groupby(["member", "fold"], as_index=False).first()
    write_current(frame, path, inputs)
    return frame


def evaluation_inputs(project: Project, table: FoldTable, store: Store, folds: Sequence[int]) -> str:
    """A digest of all that a score on OOF depends on: ensemble, weights, fold table and data.

    Raises DataError where weights are gone.
    """
    paths = {name: [project.run(name, str(fold)) / "weights.safetensors" for fold in folds] for name in project.members}
    for path in (path for own in paths.values() for path in own):
        read_info(path)
    weights = {name: [hash_file(path) for path in own] for name, own in paths.items()}
    return hash_value([as_plain(project.ensemble), weights, table.hash, store.data_hash])


def trained(project: Project, folds: Sequence[int] | None) -> tuple[Store, FoldTable, Sequence[int]]:
    train_step(project, None if folds is None else [str(fold) for fold in folds])
    store = project.store()
    table = project.table(store)
    if folds is not None and len(folds) < table.count:
        logger.warning("only the folds %s are looked at: scores and recipe rest on their cases alone", list(folds))
    if table.kind == "time":
        logger.warning("same case: under a fold table by time, scores are on later scans of cases that were trained on")
    return store, table, range(table.count) if folds is None else folds


def is_current(path: Path, inputs: str) -> bool:
    mark = path.with_suffix(".inputs")
    return path.is_file() and mark.is_file() and mark.read_text() == inputs


def write_current(frame: pd.DataFrame, path: Path, inputs: str) -> None:
    with writing(path):
        path.with_suffix(".inputs").unlink(missing_ok=True)
    write_text(path, frame.to_csv(index=False))
    write_text(path.with_suffix(".inputs"), inputs)


def _slices(scan: Scan, presence: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Slices with a class on them and found there, there, found: pooled over classes."""
    there, found = scan.class_masks().any(axis=(2, 3)), presence >= HALF
    return np.array([(there & found).sum(), there.sum(), found.sum()], np.int64)
