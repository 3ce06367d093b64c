"""Scan + recipe + members -> masks: the one path of submit, notebook and bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.core import DataError, Masks, Prediction, Scan
from casefold.ensemble import label_map, near_level, passed_gate, to_masks
from casefold.intensity import scan_statistics
from casefold.models.precision import pick_device
from casefold.oof.external import Outside, predict_outside
from casefold.predict import Member, SharedSlices, load_member, predict
from casefold.recipe import Recipe, Rung


@dataclass(frozen=True)
class Loaded:
    """An ensemble ready to predict. outside: the members whose maps were made elsewhere."""

    recipe: Recipe
    members: dict[str, Member]
    device: torch.device
    outside: Mapping[str, Outside] = field(default_factory=dict)

    def with_folds(self, count: int) -> "Loaded":
        """The same with the first `count` folds of each member, at least 1; one that has no more keeps all."""
        return replace(self, members={name: member.first_folds(count) for name, member in self.members.items()})


def load_ensemble_models(
    recipe: Recipe,
    runs: Mapping[str, Sequence[Path]],
    device: str = "auto",
    rung: int = 0,
    outside: Mapping[str, Outside] | None = None,
    engine: str = "torch",
) -> Loaded:
    """Load every member that this rung or a cheaper one reads, so that a clock can step down.

    runs: by member, the folders of its folds (or of its full fit). outside: the members made elsewhere, without runs.
    engine: a name of `models.engines.ENGINES`, what the networks run in.
    """
    target, outside = pick_device(device), outside or {}
    names = [name for name in recipe.members_from(rung) if name not in outside]
    missing = [name for name in names if not runs.get(name)]
    if missing:
        raise DataError(f"recipe {recipe.name}: no trained folds are given for {missing}")
    return Loaded(recipe, {name: load_member(runs[name], target, engine) for name in names}, target, outside)


def infer(loaded: Loaded, scan: Scan, exclusive: bool = False, rung: int = 0, fast: bool = False) -> Masks:
    """The masks of one scan, whole, by a rung; exclusive: also a label map (z, y, x) of one class at most a voxel.

    Slices that the gate closes for every class are not asked of the members behind it; masks and labels are the same as
    if they were. fast: these members predict in other batches, so that masks may differ where an ensemble's q is within
    1 of what decides it (counted in `near_level`); the gate and truncation always say the same.
    """
    recipe = loaded.recipe
    chosen, masks, maps = masks_and_maps(loaded, scan, rung, fast)
    labels = None
    if exclusive:
        levels = np.array([chosen.levels[name] for name in recipe.classes], np.uint8)
        # what post-processing has filled in lies below the level; there a class stands at its level
        filled = np.where(masks, np.maximum(maps, levels[:, None, None, None]), maps)
        labels = label_map(filled, levels.tolist(), allowed=masks)
    near = near_level(maps, chosen, recipe.classes)
    return Masks(scan.case, scan.name, recipe.classes, scan.slice_names, masks, labels, near)


def masks_and_maps(
    loaded: Loaded, scan: Scan, rung: int = 0, fast: bool = False
) -> tuple[Rung, NDArray[np.bool_], NDArray[np.uint8]]:
    """One scan's masks and the combined maps behind them (class, z, y, x), as `infer` has them.

    The rung that made them comes first: the one asked for, without members that say nothing of this scan.
    """
    recipe, chosen = loaded.recipe, loaded.recipe.rung(rung)
    absent = [name for name in chosen.members if name not in loaded.members and name not in loaded.outside]
    if absent:
        raise DataError(
            f"rung {rung} of recipe {recipe.name} reads {absent}, but only {sorted(loaded.members)} are loaded"
        )
    if not scan.statistics:
        scan = replace(scan, statistics=scan_statistics(scan.image))
    chosen, predictions = _predictions(loaded, chosen, scan, fast)
    return chosen, *to_masks(predictions, chosen, recipe.classes, scan.grid.spacing_mm)


def _predictions(loaded: Loaded, rung: Rung, scan: Scan, fast: bool) -> tuple[Rung, dict[str, Prediction]]:
    """What each member says of a scan, and the rung without those that say nothing."""
    given = {name: predict_outside(loaded.outside[name], scan) for name in rung.members if name in loaded.outside}
    silent = [name for name, said in given.items() if said is None]
    if silent:
        rung = _without(rung, silent, scan.name)
    said = {name: one for name, one in given.items() if one is not None}
    shared = SharedSlices()

    def ask(names: Sequence[str], slices: NDArray[np.bool_] | None, fast: bool) -> None:
        for name in names:
            if name not in said:
                said[name] = predict(loaded.members[name], scan, loaded.device, slices, fast, shared)

    if rung.gate is not None and any(rung.gate.levels.values()):
        ask(rung.gate.members, None, False)
    passed = passed_gate(said, rung, loaded.recipe.classes)
    ask(rung.truncating, None, False)
    ask(rung.members, None if passed is None else np.asarray(passed.any(0)), fast)
    return rung, said


def _without(rung: Rung, silent: Sequence[str], scan: str) -> Rung:
    """A rung in which the other members share the weight of some; raises DataError where they leave nobody."""
    weights = {name: own for name, own in rung.weights.items() if name not in silent}
    try:
        if rung.gate is not None and any(rung.gate.levels.values()):
            members = tuple(name for name in rung.gate.members if name not in silent)
            rung = replace(rung, gate=replace(rung.gate, members=members))
        return replace(rung, weights=weights)
    except DataError as e:
        raise DataError(f"scan {scan}: {silent} have no maps of it, and without them there is no ensemble: {e}") from e
