"""Surface Dice and the 95th percentile against hand values and MONAI."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from pairs import STEPS, kinds, voxels

from casefold import metrics
from casefold.core import DataError


def test_surface_dice_of_three_voxels_in_a_row_and_two_at_their_end() -> None:
    # 0 1 2 against 2 4: three of the truth's are 2, 1 and 0 from the prediction, its two are 0 and 2 from the truth
    row, end = voxels((1, 1, 6), (0, 0, 0), (0, 0, 1), (0, 0, 2)), voxels((1, 1, 6), (0, 0, 2), (0, 0, 4))
    assert metrics.surface_dice_voxels(row, end, 0) == 2 / 5
    assert metrics.surface_dice_voxels(row, end, 1) == 3 / 5
    assert metrics.surface_dice_voxels(row, end, 1.99) == 3 / 5
    assert metrics.surface_dice_voxels(row, end, 2) == 1.0
    assert metrics.surface_dice_mm(row, end, 1.0, (1.0, 1.0, 0.5)) == 1.0
    assert metrics.surface_dice_mm(row, end, 1.0, (1.0, 1.0, 1.5)) == 2 / 5


def test_surface_dice_does_not_count_inner_voxels() -> None:
    whole = np.ones((3, 3, 4), bool)
    nearly = whole.copy()
    nearly[..., 3] = False
    # surfaces: 36 - 2 and 27 - 1 voxels; without tolerance the truth finds 2 x 9 + 8 of its own less the inner voxel of
    # z, y = 1, x = 2, which only the prediction has on its surface
    assert metrics.surface(whole).sum() == 34 and metrics.surface(nearly).sum() == 26
    assert metrics.surface_dice_voxels(whole, nearly, 0) == (25 + 25) / (34 + 26)
    assert metrics.surface_dice_voxels(whole, nearly, 1) == 1.0


def test_hd95_interpolates_between_the_distances() -> None:
    # a line of 11 voxels and its first one: from the line 0 .. 10, of which the 95th percentile is 9.5; back it is 0
    line, first = np.ones((1, 1, 11), bool), voxels((1, 1, 11), (0, 0, 0))
    assert metrics.hd95_voxels(line, first) == pytest.approx(9.5, abs=1e-12)
    assert metrics.hd95_voxels(first, line) == pytest.approx(9.5, abs=1e-12)
    assert metrics.hd95_mm(line, first, (1.0, 1.0, 0.5)) == pytest.approx(4.75, abs=1e-12)
    assert metrics.hd95_voxels(line, line) == 0.0


def test_surfaces_of_empty_masks() -> None:
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert math.isnan(metrics.surface_dice_voxels(empty, empty, 1))
    assert metrics.surface_dice_voxels(empty, full, 1) == metrics.surface_dice_voxels(full, empty, 1) == 0.0
    assert math.isnan(metrics.hd95_voxels(empty, empty))
    assert metrics.hd95_voxels(empty, full) == metrics.hd95_voxels(full, empty) == math.inf


def test_surfaces_refuse_what_they_can_not_measure() -> None:
    full = np.ones((2, 2, 2), bool)
    with pytest.raises(DataError, match="surface_dice_mm needs spacing_mm, which this scan lacks; use surface_dice_vo"):
        metrics.surface_dice_mm(full, full, 1.0, None)
    with pytest.raises(DataError, match="hd95_mm needs spacing_mm, which this scan lacks; use hd95_voxels"):
        metrics.hd95_mm(full, full, None)
    with pytest.raises(DataError, match="the tolerance of a surface Dice should be 0 or more, not -1"):
        metrics.surface_dice_voxels(full, full, -1)
    with pytest.raises(DataError, match="should lie on one grid"):
        metrics.hd95_voxels(full, full[1:])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("step", STEPS[:2])
def test_surface_dice_and_hd95_agree_with_monai(seed: int, step: tuple[float, ...]) -> None:
    for one, other in kinds(seed).values():
        batch = [torch.from_numpy(mask)[None, None] for mask in (one, other)]
        percentile = compute_hausdorff_distance(*batch, include_background=True, percentile=95, spacing=list(step))
        assert metrics.hd95_voxels(one, other, step) == pytest.approx(float(percentile), rel=1e-5, abs=1e-5)
        for tolerance in (0.0, 1.1, 3.2):
            dice = compute_surface_dice(*batch, [tolerance], include_background=True, spacing=list(step))
            assert metrics.surface_dice_voxels(one, other, tolerance, step) == pytest.approx(float(dice), abs=1e-5)
