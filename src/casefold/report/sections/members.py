"""The members: what each adds, weights, agreement, training, gaps, fields, costs."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from casefold.report.content import Content
from casefold.report.svg import colour, line, names_below, plot
from casefold.report.table import heat, note, row, table


def members(content: Content) -> Markup:
    """What each member is worth and what it costs."""
    held = content.members
    gaps = held.gaps.assign(gap=held.gaps["training"] - held.gaps["validation"]) if len(held.gaps) else held.gaps
    return Markup("").join(
        [
            row(
                [table(held.adds, "What each adds: the ensemble's score minus that without it"), _weights(held.weights)]
            ),
            row(
                [_agreement(held.agreement), _gaps(gaps), table(held.fields, "Share of a scan that a net sees at once")]
            ),
            _training(held.training),
            table(held.costs, "What each costs"),
        ]
    )


def _weights(frame: pd.DataFrame) -> Markup:
    if frame.empty:
        return Markup("")
    wide = frame.pivot(index="member", columns="class", values="weight").reindex(
        index=frame["member"].unique(), columns=frame["class"].unique()
    )
    return table(wide.reset_index(), "Weights by class", heads={str(name): str(name) for name in wide.columns})


def _agreement(frame: pd.DataFrame) -> Markup:
    if len(frame) < 2:
        return Markup("")
    return Markup("<div>{}{}</div>").format(
        heat(frame, "Agreement: Dice of two members' masks", "", by_row=False),
        note("A good member that agrees little with the others is worth more than a better one that says the same."),
    )


def _gaps(frame: pd.DataFrame) -> Markup:
    if frame.empty:
        return Markup("")
    return Markup("<div>{}{}</div>").format(
        table(frame, "Training against validation"),
        note("A wide gap is overfitting; next to none leaves room for longer training or a larger net."),
    )


def _training(frame: pd.DataFrame) -> Markup:
    plots = []
    for place, (member, own) in enumerate([] if frame.empty else frame.groupby("member", sort=False)):
        for column, words in (("loss", "training loss"), ("score", "validation score")):
            rows = own[own[column].notna()]
            if rows["epoch"].nunique() > 1:  # one epoch is no curve; its score stands in the table above
                plots.append(
                    _curve(rows, column, words, f"train{place}{column}", f"{member}: {words} by epoch and fold")
                )
    return Markup("<h3>Training</h3>{}").format(row(plots)) if plots else Markup("")


def _curve(frame: pd.DataFrame, column: str, words: str, name: str, told: str) -> Markup:
    def draw(axes: Axes) -> None:
        folds = list(frame.groupby("fold"))
        for index, (fold, own) in enumerate(folds):
            marker = "o" if len(own) < 12 else None
            axes.plot(own["epoch"], own[column], color=colour(index), linestyle=line(index), marker=marker,
                      markersize=3, label=f"fold {fold}")  # fmt: skip
        axes.set(xlabel="epoch", ylabel=words)
        axes.locator_params(axis="x", integer=True)
        names_below(axes, len(folds))

    return plot(name, told, draw, (4.2, 2.6))
