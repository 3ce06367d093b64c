"""Recipe, and what it does: weighted mean of maps, gate, levels, masks; the same numbers in tune and submission."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from casefold.config.load import read_yaml
from casefold.core import ConfigError, DataError, Prediction
from casefold.files import write_text
from casefold.postprocess import drop_small


@dataclass(frozen=True)
class Recipe:
    """The tuned numbers of an ensemble.

    weights: by segmenter. levels: by class, 1..255. gate: the classifying member, or None; gate_levels: by class, a
    slice is let through where presence >= level (0 lets all through). min_voxels: 3D components below it are dropped.
    models: `folds` or `full`. folds: those it was tuned on, whose models submit together.
    """

    name: str
    dataset: str
    classes: tuple[str, ...]
    weights: dict[str, float]
    levels: dict[str, int]
    gate: str | None = None
    gate_levels: dict[str, int] | None = None
    min_voxels: int = 0
    models: str = "folds"
    folds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.weights or min(self.weights.values()) < 0 or sum(self.weights.values()) <= 0:
            raise DataError(f"recipe {self.name}: weights should be 0 or more, and not all 0, but are {self.weights}")
        for what, levels, lowest in (("levels", self.levels, 1), ("gate_levels", self.gate_levels or {}, 0)):
            if levels and (set(levels) != set(self.classes) or not all(lowest <= q <= 255 for q in levels.values())):
                raise DataError(
                    f"recipe {self.name}: {what} should be {lowest}..255 for each of {self.classes}: {levels}"
                )
        if (self.gate is None) != (self.gate_levels is None):
            raise DataError(f"recipe {self.name}: gate and gate_levels go together")

    @property
    def members(self) -> list[str]:
        """Every member the recipe reads, in order of their names; a weight of 0 needs no prediction."""
        return sorted(
            {*(name for name, weight in self.weights.items() if weight > 0), *([self.gate] if self.gate else [])}
        )


def save_recipe(recipe: Recipe, scores: Mapping[str, Any], path: Path) -> None:
    """Write a recipe as YAML, with the scores it was tuned to beside it."""
    plain = asdict(recipe) | {"classes": list(recipe.classes), "folds": list(recipe.folds)}
    content = {"schema": 1, **plain, "scores": dict(scores)}
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises DataError where it is missing, damaged or of another schema."""
    if not path.is_file():
        raise DataError(f"no recipe {path}; run `tune` first")
    try:
        content = read_yaml(path)
        if content.pop("schema", None) != 1:
            raise DataError(f"{path} is of another schema; run `tune` again")
        content.pop("scores", None)
        return Recipe(**(content | {"classes": tuple(content["classes"]), "folds": tuple(content["folds"])}))
    except (ConfigError, KeyError, TypeError) as e:
        raise DataError(f"{path} is no recipe ({type(e).__name__}: {e}); remove it and run `tune` again") from e


def combine(maps: Mapping[str, NDArray[np.uint8]], weights: Mapping[str, float]) -> NDArray[np.uint8]:
    """The float64 weighted mean of maps (class, z, y, x) in the order of member names, rounded to uint8 again.

    Members of weight 0 are not read. Raises DataError naming a member whose maps are missing.
    """
    total: NDArray[np.float64] | None = None
    for name in sorted(name for name, weight in weights.items() if weight > 0):
        if name not in maps:
            raise DataError(f"the recipe weighs {name}, but there are maps of {sorted(maps)} only")
        part = maps[name] * np.float64(weights[name])
        total = part if total is None else total + part
    if total is None:
        raise DataError("no member has a weight above 0")
    return np.rint(total / sum(weights[name] for name in sorted(weights))).astype(np.uint8)


def gate_slices(presence: NDArray[np.uint8], levels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which slices pass, bool (class, z), from presence (class, z) and a level a class."""
    return presence >= levels[:, None]


def to_masks(predictions: Mapping[str, Prediction], recipe: Recipe) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Masks bool (class, z, y, x) of one scan, and the combined maps behind them. Order: gate, levels, components.

    predictions: by member, all of the recipe's. Raises DataError where one is missing or names other classes.
    """
    for name in recipe.members:
        if name not in predictions:
            raise DataError(f"recipe {recipe.name} wants {name}, but there are predictions of {sorted(predictions)}")
        if predictions[name].classes != recipe.classes:
            raise DataError(f"{name} predicts {predictions[name].classes}, the recipe is for {recipe.classes}")
    maps = combine({name: p.maps for name, p in predictions.items() if p.maps is not None}, recipe.weights)
    levels = np.array([recipe.levels[name] for name in recipe.classes])
    masks = maps >= levels[:, None, None, None]
    if recipe.gate is not None and recipe.gate_levels is not None:
        presence = predictions[recipe.gate].presence
        if presence is None:
            raise DataError(
                f"the gate {recipe.gate} predicts no presence; take a `cls` member or one with a presence head"
            )
        passed = gate_slices(presence, np.array([recipe.gate_levels[name] for name in recipe.classes]))
        masks &= passed[:, :, None, None]
    return drop_small(masks, recipe.min_voxels) if recipe.min_voxels else masks, maps


def label_map(
    maps: NDArray[np.uint8],
    levels: Sequence[int],
    values: Sequence[int] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """The exclusive label map, uint8 (z, y, x): at each voxel the class of the largest q - level, if not negative.

    maps: q, uint8 (class, z, y, x). levels: 1..255, one a class. values: the label of each class, else 1, 2, 3, ...
    allowed: bool (class, z, y, x), where a gate or post-processing leaves a class. Ties go to the first class; 0 is
    background.
    """
    values = tuple(range(1, len(maps) + 1)) if values is None else tuple(values)
    if not len(maps) == len(levels) == len(values):
        raise DataError(
            f"{len(maps)} maps, {len(levels)} levels and {len(values)} label values; wanted one a class of each"
        )
    if min(values) < 1 or max(values) > 255 or len(set(values)) != len(values):
        raise DataError(f"label values should differ and lie in 1..255, but are {list(values)}")
    margin = maps.astype(np.int16) - np.asarray(levels, np.int16)[:, None, None, None]
    if allowed is not None:
        margin[~allowed] = -1
    best = np.asarray(values, np.uint8)[margin.argmax(0)]
    return np.where(margin.max(0) >= 0, best, np.uint8(0))
