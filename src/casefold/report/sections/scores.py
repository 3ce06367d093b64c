"""How good it is: ways, classes, folds, cases, scans, groups, volumes."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from casefold.report.content import Content
from casefold.report.svg import INK, colour, names_below, plain_numbers, plot
from casefold.report.table import note, row, table

MARKERS = {"ensemble": "D", "member": "o", "without": "s"}  # by kind of way
MARKS = "osD^vP*"  # by class
SHOWN_WAYS = 24  # in the plot; the table has them all


def scores(content: Content) -> Markup:
    """Every member alone, the ensemble, leave-one-out; then by class, fold, group, case, scan and volume."""
    held, shown = content.scores, {packed.scan for packed in content.viewer}
    parts = Markup("").join(
        [
            _ways(held.ways),
            table(held.ways, "The ensemble, each member alone, and the ensemble without it"),
            row([table(held.by_class, "By class"), _folds(held.by_fold)]),
            row([table(held.by_scan, "By scan", shown), table(held.by_case, "By case")]),
            _groups(held.groups),
            _volumes(content),
        ]
    )
    told = [
        f"`score` is {content.headline.metric}. All are cross-fitted where nothing else is said;",
        "intervals come from drawing cases again (bootstrap).",
    ]
    if "own_levels" in held.ways:
        told.append(
            "A member alone, and the ensemble without one, stand at the ensemble's levels and behind its gate; "
            "`own levels` is a member's score at levels of its own."
        )
    return note(*told) + parts if parts else parts


def _groups(frame: pd.DataFrame) -> Markup:
    if frame.empty:
        return Markup("")
    names = [str(name) for name in frame["by"].unique()]
    return row([table(frame[frame["by"] == name].drop(columns="by"), f"By {name}") for name in names])


def _folds(frame: pd.DataFrame) -> Markup:
    if frame.empty:
        return Markup("")
    order = frame["what"].unique()
    wide = frame.pivot(index="what", columns="fold", values="score").reindex(order).reset_index()
    wide.columns = [str(column) for column in wide.columns]
    return table(wide, "By fold", heads={column: f"fold {column}" for column in wide.columns[1:]})


def _ways(frame: pd.DataFrame) -> Markup:
    if frame.empty or not {"low", "high"} <= set(frame.columns):
        return Markup("")
    frame = frame[frame["score"].notna()].head(SHOWN_WAYS).iloc[::-1]

    def draw(axes: Axes) -> None:
        for place, one in enumerate(frame.to_dict("records")):
            place_colour = colour(list(MARKERS).index(one["kind"]) + 4) if one["kind"] in MARKERS else INK
            axes.plot([one["low"], one["high"]], [place, place], color=place_colour, linewidth=2)
            axes.plot(one["score"], place, MARKERS.get(one["kind"], "o"), color=place_colour, markersize=6)
        axes.set_yticks(range(len(frame)), [str(what) for what in frame["what"]])
        axes.set_ylim(-0.6, len(frame) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("score")

    return plot("ways", "Scores with their 95 % intervals over cases", draw, (5.2, 0.6 + 0.28 * len(frame)))


def _volumes(content: Content) -> Markup:
    frame, changes = content.scores.volumes, content.scores.changes
    if frame.empty:
        return Markup("")
    unit, words = ("mm3", "mm³") if frame["truth_mm3"].notna().any() else ("voxels", "voxels")

    def draw(axes: Axes) -> None:
        for index, name in enumerate(content.classes):
            own = frame[frame["class"] == name]
            truth, found = (np.maximum(own[f"{side}_{unit}"], 1.0) for side in ("truth", "found"))
            mark = MARKS[index % len(MARKS)]
            axes.plot(truth, found, mark, color=colour(index), markersize=4, alpha=0.8, label=name)
        axes.set(xscale="log", yscale="log", xlabel=f"truth, {words}", ylabel=f"found, {words}")
        plain_numbers(axes.xaxis, axes.yaxis)
        ends = (*axes.get_xlim(), *axes.get_ylim())
        axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=INK, linewidth=0.8)
        names_below(axes, len(content.classes))

    told = (
        "Volume found beside the truth's, a mark a scan and class; none at all stands at 1. On the line they are equal"
    )
    kept = ["case", "scan", "class", f"truth_{unit}", f"found_{unit}"]
    moved = ["case", "class", "scan_before", "scan", f"truth_change_{unit}", f"found_change_{unit}"]
    shown = {packed.scan for packed in content.viewer}
    parts = row([plot("volumes", told, draw), table(frame[kept], "Volumes", shown)])
    change = table(changes[moved], "Change since the case's scan before", shown) if len(changes) else ""
    return Markup("<h3>Volumes</h3>{}{}").format(parts, change)
