"""The sheet of an augmentation: its pictures, their masks, their one scale of grey."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from casefold.core import DataError
from casefold.report.augment_sheet import Drawn, draw_sheet
from casefold.report.figures import COLOURS


def test_grey_is_grey_on_every_picture_and_masks_have_their_colours(tmp_path: Path) -> None:
    masks = np.zeros((2, 20, 20), bool)
    masks[1, 5:15, 5:15] = True
    rows = [[Drawn("a", np.full((20, 20), grey, np.float32), masks) for grey in (0.2, 0.6)]]
    draw_sheet(rows, ["left", "right"], tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))[:, :, ::-1]
    assert sheet.shape == (286, 440, 3)  # 4 x 2.6 inches at 110 dots
    colours, counts = np.unique(sheet.reshape(-1, 3), axis=0, return_counts=True)
    often = {tuple(colour) for colour, count in zip(colours.tolist(), counts, strict=True) if count > 5000}
    assert often == {(255, 255, 255), (51, 51, 51), (153, 153, 153)}  # paper, 0.2 and 0.6 of 255
    outline = tuple(int(COLOURS[1][place : place + 2], 16) for place in (1, 3, 5))
    assert (sheet[:230] == outline).all(axis=2).sum() > 100  # above the legend


def test_no_slice_is_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no slice with a mask to draw"):
        draw_sheet([], ["left"], tmp_path / "sheet.png")
