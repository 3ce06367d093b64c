"""How to fold: by case, or by a column that says whose several cases are; and what else looks like a group."""

import math
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import yaml

from casefold.core import ConfigError
from casefold.readers.patterns import natural_key
from casefold.starter.guess import Guess, some
from casefold.starter.survey import Survey
from casefold.starter.tables import read_csv

FOLDS = 5
OWNER = re.compile(r"patient|subject|person|donor|individual|mouse|animal", re.IGNORECASE)
LARGEST_TABLE = 50 << 20  # bytes: what is larger holds masks, not cases
CASE_NAMES = "the cases' names"
MEMBERS = 3  # cases a group, at the least, for a part of a name to look like one


def add_folds(guess: Guess, cases: list[str], files: Survey) -> None:
    """Put `folds` into the config. cases: of every labelled scan. Raises ConfigError where there is only one."""
    names = sorted(set(cases), key=natural_key)
    if len(names) < 2:
        raise ConfigError(f"all labelled scans are of one case, {names}; folds are by case and want at least two")
    config: dict[str, Any] = {"kind": "case", "count": min(FOLDS, len(names)), "seed": 2022}
    why = f"{len(cases)} labelled scans of {len(names)} cases, the first are {some(names, 3)}"
    hints = list(_name_hints(CASE_NAMES, names))
    for file, frame in _tables(files, guess.base):
        if "case" not in frame or not set(names) <= set(frame["case"]):
            hints += _owner_hints(file, frame, len(names))
            continue
        own = frame[frame["case"].isin(names)]
        for column in own.columns.drop("case"):
            values = sorted(own[column].unique())
            group = {"kind": "group", "file": file, "column": column, "count": min(FOLDS, len(values)), "seed": 2022}
            if OWNER.search(column) and 2 <= len(values) < len(names):
                why += f"\n{file} says whose they are: {len(values)} different in `{column}`"
                config = group
            elif 2 <= len(values) <= len(names) / MEMBERS:
                hints.append(f"is `{column}` of {file} a group ({some(values)})? Then {_flow(group)}")
            elif len(values) == len(names):
                hints += _name_hints(f"`{column}` of {file}", list(own[column]))
    guess.add("folds", config, why, "\n".join(hints))


def _tables(files: Survey, base: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The CSVs below the root, by their paths there."""
    for name in files.ending(".csv"):
        if base == "." or name.path.startswith(f"{base}/"):
            frame = read_csv(files, name) if files.at(name).stat().st_size <= LARGEST_TABLE else None
            if frame is not None:
                yield name.path.removeprefix(f"{base}/"), frame


def _owner_hints(file: str, frame: pd.DataFrame, cases: int) -> Iterator[str]:
    for column in frame.columns:
        count = frame[column].nunique()
        if OWNER.search(column) and 2 <= count < len(frame):
            told = f"{file} has `{column}`, {count} different in {len(frame)} rows"
            yield f"{told}: where several of the {cases} cases are one's, fold by a CSV of case and group"


def _name_hints(what: str, names: list[str]) -> Iterator[str]:
    """The parts of names, all of one form, that repeat: a hospital, a scanner."""
    parts = [re.split("[^0-9A-Za-z]+", name) for name in names]
    if len({len(own) for own in parts}) > 1:
        return
    for place, column in enumerate(zip(*parts, strict=True)):
        values = sorted(set(column))
        if 2 <= len(values) <= len(names) / MEMBERS and not all(map(str.isdecimal, values)):
            pattern = "^" + "[^0-9A-Za-z]+".join(["[0-9A-Za-z]+"] * place + ["([0-9A-Za-z]+)"])
            group = {"kind": "group", "pattern": pattern, "count": min(FOLDS, len(values)), "seed": 2022}
            told = f"part {place + 1} of {what} repeats ({some(values)}): a hospital, a scanner? To fold by it"
            yield f"{told}: {_flow(group)}" if what == CASE_NAMES else f"{told}, write a CSV of case and group"


def _flow(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).strip()
