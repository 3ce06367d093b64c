"""The tuned numbers of an ensemble: a ladder of complete rungs, each cheaper than the one before, and their file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from casefold.config.gates import GateStep
from casefold.config.load import read_yaml
from casefold.config.postprocess import StepConfig, Truncate
from casefold.core import ConfigError, DataError
from casefold.files import write_bytes, write_text

SCHEMA_VERSION = 2
HIGHEST = {"presence": 255, "pixels": None}  # gate level by source; a slice has as many pixels as it has
STRICT = ConfigDict(extra="forbid")


class RecipeError(DataError, ValueError):
    """Numbers that no recipe can have; a ValueError too, so that pydantic adds where in a file they stand."""


@dataclass(frozen=True)
class GateRule:
    """Stage one: a class is kept on a slice only where the members' signal for it reaches its level.

    members: their signals are combined with equal weights. source: presence 0..255, or the number of pixels of the
    members' mean map that are HALF or more. levels: by class; 0 lets all through. along_z: what is done to the signal
    before it is compared.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    members: tuple[str, ...]
    source: Literal["presence", "pixels"]
    levels: dict[str, int]
    along_z: tuple[GateStep, ...] = ()

    def __post_init__(self) -> None:
        if not self.members or len(set(self.members)) < len(self.members):
            raise RecipeError(f"members of a gate should be one or more, each named once: {list(self.members)}")


@dataclass(frozen=True)
class Rung:
    """A complete ensemble: what is read, how it is combined, and what is made of it.

    weights: by member and class, whole numbers, so that a mean rounds the same everywhere; a member that has 0 for a
    class is not read for it. levels: by class, 1..255. peaks: by class; a component is kept only where its largest q
    reaches the peak, one not above the level is off. post: in this order. score, cross_fitted: the objective on OOF, on
    the data that it was tuned on and on data that it was not tuned on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    weights: dict[str, dict[str, int]]
    levels: dict[str, int]
    peaks: dict[str, int]
    average: Literal["probabilities", "logits"]
    score: float
    cross_fitted: float
    seconds_a_scan: float
    gate: GateRule | None = None
    post: tuple[StepConfig, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        by_class: list[tuple[str, dict[str, int], int, int | None]] = [
            (f"weights of {member}", own, 0, None) for member, own in self.weights.items()
        ]
        by_class += [("levels", self.levels, 1, 255), ("peaks", self.peaks, 0, 255)]
        if self.gate is not None:
            by_class.append(("levels of the gate", self.gate.levels, 0, HIGHEST.get(self.gate.source)))
        classes = sorted({name for _, numbers, _, _ in by_class for name in numbers})
        for what, numbers, lowest, highest in by_class:
            _check_numbers(what, numbers, classes, lowest, highest)
        without = [name for name in classes if not any(own[name] for own in self.weights.values())]
        if without or not classes:
            raise RecipeError(f"weights: no member has one above 0 for {without or 'any class'}")
        for what in ("score", "cross_fitted", "seconds_a_scan"):
            if not math.isfinite(getattr(self, what)):
                raise RecipeError(f"{what} should be a number, but is {getattr(self, what)}")
        if self.seconds_a_scan < 0:
            raise RecipeError(f"seconds_a_scan should be 0 or more, but is {self.seconds_a_scan}")

    @property
    def members(self) -> list[str]:
        """Every member that is read, in order of their names; a gate that lets all through reads none."""
        segmenters = [name for name, own in self.weights.items() if any(own.values())]
        gates = self.gate.members if self.gate is not None and any(self.gate.levels.values()) else ()
        return sorted({*segmenters, *gates, *self.truncating})

    @property
    def truncating(self) -> list[str]:
        """The members whose presence post-processing reads."""
        return [step.member for step in self.post if isinstance(step, Truncate)]

    def words(self) -> str:
        """The rung in one line, for a person; what is off is left out."""
        parts = [f"weights {self.weights} on {self.average}", f"levels {self.levels}"]
        if any(self.peaks[name] > level for name, level in self.levels.items()):
            parts.append(f"peaks {self.peaks}")
        if self.gate is not None and any(self.gate.levels.values()):
            steps = " and ".join(step.name for step in self.gate.along_z)
            after = f" after {steps} along z" if steps else ""
            parts.append(f"gate by {self.gate.source} of {', '.join(self.gate.members)}{after} at {self.gate.levels}")
        if self.post:
            parts.append("then " + ", ".join(step.name for step in self.post))
        parts.append(
            f"score {self.score:.4f}, cross-fitted {self.cross_fitted:.4f}, {self.seconds_a_scan:.2f} s a scan"
        )
        return "; ".join([*parts, self.note] if self.note else parts)


@dataclass(frozen=True)
class Recipe:
    """An ensemble's ladder: rung 0 is everything, each further one is no dearer than the one before.

    models: `folds` or `full`. folds: those it was tuned on, whose models submit together. tuned_on: hashes of what it
    was tuned on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    dataset: str
    classes: tuple[str, ...]
    rungs: tuple[Rung, ...]
    models: Literal["folds", "full"] = "folds"
    folds: tuple[int, ...] = ()
    tuned_on: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rungs:
            raise RecipeError(f"recipe {self.name} has no rungs; wanted one or more")
        if len(set(self.classes)) < len(self.classes):
            raise RecipeError(f"recipe {self.name}: classes names one twice: {list(self.classes)}")
        if len(set(self.folds)) < len(self.folds) or min(self.folds, default=0) < 0:
            raise RecipeError(f"recipe {self.name}: folds should be 0 or more, each once, but are {list(self.folds)}")
        for number, rung in enumerate(self.rungs):
            where = f"recipe {self.name}, rung {number}"
            if set(rung.levels) != set(self.classes):
                raise RecipeError(f"{where} is for {sorted(rung.levels)}, the recipe for {sorted(self.classes)}")
            for step in (*rung.post, *(rung.gate.along_z if rung.gate is not None else ())):
                strange = sorted(set(step.classes or ()) - set(self.classes))
                if strange:
                    raise RecipeError(f"{where}: {step.name} treats {strange}, but the classes are {self.classes}")
        seconds = [rung.seconds_a_scan for rung in self.rungs]
        if seconds != sorted(seconds, reverse=True):
            raise RecipeError(f"recipe {self.name}: seconds_a_scan should not rise from rung to rung, but is {seconds}")

    @property
    def members(self) -> list[str]:
        """Every member that a rung reads, in order of their names."""
        return self.members_from(0)

    def rung(self, number: int) -> Rung:
        """A rung by its number; raises DataError where there is none."""
        if not 0 <= number < len(self.rungs):
            raise DataError(f"recipe {self.name} has the rungs 0..{len(self.rungs) - 1}, not {number}")
        return self.rungs[number]

    def members_from(self, number: int) -> list[str]:
        """Every member that this rung or a further one reads, in order of their names."""
        self.rung(number)
        return sorted({name for rung in self.rungs[number:] for name in rung.members})


_RECIPE = TypeAdapter(Recipe)
_RUNGS = TypeAdapter(dict[str, Rung])


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, without what is not set: as it is saved and hashed."""
    plain: dict[str, Any] = _RECIPE.dump_python(recipe, mode="json", exclude_none=True)
    return plain


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML."""
    content = {"schema": SCHEMA_VERSION, **as_plain(recipe)}
    # None: what holds plain values alone is written in one line, as `levels: {large_bowel: 121, stomach: 133}`
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises DataError where it is missing, of another schema or damaged, naming every fault."""
    if not path.is_file():
        raise DataError(f"no recipe {path}; run `tune` first")
    advice = "mend it, or remove it and run `tune` again"
    try:
        content = read_yaml(path)
    except ConfigError as e:
        raise DataError(f"{e}; {advice}") from e
    version = content.pop("schema", None)
    if version != SCHEMA_VERSION:
        raise DataError(f"{path} has schema {version!r}, this casefold reads schema {SCHEMA_VERSION}; run `tune` again")
    try:
        return _RECIPE.validate_python(content)
    except ValidationError as e:
        lines = "\n".join(f"  {_explain(fault)}" for fault in e.errors(include_url=False))
        raise DataError(f"{path} is no recipe; {advice}. It has {e.error_count()} fault(s):\n{lines}") from e


def save_rungs(by_case: Mapping[str, Rung], path: Path) -> None:
    """Write, as JSON, the rung of each case that was tuned without it, whose masks are the honest ones."""
    write_bytes(path, _RUNGS.dump_json(dict(by_case), exclude_none=True))


def load_rungs(path: Path) -> dict[str, Rung]:
    """Read them; raises DataError where they are missing or damaged."""
    if not path.is_file():
        raise DataError(f"there is no {path}; run `tune` first")
    try:
        return _RUNGS.validate_json(path.read_bytes())
    except ValidationError as e:
        raise DataError(f"{path} holds no rungs by case; remove it and run `tune` again: {e}") from e


def _check_numbers(
    what: str, numbers: Mapping[str, int], classes: Sequence[str], lowest: int, highest: int | None
) -> None:
    fits = all(type(n) is int and lowest <= n and (highest is None or n <= highest) for n in numbers.values())
    if not fits or set(numbers) != set(classes):
        span = f"of {lowest} and more" if highest is None else f"{lowest}..{highest}"
        raise RecipeError(f"{what} should be whole numbers {span} for each of {list(classes)}, but are {numbers}")


def _explain(fault: Any) -> str:
    where = ".".join(map(str, fault["loc"])) or "the whole"
    if fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: unknown word"
    if fault["type"] == "missing":
        return f"{where}: is missing"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if isinstance(fault["input"], dict) else f"{where}: {message}; came {fault['input']!r}"
