"""Frames as tables of the page: heads with units, numbers aligned, sorted by a click, long ones folded."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

# the endings of columns' names that are units, and how a head says them
UNITS = {
    "mm3": "mm³", "mm2": "mm²", "mm": "mm", "px": "px", "voxels": "voxels", "s": "s", "gb": "GB", "mb": "MB"
}  # fmt: skip
# what a head says, where the column's name in plain words would not do
HEADS = {
    "dice_slice": "Dice a slice",
    "dice_scan": "Dice a scan",
    "dice_case": "Dice a case",
    "uw_score": "UW score",
    "uw_distance": "UW distance",
    "cv": "CV",
    "lb": "LB",
    "per_1000_steps": "1,000 steps",
    "per_scan": "a scan",
    "peak_memory": "peak memory",
    "part": "gain, in this order",
    "alone": "gain, alone",
    "false_alarms": "false alarms",
    "first": "first z",
    "last": "last z",
}
SIGNED = ("adds", "part", "alone", "gap", "behind", "change", "difference")  # a difference shows its sign
WHOLE = (  # never a fraction
    "z",
    "first",
    "last",
    "y",
    "x",
    "slices",
    "scans",
    "cases",
    "voxels",
    "px",
    "fold",
    "epoch",
    "level",
)
MISSING, MINUS = "–", "−"
LONG = 30  # letters of a text that may wrap
FIRST = 12  # rows that are shown before a table is unfolded


def table(
    frame: pd.DataFrame,
    name: str,
    shown: Collection[str] = (),
    first: int = FIRST,
    heads: Mapping[str, str] = MappingProxyType({}),
) -> Markup:
    """The frame as a table with the caption `name`; an empty frame gives nothing.

    Columns X_low and X_high (or low and high) become one, the interval. shown: scans that the viewer holds; their names
    lead there, to the slice `z` where there is such a column. first: more rows than these are folded away. heads: what
    stands above a column whose name is not to be read, as it is a class's or a fold's.
    """
    if frame.empty:
        return Markup("")
    frame = frame.rename(columns=str)
    columns = [name for name in frame.columns if name in heads or not _ends(name, "high")]
    numeric = {name: _largest(frame[name]) for name in columns if _is_number(frame[name])}
    above = Markup("").join(
        Markup('<th scope="col"{}><button type="button">{}</button></th>').format(
            _class("number" * (column in numeric)), heads.get(column, head(column))
        )
        for column in columns
    )
    rows = Markup("").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="more"') if place >= first else "",
            Markup("").join(_cell(column, row, numeric.get(column), column in heads, shown) for column in columns),
        )
        for place, row in enumerate(frame.to_dict("records"))
    )
    more = Markup("")
    if len(frame) > first:
        more = Markup('<p class="fold"><span>The first {} of {:,} rows. </span>{}</p>').format(
            first, len(frame), Markup('<button type="button" class="unfold">Show all</button>')
        )
    return Markup(
        '<div class="table"><p class="caption">{0}</p><div class="scroll"><table aria-label="{0}"><thead><tr>{1}</tr>'
        "</thead><tbody>{2}</tbody></table></div>{3}</div>"
    ).format(name, above, rows, more)


def heat(frame: pd.DataFrame, name: str, corner: str, by_row: bool) -> Markup:
    """A square frame as a table whose cells are the darker the larger they are; an empty frame gives nothing.

    by_row: a cell's darkness is its share of the row (counts); otherwise the number itself, 0..1.
    """
    if frame.empty:
        return Markup("")
    heads = Markup("").join(Markup('<th scope="col" class="number">{}</th>').format(column) for column in frame.columns)
    rows = []
    for label, row in frame.iterrows():
        total = (float(row.sum()) or 1.0) if by_row else 1.0
        cells = Markup("").join(
            Markup('<td class="number heat" style="--share:{:.3f}">{}</td>').format(
                0.0 if math.isnan(value) else min(max(value / total, 0.0), 1.0),
                number("slices" if by_row else "", value),
            )
            for column, value in row.items()
        )
        rows.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(label, cells))
    return Markup(
        '<div class="table"><p class="caption">{0}</p><div class="scroll"><table class="fixed" aria-label="{0}"><thead>'
        "<tr><th>{1}</th>{2}</tr></thead><tbody>{3}</tbody></table></div></div>"
    ).format(name, corner, heads, Markup("").join(rows))


def head(column: str) -> Markup:
    """A column's name in words, its unit after it."""
    if _ends(column, "low"):
        return Markup("95 % interval")
    if column.startswith("dice "):
        return Markup("Dice, {}").format(column.removeprefix("dice "))
    parts = column.rpartition("_")
    unit = UNITS.get(parts[2]) if parts[0] else None
    plain = parts[0] if unit else column
    text = HEADS.get(plain, plain.replace("_", " "))
    return Markup('{} <span class="unit">{}</span>').format(text, unit) if unit else Markup.escape(text)


def number(column: str, value: float, largest: float | None = None) -> str:
    """A number as the page shows it: fewer decimals where the column's `largest` is large, a sign for a difference."""
    parts = column.split("_")
    sign = "+" if any(part in SIGNED for part in parts) else ""
    if math.isnan(value):
        return MISSING
    if parts[-1] in WHOLE or isinstance(value, (int, np.integer)) or math.isinf(value):
        return f"{value:{sign},.0f}".replace("inf", "∞").replace("-", MINUS)
    size = abs(value if largest is None else largest)
    decimals = (2 if parts[-1] in UNITS else 3) if size < 10 else 1 if size < 1000 else 0
    return f"{value:{sign},.{decimals}f}".replace("-", MINUS)


def interval(low: float, high: float, column: str = "") -> str:
    """The two ends in words."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"{number(column, float(low))} to {number(column, float(high))}"


def _cell(column: str, row: dict[Any, Any], largest: float | None, named: bool, shown: Collection[str]) -> Markup:
    value = row[column]
    if _ends(column, "low") and not named:
        text = interval(value, row[column.removesuffix("low") + "high"], column)
        return Markup('<td class="number" data-sort="{}">{}</td>').format(_key(value), text)
    if largest is not None:
        return Markup('<td class="number" data-sort="{}">{}</td>').format(
            _key(value), number("" if named else column, value, largest)
        )
    if column == "scan" and value in shown:
        place = Markup(' data-z="{}"').format(row["z"]) if "z" in row else ""
        return Markup('<td><a href="#viewer" data-scan="{}"{}>{}</a></td>').format(value, place, value)
    text = MISSING if pd.isna(value) else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return Markup("<td{}>{}</td>").format(_class("words" * (len(text) > LONG)), text)


def _ends(column: str, word: str) -> bool:
    return column == word or column.endswith(f"_{word}")


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _largest(column: pd.Series) -> float:
    finite = column[np.isfinite(column.astype(float))].abs()
    return float(finite.max()) if len(finite) else 0.0


def _key(value: float) -> str:
    return "" if value != value else repr(float(value))


def _class(name: str) -> Markup:
    return Markup(' class="{}"').format(name) if name else Markup("")


def note(*sentences: str) -> Markup:
    """A paragraph of plain text, escaped."""
    return Markup("<p>{}</p>").format(words(" ".join(sentences)))


def words(text: str) -> Markup:
    """Plain text, escaped, what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(Markup.escape(text))))


def row(parts: Sequence[Markup]) -> Markup:
    """Plots and tables side by side where there is room; nothing where there is none."""
    held = [part for part in parts if part]
    return Markup('<div class="row">{}</div>').format(Markup("").join(held)) if held else Markup("")
