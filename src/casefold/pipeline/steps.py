"""prepare and folds: each goes on where it stopped, and does nothing where it is done."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from casefold.config.base import CaseFolds, GroupKFolds, RootsFolds
from casefold.core import ConfigError
from casefold.files import write_bytes
from casefold.folds import FoldTable, make, read, words_of, write
from casefold.pipeline.project import Project
from casefold.prepare import prepare
from casefold.readers.table import cases_of_first_root, dropped
from casefold.store import Store

logger = logging.getLogger(__name__)


def prepare_step(
    project: Project, limit: int | None = None, cases: Sequence[str] = (), stay_partial: bool = False
) -> Store:
    """Raw scans into the store: all, or, for a quick look, the first `limit` of them, of these cases.

    stay_partial: what an earlier call left out stays out; so for every other step, which takes the store as it is.
    """

    def bar(names: Iterator[str], total: int) -> Iterator[str]:
        yield from tqdm(names, "prepare", total=total, disable=None)

    gone = dropped(project.dataset, project.raw)
    if gone:
        listed = ", ".join(f"{name} ({slices})" for name, slices in gone.items())
        logger.info("drop_scans removes %d scans, %d slices: %s", len(gone), sum(gone.values()), listed)
    store = prepare(
        project.dataset, project.raw, project.store_root, project.jobs, bar, limit, cases, stay_partial=stay_partial
    )
    counts = len(store.case_of), len(set(store.case_of.values())), len(store.slices)
    logger.info("store: %d scans of %d cases, %d slices", *counts)
    if store.left_out:
        logger.warning("the store is partial: %d scans are left out; `prepare` adds them", len(store.left_out))
    return store


def folds_step(project: Project, store: Store, given: Path | None = None) -> FoldTable:
    """The data set's fold table: the one that is there, the one given (copied), or a new one; verified in any case.

    Those that members name beside it are made as well, by the same rule with the member's `split` for its seed; raises
    ConfigError where that rule is none that draws folds.
    """
    path = project.table_path
    if given is not None:
        read(given, store, project.groups(store))
        if path.is_file() and path.read_bytes() != given.read_bytes():
            raise ConfigError(f"{path} is there and is not {given}; remove it first if all runs on it may go")
        if not path.is_file():
            write_bytes(path, given.read_bytes())
    folds = project.dataset.folds
    if not path.is_file():
        first_root = cases_of_first_root(project.dataset, project.raw) if isinstance(folds, RootsFolds) else ()
        write(make(folds, store, words_of(folds, project.raw, store), first_root), store, path)
        logger.info("wrote %s; commit it: every run and every score hangs on it", path)
    table = project.table(store)
    for split in project.splits:
        _make_split(project, store, split, table)
    return table


def _make_split(project: Project, store: Store, split: int, table: FoldTable) -> None:
    """The fold table of a split, where it is not there yet; as many folds as the data set's, or ConfigError."""
    folds, path = project.dataset.folds, project.paths.fold_table(project.ensemble.dataset, split)
    if not isinstance(folds, CaseFolds | GroupKFolds):
        raise ConfigError(f"split: {split} draws the folds anew, but the data set's are of kind {folds.kind}; drop it")
    if not path.is_file():
        drawn = folds.model_copy(update={"seed": split})
        write(make(drawn, store, words_of(drawn, project.raw, store)), store, path)
        logger.info("wrote %s; commit it: members with split %d hang on it", path, split)
    own = read(path, store, project.groups(store))
    if own.count != table.count:
        raise ConfigError(
            f"{path} has {own.count} folds, {project.table_path} has {table.count}; they should have as many"
        )
    if own == table:
        logger.warning("%s is the data set's own table over again; take another split", path)
