"""Masks as RLE in a CSV of any columns: which column is what, how empty masks are written, and how runs are read."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from casefold.core import DataError
from casefold.readers.images.files import read_header
from casefold.readers.patterns import natural_key
from casefold.readers.rle_table import EMPTY
from casefold.starter.guess import Finding, Guess
from casefold.starter.runs import Sample, find_reading
from casefold.starter.survey import Name, Survey

# What an id may be made of, the likeliest first
IDS: dict[str, Callable[[Name], str]] = {
    "stem": lambda name: name.stem,
    "file": lambda name: name.stem + name.ending,
    "folder_stem": lambda name: "_".join((*name.folders[-1:], name.stem)),
}
KEYS = {"{id}": "(?P<id>.+)", "{id}_{class}": "(?P<id>.+)_(?P<class>[^_]+)"}
CLASS_COLUMN = re.compile("class|class_?id|label|category", re.IGNORECASE)
SAMPLE = re.compile("sample|submission", re.IGNORECASE)
PAIRS = r"\s*\d+\s+\d+(?:\s+\d+\s+\d+)*\s*"
LEAST_KNOWN = 0.5  # of a column's values, to be ids of images
MOST_CLASSES = 32
PROBED, DECODED = 200, 40  # cells that tell what a column holds, and masks that tell how runs are read


class Keys(NamedTuple):
    """The column of ids, what stands in it, and which of IDS its ids are; share: of its values, ids of images."""

    column: str
    key: str
    id_form: str
    share: float


class Table(NamedTuple):
    """A CSV of RLE. rows: image (id), class (as the file calls it) and runs (an empty mask: no text), a row each."""

    name: Name
    keys: Keys
    class_column: str | None
    rle: str
    rows: pd.DataFrame
    cells: set[str]  # how empty masks are written, of `blank` and `-1`


def find_table(files: Survey, images: Sequence[Name]) -> Table | None:
    """The CSV whose ids are most of the images', None where no CSV holds RLE of them; samples do not count."""
    names = [name for name in files.ending(".csv") if not SAMPLE.search(name.stem)]
    tables = [table for name in names if (table := _read_table(files, name, images))]
    return max(tables, key=lambda table: table.rows["image"].nunique(), default=None)


def add_table(guess: Guess, files: Survey, table: Table, images: Sequence[Name]) -> dict[str, Any]:
    """Put classes and masks into the config, with the evidence of how runs are read; gives the masks' fields."""
    words = sorted(set(table.rows["class"]), key=natural_key)
    names = {f"class_{word}" if word.isdecimal() else word or "foreground": word for word in words}
    made_up = any(name != word for name, word in names.items())
    guess.add(
        "classes", list(names), "", "the names are made up; put the true ones, here and in `masks`" if made_up else ""
    )
    reading = find_reading(_samples(files, table, images))
    empty = _find_empty(table, len(words), len(images))
    findings: dict[str, Finding[Any]] = {**reading._asdict(), "empty": empty}
    form: dict[str, Any] = {"kind": "rle", "file": table.name.path, "id": table.keys.column, "key": table.keys.key,
            "class_column": table.class_column, "rle": table.rle}  # fmt: skip
    if made_up and words != [""]:
        form["class_names"] = names
    form |= {what: finding.value for what, finding in findings.items()}
    form["instances"] = bool(table.rows.duplicated(["image", "class"]).any())
    told = f"{len(table.rows)} rows for {table.rows['image'].nunique()} of {len(images)} images"
    why = [told, *(f"{what} {finding.value}: {finding.why}" for what, finding in findings.items())]
    check = [f"{what}: {finding.check}" for what, finding in findings.items() if finding.check]
    guess.add("masks", form, "\n".join(why), "; ".join(check))
    return form


def add_sample(guess: Guess, files: Survey, images: Sequence[Name], form: dict[str, Any] | None) -> None:
    """Put a sample submission into the config, and its form where it is not that of the masks (None: no RLE)."""
    names = [name for name in files.ending(".csv") if SAMPLE.search(name.stem)]
    frame = read_csv(files, names[0]) if names else None
    if frame is None or len(frame.columns) < 2:
        return
    found = _find_keys(frame, images)
    column = found.column if found else form["id"] if form and form["id"] in frame else frame.columns[0]
    labels = [other for other in frame.columns if other != column and CLASS_COLUMN.fullmatch(other)]
    runs = [other for other in frame.columns if other not in (column, *labels)]
    if not runs:
        return
    guess.add("sample_submission", names[0].path, "its rows and order are kept in a submission")
    apart = labels or len(guess.fields["classes"].value) == 1
    key = found.key if found else "{id}" if apart else "{id}_{class}"
    own: dict[str, Any] = {"id": column, "key": key, "class_column": labels[0] if labels else None, "rle": runs[-1]}
    if form is None or any(form[name] != value for name, value in own.items()):
        shared = ("class_names", "order", "base", "starts", "empty", "instances")
        own |= {name: form[name] for name in shared if form is not None and name in form}
        told = "" if form else "nothing says order and first pixel of its runs, so `row` and 1 stand; see the rules"
        guess.add("submission", own, f"the columns of {names[0].path}", told)


def read_csv(files: Survey, name: Name, rows: int | None = None) -> pd.DataFrame | None:
    """A CSV as text, or its first rows; None where it is none."""
    try:
        frame = pd.read_csv(files.at(name), dtype=str, keep_default_na=False, encoding="utf-8-sig", nrows=rows)
    except ValueError:
        return None
    frame.columns = frame.columns.str.strip()
    return frame


def _read_table(files: Survey, name: Name, images: Sequence[Name]) -> Table | None:
    frame = read_csv(files, name)
    if frame is None:
        return None
    rle = next((column for column in reversed(frame.columns) if _holds_runs(frame[column])), None)
    keys = _find_keys(frame.drop(columns=[rle]), images) if rle else None
    if rle is None or keys is None:
        return None
    parts = frame[keys.column].str.strip().str.extract(f"^{KEYS[keys.key]}$")
    others = frame.drop(columns=[rle, keys.column])
    class_column = None if "class" in parts else _class_column(others, parts["id"])
    text = frame[rle].str.strip()
    empty = text.str.lower().isin(EMPTY)
    rows = pd.DataFrame({"image": parts["id"], "runs": text.mask(empty, "")})
    rows["class"] = parts["class"] if "class" in parts else frame[class_column].str.strip() if class_column else ""
    cells = {"-1" if cell == "-1" else "blank" for cell in text[empty].unique()}
    known = {IDS[keys.id_form](image) for image in images}
    return Table(name, keys, class_column, rle, rows[rows["image"].isin(known)], cells)


def _holds_runs(cells: pd.Series) -> bool:
    text = cells[~cells.str.strip().str.lower().isin(EMPTY)].head(PROBED)
    return len(text) > 0 and bool(text.str.fullmatch(PAIRS).all())


def _find_keys(frame: pd.DataFrame, images: Sequence[Name]) -> Keys | None:
    """The column whose values are most often ids of images."""
    known = {form: {make(image) for image in images} for form, make in IDS.items()}
    found = []
    for column in frame.columns:
        values = pd.Series(frame[column].str.strip().unique())
        for key, expression in KEYS.items():
            ids = values.str.extract(f"^{expression}$")["id"]
            found += [Keys(column, key, form, float(ids.isin(own).mean())) for form, own in known.items()]
    best = max(found, key=lambda keys: keys.share, default=None)
    return best if best is not None and best.share >= LEAST_KNOWN else None


def _class_column(frame: pd.DataFrame, ids: pd.Series) -> str | None:
    """A column called so, or one of few values of which an image has several."""
    for column in frame.columns:
        few = frame[column].nunique() <= MOST_CLASSES
        if few and (CLASS_COLUMN.fullmatch(column) or (frame.groupby(ids)[column].nunique() > 1).any()):
            return str(column)
    return None


def _find_empty(table: Table, classes: int, images: int) -> Finding[str]:
    """How a mask without a pixel is written."""
    pairs, ids = len(table.rows[["image", "class"]].drop_duplicates()), table.rows["image"].nunique()
    if pairs < ids * classes:
        why = f"{ids * classes - pairs} pairs of image and class have no row"
        return Finding("missing", why, "an image without any row counts as labelled and empty")
    if ids < images and not table.cells:
        return Finding("missing", f"{images - ids} images have no row", "they count as labelled and empty")
    form = "-1" if "-1" in table.cells else "blank"
    check = f"{images - ids} images have no row and count as unlabelled" if ids < images else ""
    return Finding(form, f"cells without runs: {sorted(table.cells) or 'none'}", check)


def _samples(files: Survey, table: Table, images: Sequence[Name]) -> list[Sample]:
    by_id = {IDS[table.keys.id_form](image): files.at(image) for image in images}
    rows = table.rows[table.rows["runs"] != ""]
    if rows.empty:
        raise DataError(f"{files.at(table.name)} holds no mask that is not empty, so nothing says how to read one")
    rows = rows.iloc[:: -(-len(rows) // DECODED)]
    headers = {image: read_header(by_id[image]) for image in rows["image"].unique()}
    return [
        Sample(runs, headers[image].height, headers[image].width, by_id[image])
        for image, runs in zip(rows["image"], rows["runs"], strict=True)
    ]
