"""Masks to rows to `submission.csv`, strictly checked and scored; probabilities to exclusive label maps."""

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold import rle
from casefold.core import DataError, Masks, Triple
from casefold.files import write_text
from casefold.metrics import UwmgiOptions, UwmgiScore, Values, dice_by_scan, mean_uwmgi, uwmgi_score

log = logging.getLogger(__name__)

COLUMNS = ["id", "class", "predicted"]
TRUTH_COLUMN = "segmentation"
LISTED = 5

Key = tuple[str, str]
Row = tuple[str, str, str]


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


def rows(masks: Masks) -> list[Row]:
    """(id, class, RLE) of every slice and class of a scan, class fastest; an empty mask gives an empty text."""
    return [
        (name, label, rle.encode(masks.masks[index, z]))
        for z, name in enumerate(masks.slice_names)
        for index, label in enumerate(masks.classes)
    ]


def write_csv(path: Path, predicted: Iterable[Row], sample: Path | None = None) -> Written:
    """Write `submission.csv` atomically: with a sample exactly its rows in its order, else every row as it comes.

    Rows the sample lacks are left out, rows that only the sample has are empty; both are counted and logged. A sample
    with a header alone counts as none. Raises DataError on a row that comes twice.
    """
    given: dict[Key, str] = {}
    for name, label, run_lengths in predicted:
        if (name, label) in given:
            raise DataError(f"the submission has two rows for slice {name}, class {label}")
        given[name, label] = run_lengths
    wanted = _sample_keys(sample) or list(given)
    missing, extra = sum(key not in given for key in wanted), len(given.keys() - set(wanted))
    if missing or extra:
        log.warning(
            "%s: %d of its %d rows have no prediction and are left empty, %d predicted rows are not in it",
            sample,
            missing,
            len(wanted),
            extra,
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*key, given.get(key, "")) for key in wanted)
    write_text(path, text.getvalue())
    return Written(len(wanted), missing, extra)


def read_csv(path: Path) -> dict[Key, str]:
    """RLE by (id, class), of a submission (`predicted`) or a truth (`segmentation`), in the file's order.

    Raises DataError on missing columns and on a row that stands twice.
    """
    table = _read_table(path)
    values = [name for name in (COLUMNS[2], TRUTH_COLUMN) if name in table]
    if len(values) != 1:
        raise DataError(f"{path} should have one column of RLE, `predicted` or `segmentation`; it has {list(table)}")
    keys = _keys(table)
    _refuse_twice(path, keys)
    return dict(zip(keys, table[values[0]], strict=True))


def check_csv(
    path: Path, sample: Path | None, sizes: Mapping[str, tuple[int, int]], classes: Sequence[str] = ()
) -> None:
    """Raise DataError, with every kind of fault counted and the first few shown, unless a submission is valid.

    Columns, rows and order must be the sample's (without one: every id of `sizes` with every class, each once, in any
    order), and each RLE valid at the (height, width) of its slice; a slice of no known size may only be empty.
    """
    table = _read_table(path)
    if list(table) != COLUMNS:
        raise DataError(f"{path}: the columns should be {COLUMNS}, but are {list(table)}")
    keys = _keys(table)
    sampled = _sample_keys(sample)
    wanted = sampled or [(name, label) for name in sizes for label in classes]
    if not wanted:
        raise DataError(f"{path}: without a sample that has rows, the check wants the classes and the slices' sizes")
    known = set(wanted)
    count = Counter(keys)
    texts = list(zip(keys, table[COLUMNS[2]], strict=True))
    faults: dict[str, Sequence[object]] = {
        "rows stand twice": [key for key in count if count[key] > 1],
        "rows are missing": [key for key in wanted if key not in count],
        "rows should not be there": [key for key in count if key not in known],
        "masks are of slices without a known size": [key for key, text in texts if text and key[0] not in sizes],
    }
    if sampled and set(count) == known and len(keys) == len(wanted):
        faults["rows are not in the sample's order"] = [
            key for key, other in zip(keys, wanted, strict=True) if key != other
        ]
    faults["masks are not valid RLE"] = [
        fault
        for (name, label), text in texts
        if text and name in sizes
        for fault in _rle_faults(name, label, text, sizes[name])
    ]
    lines = [f"{len(found)} {what}: {_first(found)}" for what, found in faults.items() if found]
    if lines:
        raise DataError(f"{path} is no valid submission:\n" + "\n".join(f"  {line}" for line in lines))


def score(
    path: Path,
    solution: Path,
    slices: Mapping[str, Slice],
    classes: Sequence[str],
    options: UwmgiOptions | None = None,
    spacings: Mapping[str, Triple | None] | None = None,
) -> Score:
    """Score a submission against a truth (id, class, segmentation), over the scans that `slices` lists.

    Both files must have a row for every slice and class; truth rows of other scans are left out. Raises DataError on
    rows that are missing, on predicted rows of unknown slices, and on a scan whose slices are not 0, 1, 2, ...
    spacings: spacing_mm by scan, for a distance in mm.
    """
    predicted, truth = read_csv(path), read_csv(solution)
    unknown = [key for key in predicted if key[0] not in slices or key[1] not in classes]
    if unknown:
        raise DataError(f"{path}: {len(unknown)} rows are of slices or classes that are not scored: {_first(unknown)}")
    for origin, given in ((path, predicted), (solution, truth)):
        missing = [(name, label) for name in slices for label in classes if (name, label) not in given]
        if missing:
            raise DataError(f"{origin}: {len(missing)} rows to score are missing: {_first(missing)}")
    scans: dict[str, UwmgiScore] = {}
    dice: dict[str, Values] = {}
    for scan, names in _by_scan(slices):
        wanted, found = (_volume(given, names, slices, classes) for given in (truth, predicted))
        scans[scan] = uwmgi_score(wanted, found, options, (spacings or {}).get(scan))
        dice[scan] = dice_by_scan(wanted, found)
    return Score(tuple(classes), mean_uwmgi(list(scans.values())), scans, dice)


def _read_table(path: Path) -> pd.DataFrame:
    """Every cell as the text it is: an empty or absent one is an empty text, and a class may be called `NA`."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as e:
        raise DataError(f"{path} can't be read as CSV: {e}") from e
    if not {"id", "class"} <= set(table):
        raise DataError(f"{path} should have the columns id and class, but has {list(table)}")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: the rows have more cells than the header, {list(table)}")
    return table


def _keys(table: pd.DataFrame) -> list[Key]:
    return list(zip(table["id"], table["class"], strict=True))


def _sample_keys(sample: Path | None) -> list[Key]:
    if sample is None:
        return []
    keys = _keys(_read_table(sample))
    _refuse_twice(sample, keys)
    return keys


def _refuse_twice(path: Path, keys: list[Key]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise DataError(f"{path}: {len(twice)} rows (id, class) stand more than once: {_first(twice)}")


def _rle_faults(name: str, label: str, text: str, size: tuple[int, int]) -> list[str]:
    try:
        rle.check(text, size)
    except DataError as e:
        return [f"{name} {label}: {e}"]
    return []


def _by_scan(slices: Mapping[str, Slice]) -> Iterator[tuple[str, list[str]]]:
    scans: dict[str, list[str]] = {}
    for name, place in slices.items():
        scans.setdefault(place.scan, []).append(name)
    for scan, names in scans.items():
        names.sort(key=lambda name: slices[name].z)
        places = [slices[name] for name in names]
        if [place.z for place in places] != list(range(len(places))) or len({place[2:] for place in places}) != 1:
            raise DataError(f"scan {scan}: its slices should be 0, 1, 2, ... of one size, but are {_first(places)}")
        yield scan, names


def _volume(
    given: Mapping[Key, str], names: Sequence[str], slices: Mapping[str, Slice], classes: Sequence[str]
) -> NDArray[np.bool_]:
    return np.stack([np.stack([_mask(given, name, label, slices[name]) for name in names]) for label in classes])


def _mask(given: Mapping[Key, str], name: str, label: str, place: Slice) -> NDArray[np.bool_]:
    try:
        return rle.decode(given[name, label], (place.height, place.width))
    except DataError as e:
        raise DataError(f"slice {name}, class {label}: {e}") from e


def _first(found: Sequence[object]) -> str:
    shown = ", ".join(str(entry) for entry in found[:LISTED])
    return shown if len(found) <= LISTED else f"{shown}, ..."
