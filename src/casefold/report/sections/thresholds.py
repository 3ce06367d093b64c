"""Thresholds and gate: sweeps, precision and recall, ROC, calibration, confusion."""

from functools import partial

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from casefold.report.content import Content
from casefold.report.svg import INK, colour, line, names_below, plot
from casefold.report.table import heat, note, row

ALL = "all"  # the class that stands for one level for every class
SETS = 12  # combinations of classes that the confusion tells apart; rarer ones are one
RARE = "rarer ones"


def thresholds(content: Content) -> Markup:
    """What the levels and the gate do, with the chosen ones marked."""
    held = content.curves
    gate, plots = held.gate, []
    if len(held.sweeps):
        told = "Score by level; the mark is the chosen level. On a flat top the level hardly matters"
        plots.append(plot("sweeps", told, partial(_sweeps, content=content)))
    if len(gate):
        for name, across, up, told in (
            ("pr", "recall", "precision", "The gate's precision and recall as its level moves"),
            (
                "roc",
                "false_alarms",
                "recall",
                "The gate's ROC: slices with the class let through, against false alarms",
            ),
        ):
            chosen = "; the mark is the chosen level (none: the gate is off)"
            plots.append(plot(name, told + chosen, partial(_gate, content=content, across=across, up=up)))
    if len(held.calibration):
        told = "How often the truth is there where the probability says so; below the line it says too much"
        plots.append(plot("calibration", told, partial(_calibration, content=content)))
    return row(plots) + _confusion(held.confusion)


def _sweeps(axes: Axes, content: Content) -> None:
    frame, levels = content.curves.sweeps, content.curves.levels
    names = [ALL, *content.classes] if (frame["class"] == ALL).any() and len(content.classes) > 1 else content.classes
    for name in names:
        own = frame[frame["class"] == name].sort_values("level")
        ink, dash, wide = (INK, "-", 1.2) if name == ALL else (*_look(content, name), 1.6)
        axes.plot(own["level"], own["score"], color=ink, linestyle=dash, linewidth=wide, label=name)
        if name in levels and len(own):
            nearest = _nearest(own, levels[name])
            axes.plot(nearest["level"], nearest["score"], "o", color=ink, markersize=7)
    axes.set(xlabel="level, 1 to 255", ylabel="score")
    names_below(axes, len(names))


def _gate(axes: Axes, content: Content, across: str, up: str) -> None:
    for name in content.classes:
        own = content.curves.gate[content.curves.gate["class"] == name].sort_values("level")
        ink, dash = _look(content, name)
        axes.plot(own[across], own[up], color=ink, linestyle=dash, label=name)
        level = content.curves.gate_levels.get(name, 0)
        if level and len(own):
            chosen = _nearest(own, level)
            axes.plot(chosen[across], chosen[up], "o", color=ink, markersize=7)
    axes.set(xlabel=across.replace("_", " "), ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    names_below(axes, len(content.classes))


def _calibration(axes: Axes, content: Content) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
    for name in content.classes:
        own = content.curves.calibration[content.curves.calibration["class"] == name].dropna().sort_values("said")
        ink, dash = _look(content, name)
        axes.plot(own["said"], own["true"], marker="o", markersize=3, color=ink, linestyle=dash, label=name)
    axes.set(xlabel="probability", ylabel="share of voxels in the truth", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    names_below(axes, len(content.classes))


def _nearest(frame: pd.DataFrame, level: int) -> pd.Series:
    return frame.iloc[int((frame["level"] - level).abs().to_numpy().argmin())]


def _look(content: Content, name: str) -> tuple[str, str]:
    index = content.classes.index(name)
    return colour(index), line(index)


def _confusion(frame: pd.DataFrame) -> Markup:
    if frame.empty:
        return Markup("")
    shown = pd.Series(frame.to_numpy().sum(axis=1) + frame.to_numpy().sum(axis=0), index=frame.index)
    kept = [name for name in frame.index if name in set(shown.nlargest(SETS).index)]
    if len(kept) < len(frame):
        words = {name: name if name in kept else RARE for name in frame.index}
        frame = frame.groupby(words).sum().T.groupby(words).sum().T
        frame = frame.loc[[*kept, RARE], [*kept, RARE]]
    return Markup("<h3>Which classes are on a slice</h3>{}{}").format(
        note("Slices by what the truth has on them (rows) and what was found (columns); off the diagonal is wrong."),
        heat(frame, "Slices", "truth \\ found", by_row=True),
    )
