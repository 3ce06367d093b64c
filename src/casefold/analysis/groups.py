"""Scores by group of scans: by any column of a table, numbers in parts of equal size."""

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from casefold.core import DataError, nearest_word
from casefold.metrics import bootstrap_interval

NOTHING = "not given"


def grouped(rows: pd.DataFrame, column: str, score: str = "score", parts: int = 3) -> pd.DataFrame:
    """A row a group: group, scans, cases, mean, low, high: the mean over cases of their scans' mean, with its 95 %
    bootstrap interval over cases.

    rows: a row a scan with `case`, the score and the column. A column of more than 2 `parts` different numbers is cut
    into so many of about equal size; else each value is a group. Raises DataError for an unknown column.
    """
    for name in ("case", column, score):
        if name not in rows:
            known = [str(known) for known in rows]
            raise DataError(f"there is no column {name!r}{nearest_word(name, known)}; there are {', '.join(known)}")
    found = []
    scored = rows.assign(group=_groups(rows[column], parts))
    for group, own in scored.groupby("group", sort=True, observed=True):
        by_case = own.groupby("case")[score].mean().dropna()
        low, high = bootstrap_interval(by_case.to_numpy())
        mean = float(by_case.mean()) if len(by_case) else float("nan")
        found.append((str(group), len(own), own["case"].nunique(), mean, low, high))
    return pd.DataFrame(found, columns=["group", "scans", "cases", "mean", "low", "high"])


def _groups(values: pd.Series, parts: int) -> pd.Series:
    """The group of each row, ordered as numbers or words are; a value that is missing last."""
    there = values.dropna()
    if is_numeric_dtype(values) and not is_bool_dtype(values) and there.nunique() > 2 * parts:
        part = pd.qcut(values, parts, labels=False, duplicates="drop")
        names = {number: f"{own.min():g} to {own.max():g}" for number, own in values.groupby(part)}
    else:
        part = values
        names = {
            value: f"{value:g}" if isinstance(value, float) else str(value) for value in sorted(there.unique().tolist())
        }
    order = [*names.values(), NOTHING]
    return pd.Series(pd.Categorical(part.map(names).fillna(NOTHING), order, ordered=True), index=values.index)
