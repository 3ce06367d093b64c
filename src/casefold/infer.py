"""Scan + recipe + members -> masks: the one path of submit, notebook and bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from casefold.core import DataError, Masks, Scan
from casefold.ensemble import Recipe, label_map, to_masks
from casefold.intensity import scan_statistics
from casefold.models.precision import pick_device
from casefold.predict import Member, load_member, predict


@dataclass(frozen=True)
class Loaded:
    """An ensemble ready to predict."""

    recipe: Recipe
    members: dict[str, Member]
    device: torch.device


def load_ensemble_models(recipe: Recipe, runs: Mapping[str, Sequence[Path]], device: str = "auto") -> Loaded:
    """Load every member that the recipe reads; runs: by member, the folders of its folds (or of its full fit)."""
    target = pick_device(device)
    missing = [name for name in recipe.members if not runs.get(name)]
    if missing:
        raise DataError(f"recipe {recipe.name}: no trained folds are given for {missing}")
    members = {name: load_member(runs[name], target) for name in recipe.members}
    return Loaded(recipe, members, target)


def infer(loaded: Loaded, scan: Scan, exclusive: bool = False) -> Masks:
    """The masks of one scan, whole; exclusive: also a label map (z, y, x) where each voxel has one class at most."""
    if not scan.statistics:
        scan = replace(scan, statistics=scan_statistics(scan.image))
    predictions = {name: predict(member, scan, loaded.device) for name, member in loaded.members.items()}
    masks, maps = to_masks(predictions, loaded.recipe)
    levels = [loaded.recipe.levels[name] for name in loaded.recipe.classes]
    labels = label_map(maps, levels, allowed=masks) if exclusive else None
    return Masks(scan.case, scan.name, loaded.recipe.classes, scan.slice_names, masks, labels)
