"""A bundle's folder to what predicts, after its checksums were compared."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from casefold.config.base import Dataset
from casefold.config.load import parse_dataset, read_yaml
from casefold.core import DataError
from casefold.folds import natural_key
from casefold.recipe import Recipe, load_recipe

SUMS = "checksums.txt"
UPLOADER = ("dataset-metadata.json", "kernel-metadata.json")  # Kaggle's uploader reads these and keeps them
SHOWN = 5


@dataclass(frozen=True)
class Bundle:
    """All that predicting needs. runs: by member, the folders of its folds (of its full fit), in order."""

    folder: Path
    dataset: Dataset
    recipe: Recipe
    runs: dict[str, list[Path]]


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle; raises DataError naming the files that are not what `checksums.txt` says, or are missing."""
    check_sums(folder)
    config = folder / "dataset.yaml"
    recipe = load_recipe(folder / "recipe.yaml")
    runs = {name: _runs(folder / "models" / name) for name in recipe.members}
    without = [name for name, found in runs.items() if not found]
    if without:
        raise DataError(f"the bundle {folder} has no weights of {without}, which its recipe reads; make it again")
    return Bundle(folder, parse_dataset(read_yaml(config), config), recipe, runs)


def check_sums(folder: Path) -> None:
    """Compare every file of a bundle with `checksums.txt`, lines of `sha256  relative/path`; raises DataError."""
    path = folder / SUMS
    if not path.is_file():
        raise DataError(f"{folder} is no bundle: it has no {SUMS}; make it with `bundle`")
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines()]
    if not lines or any(len(line) != 2 for line in lines):
        raise DataError(f"{path} should hold lines of `sha256  relative/path`; make the bundle again")
    wanted = {name: digest for digest, name in lines}
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    faults = {
        "changed": [name for name in wanted if name in there and _sha256(folder / name) != wanted[name]],
        "missing": [name for name in wanted if name not in there and name not in UPLOADER],
        "not in the list": sorted(name for name in there - wanted.keys() if name.startswith(("models/", "wheels/"))),
    }
    told = [f"{len(found)} {what}: {_first(found)}" for what, found in faults.items() if found]
    if told:
        raise DataError(f"{folder} is not the bundle that {SUMS} says; upload it again. Files {'; '.join(told)}")


def _runs(member: Path) -> list[Path]:
    return sorted((path.parent for path in member.glob("*/weights.safetensors")), key=lambda run: natural_key(run.name))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
