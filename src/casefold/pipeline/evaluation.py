"""oof: verified out-of-fold predictions and their Dice tables."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.experiments import as_plain
from casefold.config.presence import PresenceTarget
from casefold.core import HALF, DataError, Prediction, Scan
from casefold.data.presence import presence_truth, target_of
from casefold.files import hash_file, hash_value, write_text, writing
from casefold.folds import FoldTable
from casefold.metrics import (
    DICE_WEIGHT,
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

    def values(self) -> dict[str, NDArray[np.float64]]:
        """What each number of `row` is the mean of, flat, NaN where nothing counts; for `uw_score` its Dice alone."""
        by_case = np.stack([dice_of(counts) for counts in self.cases.values()])
        total = mean_uwmgi(self.uwmgi)
        return {
            "dice_slice": np.concatenate([d.ravel() for d in self.slices]),
            "dice_scan": np.concatenate(self.scans),
            "dice_case": np.asarray(nan_mean(by_case, axis=1)),
            "uw_score": total.dice_values,
            "uw_distance": total.distances,
            **{f"dice {name}": by_case[:, c] for c, name in enumerate(self.classes)},
        }

    def row(self) -> dict[str, float]:
        """Means over slices, scans and cases; Dice of a case also by class."""
        means = {name: nan_mean(values) for name, values in self.values().items()}
        return {name: float(mean) for name, mean in _with_score(means).items()}


def case_interval(cases: Sequence[Tally], draws: int = 2000, level: float = 0.95) -> list[dict[str, float]]:
    """The bounds, low and high, of each number of `Tally.row`: percentile bootstrap over cases, a tally a case.

    A class that no case has gives NaN.
    """
    drawn = np.random.default_rng(0).integers(len(cases), size=(draws, len(cases)))
    parts = [tally.values() for tally in cases]
    means = {}
    for name in parts[0]:
        sums = np.array([np.nansum(part[name]) for part in parts])[drawn].sum(axis=1)
        counts = np.array([np.count_nonzero(~np.isnan(part[name])) for part in parts])[drawn].sum(axis=1)
        means[name] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    there = {name: values[~np.isnan(values)] for name, values in _with_score(means).items()}
    bounds = (1 - level) / 2, (1 + level) / 2
    return [
        {name: float(np.quantile(values, q)) if values.size else math.nan for name, values in there.items()}
        for q in bounds
    ]


def _with_score(means: Mapping[str, Any]) -> dict[str, Any]:
    """Means of `Tally.values`, one or many of each, with the UW-Madison score in the place of its Dice."""
    return {**means, "uw_score": DICE_WEIGHT * means["uw_score"] + (1 - DICE_WEIGHT) * (1 - means["uw_distance"])}


def predictions(project: Project, store: Store, folds: Sequence[int]) -> Iterator[tuple[Scan, dict[str, Prediction]]]:
    """Each labelled scan of these folds with the verified OOF of every member, one scan in memory at a time."""
    files = held_files(project, list(project.members), store, folds)
    for name in next(iter(files.values())):
        yield store.scan(name), {member: read_prediction(paths[name]) for member, paths in files.items()}


def held_files(
    project: Project, members: Sequence[str], store: Store, folds: Sequence[int]
) -> dict[str, dict[str, Path]]:
    """Each member's verified OOF files of the scans that all of them hold back in these folds, in the store's order.

    With fold tables of their own members hold back different scans in one fold, and the same in all. Raises DataError
    where these folds have no scan in common.
    """
    root = project.ensemble.dataset
    tables = project.tables(store, members)
    found = {name: join(project.paths.member(root, name), tables[name], store, folds) for name in members}
    scans = [scan for scan in store.labelled() if all(scan in own for own in found.values())]
    if not scans:
        raise DataError(
            f"no scan is held back by all members in the folds {list(folds)}, so there is no OOF to look at; take more "
            f"folds{', for members have fold tables of their own (`split`)' if project.splits else ''}"
        )
    return {name: {scan: own[scan] for scan in scans} for name, own in found.items()}


def oof_step(project: Project, folds: Sequence[int] | None = None) -> pd.DataFrame:
    """Train what is missing, verify every member's OOF, and score it fold by fold at level 128; writes oof.csv."""
    store, table, folds = trained(project, folds)
    path, inputs = project.out / "oof.csv", evaluation_inputs(project, table, store, folds)
    if is_current(path, inputs):
        return pd.read_csv(path)
    tallies: dict[tuple[str, str], Tally] = {}
    presence: dict[tuple[str, str], NDArray[np.int64]] = {}
    targets = {name: target_of(config) for name, config in project.members.items()}
    tables = project.tables(store, project.members)
    for scan, given in predictions(project, store, folds):
        for member, prediction in given.items():
            fold = str(tables[member].fold(store, scan.name))
            if prediction.maps is not None:
                tallies.setdefault((member, fold), Tally(store.classes)).add(scan, prediction.maps >= HALF)
            if prediction.presence is not None:
                counts = _slices(scan, prediction.presence, targets[member])
                presence.setdefault((member, fold), np.zeros(3, np.int64))[:] += counts
    for (member, _), tally in list(tallies.items()):
        tallies.setdefault((member, ALL), Tally(store.classes)).extend(tally)
    for (member, _), counts in list(presence.items()):
        presence.setdefault((member, ALL), np.zeros(3, np.int64))[:] += counts
    rows = [{"member": m, "fold": fold, **tally.row()} for (m, fold), tally in tallies.items()]
    rows += [
        {"member": m, "fold": fold, f"{targets[m].name}_f1": float(dice_of(n[None])[0])}
        for (m, fold), n in presence.items()
    ]
    frame = pd.DataFrame(rows).groupby(["member", "fold"], as_index=False).first()
    write_current(frame, path, inputs)
    return frame


def evaluation_inputs(project: Project, table: FoldTable, store: Store, folds: Sequence[int]) -> str:
    """A digest of all that a score on OOF depends on: ensemble, weights, detectors' too, fold table and data.

    Raises DataError where weights are gone.
    """
    names = [*project.members, *project.detectors]
    paths = {name: [project.run(name, str(fold)) / "weights.safetensors" for fold in folds] for name in names}
    for path in (path for own in paths.values() for path in own):
        read_info(path)
    weights = {name: [hash_file(path) for path in own] for name, own in paths.items()}
    splits = [hash_file(project.paths.fold_table(project.ensemble.dataset, split)) for split in project.splits]
    return hash_value([as_plain(project.ensemble), weights, table.hash, store.data_hash, *splits])


def is_current(path: Path, inputs: str) -> bool:
    """Whether a table is there and was made from these inputs, a digest."""
    mark = path.with_suffix(".inputs")
    return path.is_file() and mark.is_file() and mark.read_text() == inputs


def write_current(frame: pd.DataFrame, path: Path, inputs: str) -> None:
    """Write a table, and beside it the digest of what it was made from."""
    with writing(path):
        path.with_suffix(".inputs").unlink(missing_ok=True)
    write_text(path, frame.to_csv(index=False))
    write_text(path.with_suffix(".inputs"), inputs)


def trained(project: Project, folds: Sequence[int] | None) -> tuple[Store, FoldTable, Sequence[int]]:
    train_step(project, None if folds is None else [str(fold) for fold in folds])
    store = project.store()
    table = project.table(store)
    if folds is not None and len(folds) < table.count:
        logger.warning("only the folds %s are looked at: scores and recipe rest on their cases alone", list(folds))
    if table.kind == "time":
        logger.warning("same case: under a fold table by time, scores are on later scans of cases that were trained on")
    return store, table, range(table.count) if folds is None else folds


def _slices(scan: Scan, presence: NDArray[np.uint8], target: PresenceTarget) -> NDArray[np.int64]:
    """Slices of which presence should say something and does, should, does: pooled over classes."""
    there, found = presence_truth(scan, target), presence >= HALF
    return np.array([(there & found).sum(), there.sum(), found.sum()], np.int64)
