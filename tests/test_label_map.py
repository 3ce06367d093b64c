"""Exclusive label maps from overlapping probabilities."""

import numpy as np
import pytest

from casefold.core import DataError
from casefold.ensemble import label_map


def test_label_map_by_hand() -> None:
    maps = np.array([[[[100, 127, 200, 140, 128, 0]]], [[[90, 127, 255, 120, 108, 255]]]], np.uint8)
    # q - level at 128 and 108: -28 -18 | -1 19 | 72 147 | 12 12, a tie | 0 0, a tie | -128 147
    labels = label_map(maps, (128, 108))
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, [[[0, 2, 2, 1, 1, 2]]])
    np.testing.assert_array_equal(label_map(maps, (128, 108), values=(7, 3)), [[[0, 3, 3, 7, 7, 3]]])


def test_label_map_writes_only_where_allowed() -> None:
    maps = np.full((2, 1, 1, 3), 200, np.uint8)
    allowed = np.array([[[[False, True, False]]], [[[True, True, False]]]])
    np.testing.assert_array_equal(label_map(maps, (100, 150), allowed=allowed), [[[2, 1, 0]]])


def test_label_map_refuses() -> None:
    maps = np.zeros((2, 1, 1, 1), np.uint8)
    with pytest.raises(DataError, match="2 maps, 1 levels and 2 label values; wanted one a class of each"):
        label_map(maps, (128,))
    with pytest.raises(DataError, match=r"label values should differ and lie in 1\.\.255, but are \[0, 1\]"):
        label_map(maps, (128, 128), values=(0, 1))
