"""A study in one picture: Dice by number of training cases and on changed scans, time and memory of each network."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from casefold.core import DataError
from casefold.files import write_bytes
from casefold.report.figures import COLOURS

LINES = {"2D": ":", "2.5D": "--", "3D": "-"}
MARKS = {"2D": "o", "2.5D": "s", "3D": "^"}


def draw_study(table: pd.DataFrame, tests: list[str], title: str, path: Path) -> None:
    """Draw a study's table as PNG: a colour a network, a line a kind of input; time and memory at the most cases.

    table: as `study_step` gives it. tests: its columns of Dice on changed scans. Raises DataError for no rows.
    """
    if table.empty:
        raise DataError(f"{title}: no run has ended yet, so there is nothing to draw")
    figure = Figure(figsize=(13, 9), layout="constrained")
    FigureCanvasAgg(figure)
    (as_is, changed), (time, memory) = figure.subplots(2, 2)
    colours = dict(zip(dict.fromkeys(table["net"]), COLOURS * len(table), strict=False))
    mean = table.assign(changed=table[tests].mean(axis=1)) if tests else table.assign(changed=np.nan)
    for member, rows in mean.sort_values("cases", kind="stable").groupby("member", sort=False):
        look = _look(rows.iloc[0], colours)
        border = np.maximum(0, [rows["dice"] - rows["low"], rows["high"] - rows["dice"]])
        as_is.errorbar(rows["cases"], rows["dice"], border, capsize=3, label=str(member), **look)
        changed.plot(rows["cases"], rows["changed"], **look)
    for axes, what in ((as_is, "as they are"), (changed, f"mean of: {', '.join(tests)}" if tests else "no other")):
        axes.set_xscale("log")
        counts = sorted(set(table["cases"]))
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training cases")
        axes.set_ylabel("Dice")
        axes.set_title(f"held-out scans, {what}", fontsize=10)
        axes.grid(alpha=0.3)
    largest = table[table["cases"] == table["cases"].max()]
    _bars(time, largest, {"ms_a_scan": 1.0}, colours, "CPU milliseconds a scan, one core")
    _bars(memory, largest, {"train_peak_mb": 0.4, "peak_mb": 1.0}, colours, "peak MB, Python and libraries in it:\n")
    memory.set_xlabel(memory.get_xlabel() + "pale training, full deployment")
    figure.legend(*as_is.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    write_bytes(path, stream.getvalue())


def _look(row: Any, colours: dict[str, str]) -> dict[str, Any]:
    return {"color": colours[row["net"]], "linestyle": LINES[row["input"]], "marker": MARKS[row["input"]]}


def _bars(axes: Any, rows: pd.DataFrame, columns: dict[str, float], colours: dict[str, str], label: str) -> None:
    """A group of bars a member, the first on top; columns: and how opaque each is."""
    height = 0.8 / len(columns)
    for number, (column, alpha) in enumerate(columns.items()):
        places = np.arange(len(rows)) + (number - (len(columns) - 1) / 2) * height
        axes.barh(places, rows[column], height, color=[colours[net] for net in rows["net"]], alpha=alpha)
    axes.set_yticks(np.arange(len(rows)), rows["member"], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(alpha=0.3, axis="x")
