"""oof and tune: verified out-of-fold predictions, Dice tables, and a recipe with its cross-fitted score beside it."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.core import Prediction, Scan
from casefold.ensemble import Recipe, save_recipe, to_masks
from casefold.files import write_text
from casefold.folds import FoldTable
from casefold.metrics import (
    UwmgiScore,
    bootstrap_interval,
    dice_by_slice,
    dice_of,
    mean_uwmgi,
    nan_mean,
    overlap,
    uwmgi_score,
)
from casefold.oof import join, read_prediction
from casefold.pipeline.project import Project
from casefold.pipeline.steps import train_step
from casefold.store import Store
from casefold.tune import Choice, Table, build_table, case_scores, choose, cross_fit, to_recipe

logger = logging.getLogger(__name__)
HALF = 128


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


def predictions(project: Project, table: FoldTable, store: Store) -> Iterator[tuple[Scan, dict[str, Prediction]]]:
    """Each labelled scan with the verified OOF of every member, one scan in memory at a time."""
    files = {name: join(project.paths.member(project.ensemble.dataset, name), table, store) for name in project.members}
    for name in next(iter(files.values())):
        yield store.scan(name), {member: read_prediction(paths[name]) for member, paths in files.items()}


def oof_step(project: Project) -> pd.DataFrame:
    """Train what is missing, verify every member's OOF, and score it fold by fold at level 128; writes oof.csv."""
    train_step(project, None)
    store = project.store()
    table = project.table(store)
    tallies: dict[tuple[str, str], Tally] = {}
    presence: dict[tuple[str, str], NDArray[np.int64]] = {}
    for scan, given in predictions(project, table, store):
        for member, prediction in given.items():
            for fold in (str(table.fold(store, scan.name)), "all"):
                if prediction.maps is not None:
                    tallies.setdefault((member, fold), Tally(store.classes)).add(scan, prediction.maps >= HALF)
                if prediction.presence is not None:
                    presence.setdefault((member, fold), np.zeros(3, np.int64))[:] += _slices(scan, prediction.presence)
    rows = [{"member": m, "fold": fold, **tally.row()} for (m, fold), tally in tallies.items()]
    rows += [
        {"member": m, "fold": fold, "presence_f1": float(dice_of(n[None])[0])} for (m, fold), n in presence.items()
    ]
    frame = pd.DataFrame(rows).groupby(["member", "fold"], as_index=False).first()
    write_text(project.out / "oof.csv", frame.to_csv(index=False))
    return frame


def tune_step(project: Project) -> tuple[Recipe, pd.DataFrame]:
    """Search the recipe on verified OOF; writes recipe.yaml and scores.csv (tuned and cross-fitted, side by side).

    Rows: each segmenter alone with its own level, equal weights, the ensemble without and with the gate. `interval`
    is of the paired difference, over cases, of the ensemble's cross-fitted objective to that row's.
    """
    train_step(project, None)
    store = project.store()
    table = project.table(store)
    config, gate = project.ensemble.tune, project.ensemble.gate
    levels = gate.levels if gate is not None else ()
    counted = build_table(config, predictions(project, table, store), project.segmenters, project.gate, levels)
    variants: dict[str, Table] = {name: counted.alone(name) for name in project.segmenters}
    variants |= {"equal weights": counted.equal(), "without gate": counted.ungated()} if len(variants) > 1 else {}
    variants["ensemble"] = counted
    base = Recipe(
        name=project.ensemble.name,
        dataset=project.ensemble.dataset,
        classes=store.classes,
        weights=counted.weights[0],
        levels=dict.fromkeys(store.classes, HALF),
        gate=project.gate,
        gate_levels=None if project.gate is None else dict.fromkeys(store.classes, 0),
        min_voxels=project.ensemble.min_voxels,
        models=project.ensemble.models,
    )
    recipe = to_recipe(counted, choose(counted), base)
    honest, choices = cross_fit(counted, config)
    rows = []
    for name, variant in variants.items():
        tuned, fitted = case_scores(variant, choose(variant)), cross_fit(variant, config)[0]
        low, high = bootstrap_interval(honest - fitted)
        row = {"what": name, "tuned": float(nan_mean(tuned)), "cross_fitted": float(nan_mean(fitted))}
        rows.append(row | {"ensemble_minus": float(nan_mean(honest - fitted)), "low": low, "high": high})
    frame = pd.DataFrame(rows)
    full = _full_scores(project, table, store, counted, recipe, choices)
    scores: dict[str, Any] = {"objective": config.objective, "same_case": table.kind == "time", **full}
    save_recipe(recipe, scores, project.out / "recipe.yaml")
    write_text(project.out / "scores.csv", frame.to_csv(index=False))
    return recipe, pd.concat([frame, pd.DataFrame([{"what": what, **row} for what, row in full.items()])])


def _full_scores(
    project: Project, table: FoldTable, store: Store, counted: Table, recipe: Recipe, choices: Mapping[str, Choice]
) -> dict[str, dict[str, float]]:
    """Every metric of the tuned recipe on its own scans, and cross-fitted: each scan by the others' recipe."""
    fitted = {case: to_recipe(counted, choice, recipe) for case, choice in choices.items()}
    tallies = {"tuned (on itself)": Tally(store.classes), "cross-fitted": Tally(store.classes)}
    for scan, given in predictions(project, table, store):
        tallies["tuned (on itself)"].add(scan, to_masks(given, recipe)[0])
        tallies["cross-fitted"].add(scan, to_masks(given, fitted[scan.case])[0])
    return {name: tally.row() for name, tally in tallies.items()}


def _slices(scan: Scan, presence: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Slices with a class on them and found there, there, found: pooled over classes."""
    there, found = scan.class_masks().any(axis=(2, 3)), presence >= HALF
    return np.array([(there & found).sum(), there.sum(), found.sum()], np.int64)


def recipe_path(project: Project) -> Path:
    """Where tune writes the recipe."""
    return project.out / "recipe.yaml"
