"""Where it is lost: the ledger of repairs, edge slices, size, contrast, Hausdorff outliers."""

from functools import partial

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from casefold.analysis.edges import by_distance
from casefold.report.advice import REPAIRS
from casefold.report.content import Content, Ledger
from casefold.report.svg import INK, colour, line, names_below, plain_numbers, plot
from casefold.report.table import note, row, table

BINS = 8  # of size and contrast, with equally many slices
AXES = {"truth_voxels": ("truth, voxels on the slice", "log"), "contrast": ("contrast", "linear")}
FARTHEST = 12  # slices from the first or last annotated one that are told apart


def lost(content: Content) -> Markup:
    """The ledger, then what Dice depends on, then the voxels behind the largest distances."""
    held = content.losses
    return Markup("").join(
        [
            _ledger(held.ledger) if held.ledger is not None else Markup(""),
            _edges(content),
            _outliers(content),
        ]
    )


def _ledger(ledger: Ledger) -> Markup:
    entries = ledger.entries.assign(what=[REPAIRS.get(str(name), ("",))[0] for name in ledger.entries["repair"]])
    entries = entries[["repair", "part", "alone", "what"]]
    return Markup("<h3>The ledger</h3>{}{}").format(
        note(
            f"{ledger.metric} is {ledger.reached:.3f}; perfect is {ledger.perfect:.3f}. Each repair is made after",
            f"those above it, so that the gains sum to the {ledger.perfect - ledger.reached:.3f} between; the gain of",
            "each repair alone stands beside it.",
        ),
        _bars(ledger) + table(entries, "What each repair would bring"),
    )


def _bars(ledger: Ledger) -> Markup:
    entries = ledger.entries.iloc[::-1]

    def draw(axes: Axes) -> None:
        places = np.arange(len(entries))
        axes.barh(places, entries["part"], height=0.55, color=colour(4), label="in this order")
        axes.plot(entries["alone"], places, "D", color=colour(0), markersize=5, label="alone")
        axes.set_yticks(places, [str(name) for name in entries["repair"]])
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("gain")
        names_below(axes, 2)

    return plot("ledger", "Gain of each repair", draw, (4.8, 0.9 + 0.32 * len(entries)))


def _edges(content: Content) -> Markup:
    frame = content.losses.edges
    frame = frame[frame["truth_voxels"] > 0] if len(frame) else frame  # what lies outside the truth has a Dice of 0
    if frame.empty:
        return Markup("")
    sizes, contrast = (
        "Dice of a slice by the object's size on it",
        "Dice of a slice by contrast: the object's mean intensity against a ring around it, in the scan's standard "
        "deviations",
    )
    clipped = f"; {FARTHEST} stands for all farther" if (frame["distance"] > FARTHEST).any() else ""
    plots = [
        plot(
            "edges",
            f"Mean Dice of the truth's slices by distance from its first or last one (0: that slice itself){clipped}",
            partial(_by_distance, content=content, frame=by_distance(frame, FARTHEST)),
        ),
        plot("sizes", sizes, partial(_by_bins, content=content, frame=frame, column="truth_voxels")),
    ]
    if frame["contrast"].notna().any():
        plots.append(plot("contrast", contrast, partial(_by_bins, content=content, frame=frame, column="contrast")))
    return Markup("<h3>Edge slices, size, contrast</h3>{}").format(row(plots))


def _by_distance(axes: Axes, content: Content, frame: pd.DataFrame) -> None:
    for index, name in enumerate(content.classes):
        own = frame[frame["class"] == name]
        _curve(axes, index, name, own["distance"], own["dice"])
    axes.set(xlabel="distance, slices", ylabel="Dice of a slice", ylim=(0, 1))
    axes.locator_params(axis="x", integer=True)
    names_below(axes, len(content.classes))


def _by_bins(axes: Axes, content: Content, frame: pd.DataFrame, column: str) -> None:
    for index, name in enumerate(content.classes):
        own = frame[(frame["class"] == name) & frame[column].notna()]
        if own.empty:
            continue
        bins = pd.qcut(own[column].rank(method="first"), min(BINS, len(own)), labels=False)
        means = own.groupby(bins)[[column, "dice"]].mean()
        _curve(axes, index, name, means[column], means["dice"])
    words, scale = AXES[column]
    axes.set(xlabel=words, ylabel="Dice of a slice", ylim=(0, 1), xscale=scale)
    if scale == "log":
        plain_numbers(axes.xaxis)
    names_below(axes, len(content.classes))


def _curve(axes: Axes, index: int, name: str, places: pd.Series, dice: pd.Series) -> None:
    """A class's curve of Dice, with its points."""
    axes.plot(places, dice, marker="o", markersize=3, color=colour(index), linestyle=line(index), label=name)


def _outliers(content: Content) -> Markup:
    frame = content.losses.outliers
    if frame.empty:
        return Markup("")
    return Markup("<h3>Hausdorff outliers</h3>{}{}").format(
        note(
            "The one voxel that sets a scan's Hausdorff distance. Side `found`: it was found far from any truth; side",
            "`truth`: it was missed. `distance` is normalised as in the UW-Madison score, 0 to 1; where one side has",
            "nothing it is 1, and no voxel sets it.",
        ),
        table(frame.sort_values("distance", ascending=False), "The voxels behind the distances",
              {packed.scan for packed in content.viewer}),
    )  # fmt: skip
