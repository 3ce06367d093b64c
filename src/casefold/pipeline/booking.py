"""lb: what was handed in and what it scored, written down, listed and drawn, a book a data set."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from casefold.config.paths import Paths
from casefold.core import ConfigError
from casefold.leaderboard import Entry, add, book_frame, read_book, read_record_of
from casefold.pipeline.project import open_dataset
from casefold.report.cv_against_lb import draw_cv_against_lb, points

BOOK = "leaderboard.csv"


def add_step(
    paths: Paths, submission: Path, public: float | None, private: float | None, note: str, name: str | None
) -> Entry:
    """Write a submission's score into its data set's book; gives the line.

    name: an ensemble or a data set, wanted where the submission's record does not tell which it is of.
    """
    record = read_record_of(submission)
    if name is not None:
        dataset, _ = open_dataset(paths, name)
        if record.dataset not in ("", dataset):
            raise ConfigError(f"{submission} is of the data set {record.dataset}, not of {dataset}; leave --of out")
        record = replace(record, dataset=dataset)
    if not record.dataset:
        raise ConfigError(f"which data set {submission} is of is not known; name it, or its ensemble, with --of")
    return add(paths.runs / record.dataset / BOOK, submission, record, public, private, note)


def book_step(paths: Paths, name: str | None) -> Iterator[tuple[Path, pd.DataFrame, Path | None]]:
    """Each book, or the one of an ensemble's data set: its path, its table, and the plot that was drawn of it.

    The plot is None where no submission has both a cross-fitted score and a leaderboard's. Raises ConfigError where
    there is no book.
    """
    books = sorted(paths.runs.glob(f"*/{BOOK}")) if name is None else [paths.runs / open_dataset(paths, name)[0] / BOOK]
    for book in books:
        frame = book_frame(read_book(book))
        plot = None if points(frame).empty else book.with_suffix(".png")
        if plot is not None:
            draw_cv_against_lb(frame, book.parent.name, plot)
        if not frame.empty:
            yield book, frame, plot
    if not any(book.is_file() for book in books):
        where = paths.runs if name is None else books[0].parent
        raise ConfigError(f"no submission is written down in {where}; `casefold lb add FILE --public SCORE` begins it")
