"""Cross-fitted scores against the leaderboard's, one point a submission."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from casefold.core import DataError
from casefold.files import write_bytes
from casefold.report.figures import COLOURS

BOARDS = {"public": COLOURS[4], "private": COLOURS[5]}


def points(book: pd.DataFrame) -> pd.DataFrame:
    """The submissions of a `book_frame` that can be drawn: a cross-fitted score, and one of a leaderboard."""
    return book[book["cross_fitted"].notna() & book[list(BOARDS)].notna().any(axis=1)]


def draw_cv_against_lb(book: pd.DataFrame, title: str, path: Path) -> None:
    """Draw a `book_frame` as PNG: a panel an objective, public and private in colours, numbered as the list is.

    Equal scores lie on the dotted line. Raises DataError where no submission has both scores.
    """
    drawn = points(book)
    if drawn.empty:
        raise DataError(f"{title}: no submission has both a cross-fitted score and a leaderboard's")
    panels = list(drawn.groupby("objective", sort=False))
    figure = Figure(figsize=(5.5 * len(panels), 5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (objective, part) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for board, colour in BOARDS.items():
            known = part[part[board].notna()]
            if known.empty:
                continue
            axes.scatter(known["cross_fitted"], known[board], color=colour, label=f"{board} leaderboard", zorder=2)
            for number, x, y in known[["number", "cross_fitted", board]].itertuples(index=False):
                axes.annotate(str(number), (x, y), textcoords="offset points", xytext=(5, 4), fontsize=9)
        axes.axline((0, 0), slope=1, color="gray", linestyle=":", linewidth=1, zorder=1)
        scores = part[list(BOARDS)].to_numpy()
        axes.set_xlim(*_around(part["cross_fitted"].tolist()))
        axes.set_ylim(*_around(scores[~np.isnan(scores)].tolist()))
        axes.set_xlabel(f"cross-fitted {objective}".strip())
        axes.set_ylabel("leaderboard")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(title)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    write_bytes(path, stream.getvalue())


def _around(scores: list[float]) -> tuple[float, float]:
    """Limits of an axis that leave a border, also round a single score."""
    border = max(0.1 * (max(scores) - min(scores)), 0.002)
    return min(scores) - border, max(scores) + border
