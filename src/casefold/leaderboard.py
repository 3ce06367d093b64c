"""The book of submissions: what each was made from, its cross-fitted score, and what the leaderboard said of it."""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from casefold.core import ConfigError, DataError
from casefold.files import hash_value, read_record, write_json, write_text
from casefold.readers.rle_table import read_table
from casefold.recipe import Recipe, as_plain, load_recipe
from casefold.train.machine import surroundings

log = logging.getLogger(__name__)
BUNDLE = ("checksums.txt", "recipe.yaml")  # what a bundle's folder is known by: the sums of its files, its recipe


@dataclass(frozen=True)
class Record:
    """What a submission was made from; None, and an empty text, is not known.

    sha256: of the submission as it was written. recipe: a digest of its numbers. cross_fitted: its score on OOF that it
    was not tuned on, by `objective`. commit: of casefold. note: what else to know, as what the clock shed.
    """

    sha256: str
    dataset: str = ""
    ensemble: str = ""
    recipe: str = ""
    objective: str = ""
    cross_fitted: float | None = None
    commit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of the book: texts as its CSV has them, empty where nothing is known."""

    date: str
    file: str
    sha256: str
    public: str
    private: str
    cross_fitted: str
    objective: str
    ensemble: str
    recipe: str
    commit: str
    note: str


COLUMNS = [field.name for field in fields(Entry)]
NUMBERS = ["public", "private", "cross_fitted"]
_RECORD = TypeAdapter(Record)


def record_path(submission: Path) -> Path:
    """Where a submission's record lies: beside it, `submission.csv.json`."""
    return submission.with_name(f"{submission.name}.json")


def write_record(submission: Path, recipe: Recipe, shed: Sequence[str] = ()) -> Path:
    """Write beside a submission what it was made from; gives the record's path.

    shed: what was left out of the whole ensemble to keep a deadline, in words; then its score is not known.
    """
    return _write(submission, _of_recipe(_sha256(submission), recipe, _commit(), shed))


def write_vote_record(submission: Path, voters: Sequence[Path]) -> Path:
    """Write beside the outcome of a vote which submissions voted, as far as their own records tell."""
    records = [read_record_of(path) for path in voters]
    datasets = {record.dataset for record in records}
    titles = [record.ensemble or path.name for path, record in zip(voters, records, strict=True)]
    record = Record(
        _sha256(submission),
        dataset=datasets.pop() if len(datasets) == 1 else "",
        ensemble=f"vote of {', '.join(titles)}",
        recipe="+".join(record.recipe or "?" for record in records) if any(one.recipe for one in records) else "",
        commit=_commit(),
    )
    return _write(submission, record)


def read_record_of(submission: Path) -> Record:
    """What is known of a submission's making: by the record beside it, or, of a bundle's folder, by its recipe.

    Without a record, or where the file was changed since, nothing but its hash is known, which is logged. Raises
    DataError where there is no such file, and on a damaged record.
    """
    sums, recipe = (submission / name for name in BUNDLE)
    if submission.is_dir() and not sums.is_file():
        raise DataError(f"{submission} is a folder without {sums.name}; give a submission's CSV, or a bundle's folder")
    file = sums if submission.is_dir() else submission
    if not file.is_file():
        raise DataError(f"there is no file {file}; give the CSV that was handed in, or the folder of a bundle")
    sha256, path = _sha256(file), record_path(file)
    if path.is_file():
        record = _parse(path)
        if record.sha256 == sha256:
            return record
        log.warning("%s was changed since %s was written, so what it was made from is not known", file, path)
    elif submission.is_dir() and recipe.is_file():
        return _of_recipe(sha256, load_recipe(recipe))
    else:
        log.warning("%s has no record %s beside it, so what it was made from is not known", file, path.name)
    return Record(sha256)


def add(
    book: Path,
    submission: Path,
    record: Record,
    public: float | None = None,
    private: float | None = None,
    note: str = "",
) -> Entry:
    """Write a line into the book, a CSV; gives it as it stands there.

    A submission that has a line, known by its hash, keeps it: what is given or known now is put in. Raises ConfigError
    without a score or for one that is no number.
    """
    scores = {name: score for name, score in (("public", public), ("private", private)) if score is not None}
    if not scores:
        raise ConfigError(f"give the score that {submission.name} got: --public, --private or both")
    if strange := [f"--{name} {score}" for name, score in scores.items() if not math.isfinite(score)]:
        raise ConfigError(f"a score is a number, not {', '.join(strange)}")
    entries = read_book(book)
    place = next((at for at, entry in enumerate(entries) if entry.sha256 == record.sha256), len(entries))
    date = datetime.now(UTC).isoformat(timespec="seconds")
    blank = Entry(date, submission.resolve().name, *[""] * (len(COLUMNS) - 2))
    old = entries[place] if place < len(entries) else blank
    given = {
        **asdict(record),
        **{name: repr(score) for name, score in scores.items()},
        "cross_fitted": "" if record.cross_fitted is None else f"{record.cross_fitted:.6f}",
        "note": "; ".join(part for part in (note, record.note) if part) if note or not old.note else "",
    }
    entry = replace(old, **{name: given[name] for name in COLUMNS if given.get(name)})
    if place < len(entries):
        log.info("%s is in %s already, as %s: its line is brought up to date", submission.name, book, old.file)
    frame = pd.DataFrame(map(astuple, [*entries[:place], entry, *entries[place + 1 :]]), columns=COLUMNS)
    write_text(book, frame.to_csv(index=False))
    return entry


def read_book(book: Path) -> list[Entry]:
    """The book's lines, in the order in which they were added; none where there is no book. Raises DataError."""
    if not book.is_file():
        return []
    frame = read_table(book)
    if list(frame) != COLUMNS:
        raise DataError(f"{book} should have the columns {','.join(COLUMNS)}, but has {list(frame)}")
    return [Entry(*row) for row in frame.itertuples(index=False)]


def book_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """The book as a table with numbers for scores, NaN where not known; `number` counts from 1, as the plot does.

    `gap` is public less cross_fitted: what the leaderboard gave above what was to be expected.
    """
    frame = pd.DataFrame(map(astuple, entries), columns=COLUMNS)
    try:
        frame[NUMBERS] = frame[NUMBERS].replace("", "nan").astype(float)
    except ValueError as e:
        raise DataError(f"the book of submissions has a score that is no number: {e}; mend that line") from e
    frame["number"] = range(1, len(frame) + 1)
    frame["gap"] = frame["public"] - frame["cross_fitted"]
    place = COLUMNS.index("cross_fitted") + 1
    return frame[["number", *COLUMNS[:place], "gap", *COLUMNS[place:]]]


def _of_recipe(sha256: str, recipe: Recipe, commit: str = "", shed: Sequence[str] = ()) -> Record:
    # the digest of the first rung, not of the ladder, so that a shorter ladder makes no other recipe of it
    whole = replace(recipe, rungs=recipe.rungs[:1])
    return Record(
        sha256,
        recipe.dataset,
        recipe.name,
        hash_value(as_plain(whole)),
        str(recipe.tuned_on.get("objective", "")),
        None if shed else whole.rungs[0].cross_fitted,
        commit,
        "; ".join(shed),
    )


def _write(submission: Path, record: Record) -> Path:
    path = record_path(submission)
    try:
        unchanged = path.is_file() and _parse(path) == record
    except DataError:
        unchanged = False  # a damaged one is written anew
    if not unchanged:
        write_json(path, asdict(record))
    return path


def _parse(path: Path) -> Record:
    try:
        return _RECORD.validate_python(read_record(path))
    except ValidationError as e:
        raise DataError(f"{path} is no record of a submission: {e}; remove it, then what it says is not known") from e


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _commit() -> str:
    return surroundings()["commit"] or ""
