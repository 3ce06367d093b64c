"""prepare, folds, train: each goes on where it stopped, and does nothing where it is done."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from casefold.core import ConfigError
from casefold.folds import FoldTable, make, read, write
from casefold.pipeline.project import Project
from casefold.readers.table import dropped
from casefold.store import Store, prepare

logger = logging.getLogger(__name__)


def prepare_step(project: Project) -> Store:
    """Raw scans into the store."""

    def bar(names: Iterator[str], total: int) -> Iterator[str]:
        yield from tqdm(names, "prepare", total=total, disable=None)

    gone = dropped(project.dataset, project.raw)
    if gone:
        listed = ", ".join(f"{name} ({slices})" for name, slices in gone.items())
        logger.info("drop_scans removes %d scans, %d slices: %s", len(gone), sum(gone.values()), listed)
    store = prepare(project.dataset, project.raw, project.store_root, project.jobs, bar)
    logger.info(
        "store: %d scans of %d cases, %d slices",
        len(store.case_of),
        len(set(store.case_of.values())),
        len(store.slices),
    )
    return store


def folds_step(project: Project, store: Store, given: Path | None = None) -> FoldTable:
    """The fold table: the one that is there, the one given (copied), or a new one; verified in any case."""
    path = project.table_path
    if given is not None and path.is_file() and path.read_bytes() != given.read_bytes():
        raise ConfigError(f"{path} is there and is not {given}; remove it first if all runs on it may go")
    if given is not None and not path.is_file():
        read(given, store, project.groups())
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(given, path)
    if not path.is_file():
        write(make(project.dataset.folds, store, project.groups()), store, path)
        logger.info("wrote %s; commit it: every run and every score hangs on it", path)
    return project.table(store)
