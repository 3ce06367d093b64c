"""Masks to rows to `submission.csv` in a data set's own form, strictly checked and scored."""

import csv
import io
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold import rle
from casefold.config.masks import UWMGI_FORM, UWMGI_TRUTH, RleForm
from casefold.core import DataError, Masks, Triple
from casefold.files import write_text
from casefold.metrics import UwmgiOptions, UwmgiScore, Values, dice_by_scan, mean_uwmgi, uwmgi_score
from casefold.readers.images.scans import first_few
from casefold.readers.rle_table import Key, cells, columns, decode_rows, encode_rows, read_rows, read_table

log = logging.getLogger(__name__)

Row = tuple[str, str, str]
Cells = tuple[str, ...]  # what stands in the columns before the runs


class Written(NamedTuple):
    """What write_csv did: rows written, rows the sample wants and nobody gave (left empty), rows the sample lacks."""

    rows: int
    missing: int
    extra: int


class Slice(NamedTuple):
    """Where the slice of a submission's id lies: its scan, its place from 0 in it, and its size in pixels."""

    scan: str
    z: int
    height: int
    width: int


@dataclass(frozen=True)
class Score:
    """A submission against a truth: the UW-Madison score of all and of each scan, and Dice by scan, (class,)."""

    classes: tuple[str, ...]
    total: UwmgiScore
    scans: dict[str, UwmgiScore]
    dice: dict[str, Values]


def rows(masks: Masks, form: RleForm = UWMGI_FORM) -> list[Row]:
    """(id, class, RLE) of every slice and class of a scan, class fastest; an empty mask gives an empty text.

    Instances of one slice and class are the lines of one text.
    """
    return [
        (name, label, encode_rows(masks.masks[index, z], form))
        for z, name in enumerate(masks.slice_names)
        for index, label in enumerate(masks.classes)
    ]


def write_csv(
    path: Path,
    predicted: Iterable[Row],
    sample: Path | None = None,
    form: RleForm = UWMGI_FORM,
    tell: bool = True,
) -> Written:
    """Write `submission.csv` atomically: with a sample exactly its rows in its order, else every row as it comes.

    Rows the sample lacks are left out, rows that only the sample has are empty; both are counted, and `tell` logs them.
    Instances stand together where the sample has their image. Under `empty: missing` an empty mask has no row, but one
    that the sample has stays, blank. A sample with a header alone counts as none. Raises DataError on a row given
    twice.
    """
    given: dict[Cells, str] = {}
    for name, label, text in predicted:
        key = cells(form, name, label)
        if key in given:
            raise DataError(f"the submission has two rows for slice {name}, class {label}")
        given[key] = text
    header, sampled = _read_sample(sample, form)
    wanted = sampled or list(given)
    missing, extra = sum(key not in given for key in wanted), len(given.keys() - set(wanted))
    if tell and (missing or extra):
        log.warning(
            "%s: %d of its %d rows have no prediction and are left empty, %d predicted rows are not in it",
            sample,
            missing,
            len(wanted),
            extra,
        )
    empty = [] if form.empty == "missing" and not sampled else ["-1" if form.empty == "-1" else ""]
    lines = [(*key, text) for key in wanted for text in given.get(key, "").splitlines() or empty]
    places = [columns(form).index(column) for column in header]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([line[place] for place in places] for line in lines)
    write_text(path, stream.getvalue())
    return Written(len(lines), missing, extra)


def read_csv(
    path: Path,
    forms: Sequence[RleForm] = (UWMGI_FORM, UWMGI_TRUTH),
    names: Collection[str] = (),
    classes: Sequence[str] = (),
) -> dict[Key, str]:
    """RLE by (id, class) of a submission or a truth, in the file's order; instances are the lines of one text.

    The first of `forms` whose columns the file has counts. names and classes: the known ones, by which a key that holds
    both is split. Raises DataError on missing columns and on a row that stands twice.
    """
    return read_rows(path, forms, names, classes)[0]


def check_csv(
    path: Path,
    sample: Path | None,
    sizes: Mapping[str, tuple[int, int]],
    classes: Sequence[str] = (),
    form: RleForm = UWMGI_FORM,
) -> None:
    """Raise DataError, with every kind of fault counted and the first few shown, unless a submission is valid.

    Columns, rows and order must be the sample's (without one: every id of `sizes` with every class, each once, in any
    order; under `empty: missing` without those that are empty), and each RLE valid at the (height, width) of its slice;
    a slice of no known size may only be empty. Instances must stand together and not overlap.
    """
    table = read_table(path)
    header, sampled = _read_sample(sample, form)
    if list(table) != header:
        raise DataError(f"{path}: the columns should be {header}, but are {list(table)}")
    wanted = sampled or [cells(form, name, label) for name in sizes for label in classes]
    if not wanted:
        raise DataError(f"{path}: without a sample that has rows, the check wants the classes and the slices' sizes")
    texts: dict[Cells, list[str]] = {}
    keys = _keys(table, form)
    for key, text in zip(keys, table[form.rle], strict=True):
        texts.setdefault(key, []).append(text)
    keys = [key for key, _ in groupby(keys)] if form.instances else keys
    count, known = Counter(keys), set(wanted)
    size_of = {cells(form, name, label)[0]: sizes[name] for name in sizes for label in classes or ("",)}
    optional = form.empty == "missing" and not sampled
    faults: dict[str, Sequence[Cells | str]] = {
        "rows stand twice": [key for key in count if count[key] > 1],
        "rows are missing": [key for key in wanted if key not in count and not optional],
        "rows should not be there": [key for key in count if key not in known],
        "masks are of slices without a known size": [
            key for key in texts if key[0] not in size_of and not {"", form.empty}.issuperset(texts[key])
        ],
    }
    if sampled and set(count) == known and len(keys) == len(wanted):
        faults["rows are not in the sample's order"] = [
            key for key, other in zip(keys, wanted, strict=True) if key != other
        ]
    faults["masks are not valid RLE"] = [
        f"{' '.join(key)}: {fault}"
        for key, of_key in texts.items()
        if key[0] in size_of
        for fault in _rle_faults(of_key, size_of[key[0]], form, "no row" if optional else form.empty)
    ]
    lines = [f"{len(found)} {what}: {first_few(map(_plain, found))}" for what, found in faults.items() if found]
    if lines:
        raise DataError(f"{path} is no valid submission:\n" + "\n".join(f"  {line}" for line in lines))


def score(
    path: Path,
    solution: Path,
    slices: Mapping[str, Slice],
    classes: Sequence[str],
    options: UwmgiOptions | None = None,
    spacings: Mapping[str, Triple | None] | None = None,
    form: RleForm = UWMGI_FORM,
    truth_form: RleForm = UWMGI_TRUTH,
) -> Score:
    """Score a submission against a truth, over the scans that `slices` lists; each file may be of either form.

    Both files must have a row for every slice and class, unless their form lets empty ones be `missing`; truth rows of
    other scans are left out. Raises DataError on rows that are missing, on predicted rows of unknown slices, and on a
    scan whose slices are not 0, 1, 2, ... spacings: spacing_mm by scan, for a distance in mm.
    """
    predicted, written = read_rows(path, [form, truth_form], list(slices), classes)
    truth, labelled = read_rows(solution, [truth_form, form], list(slices), classes)
    unknown = [key for key in predicted if key[0] not in slices or key[1] not in classes]
    if unknown:
        raise DataError(
            f"{path}: {len(unknown)} rows are of slices or classes that are not scored: {first_few(unknown)}"
        )
    for origin, given, own in ((path, predicted, written), (solution, truth, labelled)):
        missing = [(name, label) for name in slices for label in classes if (name, label) not in given]
        if missing and own.empty != "missing":
            raise DataError(f"{origin}: {len(missing)} rows to score are missing: {first_few(missing)}")
        given |= dict.fromkeys(missing, "")
    scans: dict[str, UwmgiScore] = {}
    dice: dict[str, Values] = {}
    for scan, names in _by_scan(slices):
        wanted, found = (
            _volume(origin, given, names, slices, classes, own)
            for origin, given, own in ((solution, truth, labelled), (path, predicted, written))
        )
        scans[scan] = uwmgi_score(wanted, found, options, (spacings or {}).get(scan))
        dice[scan] = dice_by_scan(wanted, found)
    return Score(tuple(classes), mean_uwmgi(list(scans.values())), scans, dice)


def _keys(table: pd.DataFrame, form: RleForm) -> list[Cells]:
    return list(zip(*(table[column] for column in columns(form)[:-1]), strict=True))


def _read_sample(sample: Path | None, form: RleForm) -> tuple[list[str], list[Cells]]:
    """The columns and the rows that a submission must have, each in order; no rows where there is no sample."""
    if sample is None:
        return columns(form), []
    table = read_table(sample)
    header = [str(name) for name in table]
    if sorted(header) != sorted(columns(form)):
        raise DataError(f"{sample} has the columns {header}, but the data set's submission has {columns(form)}")
    keys = _keys(table, form)
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice and not form.instances:
        heads = ", ".join(columns(form)[:-1])
        raise DataError(f"{sample}: {len(twice)} rows ({heads}) stand more than once: {first_few(map(_plain, twice))}")
    return header, list(dict.fromkeys(keys))


def _plain(found: Cells | str) -> Cells | str:
    return found[0] if len(found) == 1 else found


def _rle_faults(texts: Sequence[str], size: tuple[int, int], form: RleForm, empty: str) -> Iterator[str]:
    """What is wrong with the rows of one image and class; empty: how an empty mask is written."""
    blank = "-1" if empty == "-1" else ""
    total = np.zeros(size, np.int64)
    for text in texts:
        if text in ("", "-1") and (text != blank or empty == "no row" or len(texts) > 1):
            yield f"{text!r} is not how an empty mask is written here, that is {empty!r}"
        elif text != blank:
            try:
                rle.check(text, size, order=form.order, base=form.base, starts=form.starts)
                total += decode_rows(text, size, form)
            except DataError as e:
                yield str(e)
    if total.max(initial=0) > 1 and form.instances:
        yield f"its {len(texts)} instances overlap"


def _by_scan(slices: Mapping[str, Slice]) -> Iterator[tuple[str, list[str]]]:
    scans: dict[str, list[str]] = {}
    for name, place in slices.items():
        scans.setdefault(place.scan, []).append(name)
    for scan, names in scans.items():
        names.sort(key=lambda name: slices[name].z)
        places = [slices[name] for name in names]
        if [place.z for place in places] != list(range(len(places))) or len({place[2:] for place in places}) != 1:
            raise DataError(f"scan {scan}: its slices should be 0, 1, 2, ... of one size, but are {first_few(places)}")
        yield scan, names


def _volume(
    origin: Path,
    given: Mapping[Key, str],
    names: Sequence[str],
    slices: Mapping[str, Slice],
    classes: Sequence[str],
    form: RleForm,
) -> NDArray[np.bool_]:
    def mask(name: str, label: str) -> NDArray[np.bool_]:
        try:
            return decode_rows(given[name, label], (slices[name].height, slices[name].width), form)
        except DataError as e:
            raise DataError(f"{origin}: slice {name}, class {label}: {e}") from e

    return np.stack([np.stack([mask(name, label) for name in names]) for label in classes])
