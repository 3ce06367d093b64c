"""The picture of a study: a colour a network, four panels; nothing to draw is told."""

from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest

from casefold.core import DataError
from casefold.report.figures import COLOURS
from casefold.report.study_figure import draw_study


def row(member: str, net: str, reads: str, cases: int, dice: float) -> dict[str, Any]:
    costs = {"ms_a_scan": 20.0, "train_peak_mb": 900.0, "peak_mb": 500.0}
    scores = {"dice": dice, "low": dice - 0.1, "high": dice + 0.1, "flipped x": dice / 2}
    return {"member": member, "net": net, "input": reads, "cases": cases, **costs, **scores}


def colours(picture: Path) -> list[bool]:
    pixels = cv2.imread(str(picture))[:, :, ::-1]
    wanted = [[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in COLOURS[:3]]
    return [bool((pixels == colour).all(axis=2).sum() > 100) for colour in wanted]


def test_each_network_has_its_colour(tmp_path: Path) -> None:
    rows = [row("a", "unet", reads, cases, 0.5) for reads in ("2D", "2.5D", "3D") for cases in (2, 8)]
    draw_study(pd.DataFrame([*rows, row("b", "capsules", "3D", 8, 0.4)]), ["flipped x"], "toy", tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape == (900, 1300, 3)  # 13 x 9 inches at 100 dots
    assert colours(tmp_path / "a.png") == [True, True, False]


def test_a_study_without_changed_scans_is_drawn(tmp_path: Path) -> None:
    draw_study(pd.DataFrame([row("a", "unet", "2D", 2, 0.5)]), [], "toy", tmp_path / "b.png")
    assert colours(tmp_path / "b.png") == [True, False, False]


def test_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="toy: no run has ended yet, so there is nothing to draw"):
        draw_study(pd.DataFrame(), [], "toy", tmp_path / "c.png")
