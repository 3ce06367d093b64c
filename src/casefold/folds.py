"""Fold tables: made once by group k-fold, verified at every read; a case on both sides is refused by name."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from casefold.config.base import CaseFolds, FoldsConfig, GroupFolds
from casefold.core import ConfigError, DataError, LeakError
from casefold.files import hash_value, write_text
from casefold.store import Store

TRAIN_ONLY = -1


@dataclass(frozen=True)
class FoldTable:
    """Which fold holds a case back (kind `case`), or a scan (kind `time`; -1: it only trains)."""

    kind: Literal["case", "time"]
    fold_of: dict[str, int]

    @property
    def count(self) -> int:
        """Number of folds."""
        return 1 + max(self.fold_of.values())

    @property
    def hash(self) -> str:
        """A digest that does not depend on the order of rows."""
        return hash_value([self.kind, self.fold_of])

    def unit(self, store: Store, scan: str) -> str:
        """What must not stand on both sides for this scan: its case, or under kind `time` itself."""
        return scan if self.kind == "time" else store.case_of[scan]

    def fold(self, store: Store, scan: str) -> int:
        """The fold that holds this scan back."""
        return self.fold_of[self.unit(store, scan)]

    def split(self, store: Store, fold: int) -> tuple[list[str], list[str]]:
        """The labelled scans that train and those held back in a fold; raises ConfigError beyond the table."""
        if not 0 <= fold < self.count:
            raise ConfigError(f"there is no fold {fold}: the table has folds 0 to {self.count - 1}")
        held = [name for name in store.labelled() if self.fold(store, name) == fold]
        train = [name for name in store.labelled() if self.fold(store, name) != fold]
        both = sorted({self.unit(store, name) for name in train} & {self.unit(store, name) for name in held})
        if both:
            raise LeakError(f"fold {fold} would train on and hold back {both}")
        return train, held


def make(config: FoldsConfig, store: Store, groups: dict[str, str] | None = None) -> FoldTable:
    """A new table for the labelled scans; groups: case to group, for kind `group`.

    Kinds `case` and `group` balance which classes the slices hold (scikit-learn's StratifiedGroupKFold).
    """
    from sklearn.model_selection import StratifiedGroupKFold

    slices = store.slices[store.slices["labelled"]]
    if slices.empty:
        raise DataError(f"the store {store.root} has no labelled scan, so there is nothing to fold")
    if not isinstance(config, CaseFolds | GroupFolds):
        return _by_time(store)
    cases = slices["case"].astype(str)
    units = cases if groups is None else cases.map(_grouped(set(cases), groups))
    if units.nunique() < config.count:
        raise ConfigError(f"{config.count} folds want at least as many groups; there are {units.nunique()}")
    holds = (slices[list(store.classes)] > 0).to_numpy() @ (1 << np.arange(len(store.classes)))
    splitter = StratifiedGroupKFold(config.count, shuffle=True, random_state=config.seed)
    fold_of: dict[str, int] = {}
    for fold, (_, held) in enumerate(splitter.split(slices, holds, units)):
        fold_of.update(dict.fromkeys(cases.iloc[held], fold))
    return FoldTable("case", {case: fold_of[case] for case in sorted(fold_of, key=natural_key)})


def write(table: FoldTable, store: Store, path: Path) -> None:
    """Write a table as CSV: `case,fold`, or `case,scan,fold` for kind `time`."""
    if table.kind == "time":
        rows = [(store.case_of[scan], scan, fold) for scan, fold in table.fold_of.items()]
        frame = pd.DataFrame(rows, columns=["case", "scan", "fold"])
    else:
        frame = pd.DataFrame(list(table.fold_of.items()), columns=["case", "fold"])
    write_text(path, frame.to_csv(index=False))


def read(path: Path, store: Store, groups: dict[str, str] | None = None) -> FoldTable:
    """Read a table and verify it against the store; raises LeakError or DataError naming what is wrong."""
    if not path.is_file():
        raise DataError(f"no fold table {path}; `folds` makes it")
    frame = pd.read_csv(path, dtype={"case": str, "scan": str}, keep_default_na=False)
    columns = list(frame.columns)
    if columns not in (["case", "fold"], ["case", "scan", "fold"]):
        raise DataError(f"{path} should have the columns case,fold or case,scan,fold, but has {columns}")
    if not pd.api.types.is_integer_dtype(frame["fold"]):
        raise DataError(f"{path}: every fold should be a whole number, the column holds {frame['fold'].unique()[:8]}")
    key = "scan" if "scan" in columns else "case"
    by_key = frame.groupby(key)["fold"].agg(["nunique", "size"])
    leaking = by_key.index[by_key["nunique"] > 1].tolist()
    if leaking:
        raise LeakError(f"{path}: {key} {leaking[0]} is in more than one fold (so are {leaking[1:5]})")
    twice = by_key.index[by_key["size"] > 1].tolist()
    if twice:
        raise DataError(f"{path}: {key} {twice[0]} stands more than once")
    table = FoldTable("time" if key == "scan" else "case", dict(zip(frame[key], frame["fold"].tolist(), strict=True)))
    verify(table, store, path, groups)
    for case, unit in zip(frame["case"], frame[key], strict=True):
        if key == "scan" and case != store.case_of[unit]:
            raise DataError(f"{path}: scan {unit} is of case {store.case_of[unit]}, not of case {case}")
    return table


def verify(table: FoldTable, store: Store, path: Path, groups: dict[str, str] | None = None) -> None:
    """Every labelled scan's case (or scan) once, none missing, none unknown, no group and no image in two folds."""
    wanted = {table.unit(store, name) for name in store.labelled()}
    missing, unknown = sorted(wanted - set(table.fold_of)), sorted(set(table.fold_of) - wanted)
    if missing or unknown:
        raise DataError(f"{path} does not fit the store {store.root}: missing {missing[:5]}, unknown {unknown[:5]}")
    lowest = TRAIN_ONLY if table.kind == "time" else 0
    used = set(table.fold_of.values()) - {TRAIN_ONLY}
    if not used or min(table.fold_of.values()) < lowest or used != set(range(table.count)):
        numbers = sorted(set(table.fold_of.values()))
        raise DataError(f"{path}: folds should be numbered 0, 1, 2 ... without a gap, but are {numbers}")
    if groups is not None:
        groups = _grouped({store.case_of[name] for name in store.labelled()}, groups)
        holders = [(groups[store.case_of[name]], table.unit(store, name)) for name in store.labelled()]
        _refuse_shared(defaultdict(list), holders, table, f"{path}: group")
    records = store.records()
    images = [(records[name]["hashes"]["image"], table.unit(store, name)) for name in store.labelled()]
    _refuse_shared(defaultdict(list), images, table, "the same image stands in two folds, as")


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sort key that puts case2 before case10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _grouped(cases: set[str], groups: dict[str, str]) -> dict[str, str]:
    unknown = sorted(cases - set(groups), key=natural_key)
    if unknown:
        raise DataError(f"{len(unknown)} cases have no group, the first are {unknown[:5]}")
    return groups


def _refuse_shared(holders: dict[str, list[str]], pairs: list[tuple[str, str]], table: FoldTable, what: str) -> None:
    for shared, unit in pairs:
        holders[shared].append(unit)
    for shared, units in holders.items():
        folds = sorted({table.fold_of[unit] for unit in units})
        if len(folds) > 1:
            raise LeakError(f"{what} {shared}: {sorted(set(units))[:5]} are in folds {folds}; keep them in one")


def _by_time(store: Store) -> FoldTable:
    scans: dict[str, list[str]] = defaultdict(list)
    for name in store.labelled():
        scans[store.case_of[name]].append(name)
    fold_of = {}
    for names in scans.values():
        *earlier, last = sorted(names, key=natural_key)
        fold_of.update(dict.fromkeys(earlier, TRAIN_ONLY))
        fold_of[last] = 0 if earlier else TRAIN_ONLY
    if 0 not in fold_of.values():
        raise ConfigError("folds of kind time hold back the last scan of each case, but no case here has two scans")
    return FoldTable("time", fold_of)
