"""Post-processing against masks drawn by hand."""

import numpy as np
import pytest

from casefold.core import DataError
from casefold.postprocess import drop_small


def test_drop_small_counts_voxels_in_three_dimensions() -> None:
    masks = np.zeros((2, 3, 4, 8), bool)
    masks[0, 0, 0, 0] = masks[0, 1, 1, 1] = masks[0, 2, 2, 2] = True  # one component of three, joined by corners
    masks[0, 0, 3, 6:8] = True  # two voxels
    masks[1, 0, 3, 6:8] = True
    masks[1, 1, 3, 6] = True  # three voxels with the two below
    kept = masks.copy()
    kept[0, 0, 3, 6:8] = False
    np.testing.assert_array_equal(drop_small(masks, 3), kept)
    np.testing.assert_array_equal(drop_small(masks, 2), masks)
    assert not drop_small(masks, 4).any()


def test_drop_small_does_not_join_classes() -> None:
    masks = np.zeros((2, 1, 2, 2), bool)
    masks[0, 0, 0], masks[1, 0, 1] = True, True
    assert not drop_small(masks, 3).any()


@pytest.mark.parametrize("min_voxels", [0, 1, 5])
def test_drop_small_of_nothing_is_nothing(min_voxels: int) -> None:
    masks = np.zeros((2, 2, 3, 3), bool)
    dropped = drop_small(masks, min_voxels)
    assert dropped.dtype == np.bool_ and dropped.shape == masks.shape and not dropped.any()


def test_drop_small_leaves_its_input_alone() -> None:
    masks = np.ones((1, 1, 1, 1), bool)
    drop_small(masks, 2)
    drop_small(masks, 0)[:] = False
    assert masks.all()


def test_drop_small_refuses_what_is_no_mask() -> None:
    with pytest.raises(DataError, match=r"wants bool masks \(class, z, y, x\), not uint8 of shape \(1, 2, 2\)"):
        drop_small(np.ones((1, 2, 2), np.uint8), 2)  # type: ignore[arg-type]


def test_drop_small_takes_a_scan_one_voxel_wide() -> None:
    masks = np.array([True, False, True]).reshape(1, 3, 1, 1)  # given as bool, these make cc3d 4.1 fail
    assert not drop_small(masks, 2).any()
