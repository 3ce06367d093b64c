"""The plot of CV against LB: which submissions are drawn, and a panel an objective."""

from pathlib import Path

import cv2
import pandas as pd
import pytest

from casefold.core import DataError
from casefold.leaderboard import COLUMNS, Entry, book_frame
from casefold.report.cv_against_lb import BOARDS, draw_cv_against_lb, points


def book(*rows: dict[str, str]) -> pd.DataFrame:
    return book_frame([Entry(**{**dict.fromkeys(COLUMNS, ""), **row}) for row in rows])


KNOWN = {"public": "0.8", "cross_fitted": "0.7", "objective": "dice_slice"}
OTHERS = ({"public": "0.9"}, {"cross_fitted": "0.7"}, {"private": "0.5", "cross_fitted": "0.6", "objective": "uw"})


def has_colour(picture: Path, colour: str) -> bool:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return bool((cv2.imread(str(picture))[:, :, ::-1] == wanted).all(axis=2).sum() > 30)


def test_submissions_with_both_scores_are_drawn() -> None:
    assert points(book(KNOWN, *OTHERS))["number"].tolist() == [1, 4]


def test_boards_have_their_colours(tmp_path: Path) -> None:
    draw_cv_against_lb(book(KNOWN, {**KNOWN, "public": "0.82", "cross_fitted": "0.69"}), "toy", tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape == (550, 605, 3)  # 5.5 x 5 inches at 110 dots
    assert [has_colour(tmp_path / "a.png", colour) for colour in BOARDS.values()] == [True, False]


def test_each_objective_has_a_panel(tmp_path: Path) -> None:
    draw_cv_against_lb(book(KNOWN, *OTHERS), "toy", tmp_path / "b.png")
    assert cv2.imread(str(tmp_path / "b.png")).shape == (550, 1210, 3)
    assert [has_colour(tmp_path / "b.png", colour) for colour in BOARDS.values()] == [True, True]


def test_nothing_to_draw_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="toy: no submission has both a cross-fitted score and a leaderboard's"):
        draw_cv_against_lb(book(*OTHERS[:2]), "toy", tmp_path / "c.png")
