"""Fold tables: made once by group k-fold, shares or as given, verified at every read; a leak is refused by name."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from casefold.config.base import FoldsConfig, GivenFolds, GroupFolds, RootsFolds, SharesFolds, TimeFolds
from casefold.core import ConfigError, DataError, LeakError
from casefold.files import hash_value, write_text
from casefold.readers.rle_table import read_table
from casefold.store import Store

TRAIN_ONLY = -1
TEST_ONLY = -2
Kind = Literal["case", "time", "given"]
LOWEST: dict[Kind, int] = {"case": 0, "time": TRAIN_ONLY, "given": TEST_ONLY}
COLUMNS: dict[Kind, list[str]] = {
    "case": ["case", "fold"], "time": ["case", "scan", "fold"], "given": ["case", "split", "fold"],
}  # fmt: skip
SPLITS = {
    "train": TRAIN_ONLY, "training": TRAIN_ONLY, "val": 0, "valid": 0, "validation": 0, "test": TEST_ONLY,
    "testing": TEST_ONLY,
}  # fmt: skip


@dataclass(frozen=True)
class FoldTable:
    """Which fold holds a case back, or, under kind `time`, a scan.

    -1: it only trains (kinds `time` and `given`). -2: it neither trains nor is held back (kind `given`). A split drawn
    by shares is a given one from then on.
    """

    kind: Kind
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

    def learnable(self, store: Store) -> list[str]:
        """The labelled scans that a fit on all cases trains on: every one that is not kept for the test."""
        return [name for name in store.labelled() if self.fold(store, name) != TEST_ONLY]

    def kept_for_test(self, store: Store) -> list[str]:
        """The labelled scans of the test part: those that no training, no OOF and no tuning reads; often none."""
        return [name for name in store.labelled() if self.fold(store, name) == TEST_ONLY]

    def split(self, store: Store, fold: int) -> tuple[list[str], list[str]]:
        """The labelled scans that train and those held back in a fold; raises ConfigError beyond the table."""
        if not 0 <= fold < self.count:
            raise ConfigError(f"there is no fold {fold}: the table has folds 0 to {self.count - 1}")
        held = [name for name in self.learnable(store) if self.fold(store, name) == fold]
        train = [name for name in self.learnable(store) if self.fold(store, name) != fold]
        both = sorted({self.unit(store, name) for name in train} & {self.unit(store, name) for name in held})
        if both:
            raise LeakError(f"fold {fold} would train on and hold back {both}")
        return train, held


def make(
    config: FoldsConfig, store: Store, words: Mapping[str, str] | None = None, first_root: Collection[str] = ()
) -> FoldTable:
    """A new table for the labelled scans; words: what `words_of` gives, for the kinds `group`, `given` and `shares`.

    first_root: the cases of the data set's own root, for kind `roots`.

    Kinds `case` and `group` balance which classes the slices hold (scikit-learn's StratifiedGroupKFold).
    Raises ConfigError for a partial store: a table of some cases would not hold for the rest.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if store.left_out:
        raise ConfigError(
            f"the store {store.root} is partial, {len(store.left_out)} scans were left out: no fold table is made from "
            "it. Prepare the whole set first (`prepare` without --limit and --cases), or give a table with --from"
        )
    slices = store.slices[store.slices["labelled"]]
    if slices.empty:
        raise DataError(f"the store {store.root} has no labelled scan, so there is nothing to fold")
    if isinstance(config, TimeFolds):
        return _by_time(store)
    if isinstance(config, GivenFolds):
        return _as_given(config, store, words or {})
    if isinstance(config, SharesFolds):
        return _by_shares(config, store, words)
    if isinstance(config, RootsFolds):
        return _by_roots(config, store, first_root)
    cases = slices["case"].astype(str)
    units = cases if words is None else cases.map(_grouped(set(cases), words))
    if units.nunique() < config.count:
        raise ConfigError(f"{config.count} folds want at least as many groups; there are {units.nunique()}")
    holds = (slices[list(store.classes)] > 0).to_numpy() @ (1 << np.arange(len(store.classes)))
    splitter = StratifiedGroupKFold(config.count, shuffle=True, random_state=config.seed)
    fold_of: dict[str, int] = {}
    for fold, (_, held) in enumerate(splitter.split(slices, holds, units)):
        fold_of.update(dict.fromkeys(cases.iloc[held], fold))
    return FoldTable("case", {case: fold_of[case] for case in sorted(fold_of, key=natural_key)})


def words_of(config: FoldsConfig, root: Path, store: Store) -> dict[str, str] | None:
    """What a file below `root`, or the case's name, says of each case: its group, or train, val or test.

    None where cases have no groups: kinds `case` and `time`, and `shares` without a file or pattern. Raises DataError
    naming a case with two words, ConfigError on a wrong pattern.
    """
    if isinstance(config, GivenFolds):
        return _read_words(root / config.file, config.case, config.column)
    if not isinstance(config, GroupFolds):
        return None
    if config.file is not None and config.column is not None:
        return _read_words(root / config.file, "case", config.column)
    if config.pattern is None:
        return None
    try:
        pattern = re.compile(config.pattern)
    except re.error as e:
        raise ConfigError(f"folds.pattern: {config.pattern!r} is no regular expression: {e}") from e
    if not pattern.groups:
        raise ConfigError(f"folds.pattern: {config.pattern!r} has no group; its first group is what cases share")
    cases = dict.fromkeys([*store.case_of.values(), *store.left_out.values()])
    return {case: match[1] for case in cases if (match := pattern.search(case)) and match[1]}


def _read_words(path: Path, case: str, column: str) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"folds.file: there is no {path}")
    frame = read_table(path)
    if not {case, column} <= set(frame.columns):
        raise DataError(f"{path} should have the columns {case} and {column}, but has {list(frame.columns)}")
    pairs = frame[[case, column]].drop_duplicates()
    twice = pairs[pairs[case].duplicated()]
    if len(twice):
        name = twice[case].iloc[0]
        words = pairs.loc[pairs[case] == name, column].tolist()
        raise DataError(f"{path}: case {name} has several words in the column {column}: {words}")
    return dict(zip(pairs[case], pairs[column], strict=True))


def _as_given(config: GivenFolds, store: Store, words: Mapping[str, str]) -> FoldTable:
    numbers = {}
    for case, word in words.items():
        if word.strip().lower() not in SPLITS:
            raise DataError(f"{config.file}: case {case} is {word!r}; wanted one of {', '.join(SPLITS)}")
        numbers[case] = SPLITS[word.strip().lower()]
    labelled = {store.case_of[name] for name in store.labelled()}
    missing, unknown = labelled - set(numbers), set(numbers) - set(store.case_of.values())
    if missing or unknown:
        raise DataError(
            f"{config.file} does not fit the store {store.root}: it lacks {sorted(missing, key=natural_key)[:5]} and "
            f"has the unknown {sorted(unknown, key=natural_key)[:5]}; each case wants one word, and no other a line"
        )
    fold_of = {case: numbers[case] for case in sorted(labelled, key=natural_key)}
    for number, word in ((TRAIN_ONLY, "train"), (0, "val")):
        if number not in fold_of.values():
            raise DataError(
                f"{config.file}: no labelled case is {word!r}; one fold wants cases to train and to hold back"
            )
    return FoldTable("given", fold_of)


def _by_shares(config: SharesFolds, store: Store, groups: Mapping[str, str] | None) -> FoldTable:
    cases = sorted({store.case_of[name] for name in store.labelled()})
    group_of = dict(zip(cases, cases, strict=True)) if groups is None else _grouped(set(cases), groups)
    units = sorted({group_of[case] for case in cases})
    shares = {"train": config.train, "validation": config.validation, "test": config.test}
    counts = dict(zip(shares, apportion(list(shares.values()), len(units)), strict=True))
    bare = [name for name, share in shares.items() if share > 0 and counts[name] == 0]
    if bare:
        raise ConfigError(
            f"folds of kind shares: {len(units)} {'cases' if groups is None else 'groups'} divided by {shares} leave "
            f"none for {bare}; give larger shares there, or the test a share of 0"
        )
    numbers = np.repeat([TRAIN_ONLY, 0, TEST_ONLY], list(counts.values())).tolist()
    order = np.random.default_rng(config.seed).permutation(len(units))
    fold_of = {units[place]: number for place, number in zip(order, numbers, strict=True)}
    return FoldTable("given", {case: fold_of[group_of[case]] for case in sorted(cases, key=natural_key)})


def _by_roots(config: RootsFolds, store: Store, first_root: Collection[str]) -> FoldTable:
    cases = sorted({store.case_of[name] for name in store.labelled()})
    own, others = [case for case in cases if case in first_root], [case for case in cases if case not in first_root]
    training, held = apportion([1 - config.validation, config.validation], len(own))
    if not (training and held and others):
        raise ConfigError(
            f"folds of kind roots: of {len(cases)} labelled cases the first root has {len(own)}, of which {held} would "
            f"be held back, and {len(others)} are in the joined roots alone; each part wants at least one"
        )
    order = np.random.default_rng(config.seed).permutation(len(own))
    fold_of = {own[place]: 0 if rank < held else TRAIN_ONLY for rank, place in enumerate(order)}
    fold_of.update(dict.fromkeys(others, TEST_ONLY))
    return FoldTable("given", {case: fold_of[case] for case in sorted(cases, key=natural_key)})


def apportion(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers in these shares that sum to `total`: rounded down, what is left to the largest remainders.

    shares: sum to 1. Of equal remainders the first part gets more.
    """
    quotas = np.asarray(shares) * total
    counts = np.floor(np.round(quotas, 9)).astype(int)  # 0.29 * 100 is 29, not 28.999...
    largest = np.argsort(np.round(counts - quotas, 9), kind="stable")
    counts[largest[: total - counts.sum()]] += 1
    return [int(count) for count in counts]


def write(table: FoldTable, store: Store, path: Path) -> None:
    """Write a table as CSV: `case,fold`; for kind `time` `case,scan,fold`, for kind `given` `case,split,fold`."""
    rows: list[tuple[str | int, ...]] = list(table.fold_of.items())
    if table.kind == "time":
        rows = [(store.case_of[scan], scan, fold) for scan, fold in table.fold_of.items()]
    if table.kind == "given":
        rows = [(case, _split_word(fold), fold) for case, fold in table.fold_of.items()]
    write_text(path, pd.DataFrame(rows, columns=COLUMNS[table.kind]).to_csv(index=False))


def read(path: Path, store: Store, groups: Mapping[str, str] | None = None) -> FoldTable:
    """Read a table and verify it against the store; raises LeakError or DataError naming what is wrong."""
    if not path.is_file():
        raise DataError(f"no fold table {path}; `folds` makes it")
    frame = read_table(path)
    columns = list(frame.columns)
    kind = next((kind for kind, names in COLUMNS.items() if names == columns), None)
    if kind is None:
        wanted = " or ".join(",".join(names) for names in COLUMNS.values())
        raise DataError(f"{path} should have the columns {wanted}, but has {columns}")
    if frame.empty or not frame["fold"].str.fullmatch(r"\s*-?\d+\s*").all():
        words = frame["fold"].unique().tolist()
        raise DataError(f"{path}: every fold should be a whole number, the column holds {words[:8]}")
    frame["fold"] = frame["fold"].astype(int)
    key = "scan" if kind == "time" else "case"
    by_key = frame.groupby(key)["fold"].agg(["nunique", "size"])
    leaking = by_key.index[by_key["nunique"] > 1].tolist()
    if leaking:
        raise LeakError(f"{path}: {key} {leaking[0]} is in more than one fold (so are {leaking[1:5]})")
    twice = by_key.index[by_key["size"] > 1].tolist()
    if twice:
        raise DataError(f"{path}: {key} {twice[0]} stands more than once")
    table = FoldTable(kind, dict(zip(frame[key], frame["fold"].tolist(), strict=True)))
    verify(table, store, path, groups)
    case_of = store.left_out | store.case_of
    for row in frame.to_dict("records"):
        if kind == "time" and row["case"] != case_of[row["scan"]]:
            raise DataError(f"{path}: scan {row['scan']} is of case {case_of[row['scan']]}, not of case {row['case']}")
        if kind == "given" and row["split"] != _split_word(row["fold"]):
            word = _split_word(row["fold"])
            raise DataError(f"{path}: case {row['case']} is {row['split']!r} but has the fold {row['fold']}, {word!r}")
    return table


def verify(table: FoldTable, store: Store, path: Path, groups: Mapping[str, str] | None = None) -> None:
    """Every labelled scan's case (or scan) once, none missing, none unknown, no group and no image in two folds.

    What a partial store left out is neither missing nor unknown.
    """
    wanted = {table.unit(store, name) for name in store.labelled()}
    left_out = set(store.left_out if table.kind == "time" else store.left_out.values())
    missing, unknown = sorted(wanted - set(table.fold_of)), sorted(set(table.fold_of) - wanted - left_out)
    if missing or unknown:
        raise DataError(f"{path} does not fit the store {store.root}: missing {missing[:5]}, unknown {unknown[:5]}")
    used = {fold for fold in table.fold_of.values() if fold >= 0}
    if not used or min(table.fold_of.values()) < LOWEST[table.kind] or used != set(range(table.count)):
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


def _split_word(fold: int) -> str:
    return {TRAIN_ONLY: "train", TEST_ONLY: "test"}.get(fold, "val")


def _grouped(cases: set[str], groups: Mapping[str, str]) -> Mapping[str, str]:
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
