"""The last two submissions, and cross-validation against the leaderboard."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from casefold.report.content import Content
from casefold.report.svg import colour, plot
from casefold.report.table import note, row, table


def picks(content: Content) -> Markup:
    """The two picks with their reasons, all candidates, CV against LB."""
    held = content.picks
    if held.candidates.empty and held.board.empty:
        return Markup("")
    why = Markup("").join(Markup("<li>{}</li>").format(one) for one in held.why)
    return Markup("").join(
        [
            Markup('<ol class="advice">{}</ol>').format(why) if held.why else Markup(""),
            table(held.candidates, "Candidates, by cross-fitted score; agreement is Dice with the first one's masks"),
            row([_board(held.board), table(held.board, "Submissions")]),
        ]
    )


def _board(frame: pd.DataFrame) -> Markup:
    if frame.empty:
        return Markup("")

    def draw(axes: Axes) -> None:
        axes.plot(frame["cv"], frame["lb"], "o", color=colour(4))
        for one in frame.to_dict("records"):
            axes.annotate(
                str(one["submission"]), (one["cv"], one["lb"]), (4, 4), textcoords="offset points", fontsize=8
            )
        axes.margins(0.15)
        axes.set(xlabel="cross-validation", ylabel="leaderboard")

    alike = "" if len(frame) < 3 else f"; rank correlation {frame['cv'].corr(frame['lb'], method='spearman'):.2f}"
    return Markup("<div>{}{}</div>").format(
        plot("board", f"Cross-validation against the leaderboard{alike}", draw),
        note("Where they disagree, trust the one with more cases behind it: nearly always cross-validation."),
    )
