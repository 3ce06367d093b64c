"""Masks as rows of a CSV in any form that an RleForm says: cells to masks, and masks to cells."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold import rle
from casefold.config.masks import RleForm, RleMasks
from casefold.core import DataError, nearest_word
from casefold.readers import Report, refuse
from casefold.readers.images.scans import ImageScan, Truth, first_few, report_each
from casefold.readers.patterns import fill

Key = tuple[str, str]  # an image's id and a class
EMPTY = ("", "-1", "nan")


def columns(form: RleForm) -> list[str]:
    """The columns of a form: the key, the class where it has a column, the runs."""
    return [form.id, *([] if form.class_column is None else [form.class_column]), form.rle]


def cells(form: RleForm, name: str, label: str) -> tuple[str, ...]:
    """What stands for an image and a class in the columns before the runs."""
    written = form.class_names.get(label, label)
    key = fill(form.key, {"id": name, "class": written})
    return (key,) if form.class_column is None else (key, written)


def read_table(path: Path) -> pd.DataFrame:
    """A CSV whose cells are the texts they are, an absent one empty; blanks round the header's names are taken off."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as e:
        raise DataError(f"{path} can't be read as CSV: {e}; save it as CSV in UTF-8, with a header") from e
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: the rows have more cells than the header, {list(table)}")
    return table.rename(columns=str.strip)


def read_rows(
    path: Path,
    forms: Sequence[RleForm],
    names: Collection[str] = (),
    classes: Sequence[str] = (),
    gone: Collection[str] = (),
    report: Report = refuse,
) -> tuple[dict[Key, str], RleForm]:
    """The runs of each image and class that has a row, in the file's order, and the first form whose columns it has.

    An empty mask is an empty text, several rows (instances) of one key are lines of one text. names and classes: the
    known ones; a key of others is split as well as can be told. gone: images whose rows are left out. Raises DataError
    where no form fits and, unless rows are instances, on a key that stands twice; where `report` returns its first row
    counts.
    """
    table = read_table(path)
    form = next((form for form in forms if set(columns(form)) <= set(table)), None)
    if form is None:
        raise DataError(f"{path} should have {_wanted(table, forms)}")
    texts: dict[Key, list[str]] = {}
    for key, text in zip(_keys(table, form, [*names, *gone], classes), table[form.rle].str.strip(), strict=True):
        if key[0] not in gone:
            texts.setdefault(key, []).append("" if text.lower() in EMPTY else text)
    if not form.instances:
        twice = [key for key, lines in texts.items() if len(lines) > 1]
        if twice and report is refuse:
            heads = f"({', '.join(columns(form)[:-1])})"
            raise DataError(f"{path}: {len(twice)} rows {heads} stand more than once: {first_few(twice)}")
        report_each(report, "doubled label", [" ".join(key) for key in twice], f"{path} has a row more than once: ")
        texts = {key: lines[:1] for key, lines in texts.items()}
    return {key: "\n".join(line for line in lines if line) for key, lines in texts.items()}, form


def decode_rows(text: str, shape: tuple[int, int], form: RleForm) -> NDArray[np.bool_]:
    """The mask (height, width) of one image and class: all its rows, a line of text each, together."""
    mask = np.zeros(shape, np.bool_)
    for line in text.splitlines():
        mask |= rle.decode(line, shape, order=form.order, base=form.base, starts=form.starts)
    return mask


def encode_rows(mask: NDArray[np.bool_], form: RleForm) -> str:
    """The reverse of decode_rows; instances are the 8-connected parts, in the order of their first pixels."""
    if not form.instances:
        return rle.encode(mask, order=form.order, base=form.base, starts=form.starts)
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    lines = (
        rle.encode(parts == part, order=form.order, base=form.base, starts=form.starts) for part in range(1, count)
    )
    return "\n".join(sorted(lines, key=lambda line: int(line.split()[0])))


def find_truth(
    form: RleMasks,
    classes: Sequence[str],
    root: Path,
    scans: Sequence[ImageScan],
    gone: Sequence[ImageScan],
    report: Report,
) -> dict[str, Truth]:
    """The runs of every labelled scan, for each slice by class; rows of the scans that are `gone` do not matter.

    A scan of which the CSV has no row is unlabelled, one with some of its rows is labelled in part, which is reported
    (a row that lacks is None then); with `empty: missing` every scan is labelled.
    """
    path = root / form.file
    if not path.is_file():
        report("missing file", str(path), f"no label file {path}; wanted a CSV of {','.join(columns(form))}")
        return {}
    dropped = {image.id for scan in gone for image in scan.slices}
    known = {image.id for scan in scans for image in scan.slices}
    rows, _ = read_rows(path, [form], known, classes, dropped, report)
    _report_strangers(path, form, classes, rows, known, report)
    found = {}
    for scan in scans:
        keys = [(image.id, label) for image in scan.slices for label in classes]
        gaps = [key for key in keys if key not in rows]
        if form.empty == "missing":
            rows |= dict.fromkeys(gaps, "")
        elif len(gaps) == len(keys):
            continue
        elif gaps:
            told = f"{path}: scan {scan.name} is labelled in part; {len(gaps)} rows are missing"
            report(
                "partly labelled",
                scan.name,
                f"{told}: {first_few(' '.join(key) for key in gaps)}; missing is not empty",
            )
        slices = tuple({label: rows.get((image.id, label)) for label in classes} for image in scan.slices)
        found[scan.name] = Truth(slices)
    return found


def read_slice(
    form: RleMasks, runs: Mapping[str, str | None], shape: tuple[int, int], where: str, report: Report
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    """Class and mask of each class on a slice; None and all of the slice where its rows lack or can't be read."""
    for label, text in runs.items():
        try:
            if text is not None:
                yield label, decode_rows(text, shape, form)
        except DataError as e:
            report("rle", f"{where} {label}", f"{form.file}: {where} {label}: {e}")
            text = None
        if text is None:
            yield None, np.ones(shape, np.bool_)


def _keys(table: pd.DataFrame, form: RleForm, names: Collection[str], classes: Sequence[str]) -> list[Key]:
    """Image and class of each row; the class as the config calls it where it is known."""
    own_names = {written: label for label, written in form.class_names.items()}
    pairs = _split(form, table[form.id].str.strip(), names, classes)
    if form.class_column is not None:
        pairs = [(name, label) for (name, _), label in zip(pairs, table[form.class_column].str.strip(), strict=True)]
    elif "{class}" not in form.key:
        return [(name, classes[0] if classes else "") for name, _ in pairs]
    return [(name, own_names.get(label, label)) for name, label in pairs]


def _split(form: RleForm, keys: Iterable[str], names: Collection[str], classes: Sequence[str]) -> list[Key]:
    """What each key says of image and class, as the file calls it; class names may hold what parts the two.

    Known images go first, then known classes; of what is left the class is as short as can be.
    """
    words = [form.class_names.get(label, label) for label in classes] if "{class}" in form.key else [""]
    known = {fill(form.key, {"id": name, "class": word}): (name, word) for name in names for word in words}
    template = re.escape(form.key).replace(r"\{id\}", "{id}").replace(r"\{class\}", "{class}")
    by_class = template.format(id="(?P<id>.+?)", **{"class": f"(?P<class>{'|'.join(map(re.escape, words))})"})
    by_place = template.format(id="(?P<id>.+)", **{"class": "(?P<class>.+)"})

    def split(key: str) -> Key:
        match = re.fullmatch(by_class, key) or re.fullmatch(by_place, key)
        parts = match.groupdict() if match else {"id": key}
        return parts["id"], parts.get("class", "")

    return [known.get(key) or split(key) for key in keys]


def _wanted(table: pd.DataFrame, forms: Sequence[RleForm]) -> str:
    """What columns a table should have, and has."""
    keys, runs = columns(forms[0])[:-1], list(dict.fromkeys(form.rle for form in forms))
    if len(runs) > 1 and all(columns(form)[:-1] == keys for form in forms):
        if set(keys) <= set(table):
            return f"one column of RLE, {' or '.join(f'`{name}`' for name in runs)}; it has {list(table)}"
        return f"the columns {' and '.join(keys)}, but has {list(table)}"
    every = dict.fromkeys(" and ".join(columns(form)) for form in forms)
    return f"the columns {', or '.join(every)}, but has {list(table)}"


def _report_strangers(
    path: Path, form: RleForm, classes: Sequence[str], keys: Collection[Key], known: Collection[str], report: Report
) -> None:
    """Rows of unknown classes and of ids without an image."""
    words = [form.class_names.get(label, label) for label in classes]
    unknown: dict[str, list[str]] = {}
    for name, label in keys:
        if label not in classes:
            unknown.setdefault(label, []).append(name)
    for label, names in unknown.items():
        told = f"{path}: unknown class {label!r}{nearest_word(label, words)}; the config has {words}"
        report("unknown class", first_few(names), told)
    strangers = list(dict.fromkeys(name for name, label in keys if label in classes and name not in known))
    if strangers:
        hint = nearest_word(strangers[0], sorted(known))
        told = f"{path} has rows without an image{hint}; check `id` and `image` in the data set's config: "
        report_each(report, "label without image", strangers, told)
