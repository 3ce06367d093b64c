"""The warp: what each of its draws does to a grid of 4, worked out by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from casefold.data.warp import smooth_field, warp
from chosen import Highest

GRID = torch.arange(1, 17).view(1, 1, 4, 4).repeat(1, 4, 1, 1).float()  # the same on each of four slices
MARKS = (GRID > 8).float()  # the lower half


def highest(**limits: object) -> tuple[Tensor, Tensor]:
    return warp(GRID, MARKS, Highest(), **limits)  # type: ignore[arg-type]


def test_nothing_drawn_moves_nothing() -> None:
    image, marks = highest()
    torch.testing.assert_close(image, GRID)
    assert torch.equal(marks, MARKS)


def test_a_quarter_turn_about_z() -> None:
    image, marks = highest(degrees=(90, 0, 0))
    turned = torch.tensor([[13, 9, 5, 1], [14, 10, 6, 2], [15, 11, 7, 3], [16, 12, 8, 4]])
    torch.testing.assert_close(image, turned.float().expand(1, 4, 4, 4), atol=1e-4, rtol=0)
    assert torch.equal(marks, (turned > 8).float().expand(1, 4, 4, 4))


def test_a_quarter_turn_about_x_brings_other_planes() -> None:
    """Row y of the grid becomes plane z or 3 - z: each plane is then of one row."""
    image, _ = highest(degrees=(0, 0, 90))
    rows = image[0, :, 0, :]
    torch.testing.assert_close(image, rows[None, :, None, :].expand(1, 4, 4, 4), atol=1e-4, rtol=0)
    assert sorted(rows[:, 0].round().int().tolist()) == [1, 5, 9, 13]


def test_a_flat_patch_turns_in_its_plane_alone() -> None:
    """1 x 4 x 4 is more than three times as long as deep: the turn about x is left out, that about z is not."""
    flat = GRID[:, :1]
    image, _ = warp(flat, flat, Highest(), degrees=(0, 0, 90))  # type: ignore[arg-type]
    torch.testing.assert_close(image, flat)
    image, _ = warp(flat, flat, Highest(), degrees=None)  # type: ignore[arg-type]
    torch.testing.assert_close(image, flat.flip(2, 3), atol=1e-4, rtol=0)  # at most 180 degrees


def test_scale_2_reads_half_voxels_about_the_middle() -> None:
    """Output x reads 1.5 + (x - 1.5) / 2, which is 0.75, 1.25, 1.75, 2.25, counted from 0; nearest: 1, 1, 2, 2."""
    image, marks = highest(scale=(1, 2))
    row = torch.tensor([0.75, 1.25, 1.75, 2.25])
    torch.testing.assert_close(image[0, 0], 1 + 4 * row[:, None] + row, atol=1e-4, rtol=0)
    assert marks[0, 0].tolist() == [[0] * 4, [0] * 4, [1] * 4, [1] * 4]


def test_a_shift_of_a_quarter_is_one_voxel_and_black_comes_in() -> None:
    image, marks = highest(shift=0.25)
    here = [[6, 7, 8, 0], [10, 11, 12, 0], [14, 15, 16, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(image[0, :3], torch.tensor(here).float().expand(3, 4, 4), atol=1e-4, rtol=0)
    assert (image[0, 3] == 0).all()
    assert marks[0, 0].tolist() == [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_knots_that_all_move_by_a_cell_shift_the_whole() -> None:
    """Four cells to four voxels: a cell is a voxel, and a spline of equal knots is that everywhere."""
    torch.testing.assert_close(highest(elastic=1.0)[0], highest(shift=0.25)[0], atol=1e-4, rtol=0)


def test_cells_that_all_grow_alike_stay() -> None:
    torch.testing.assert_close(highest(distort=0.5)[0], GRID, atol=1e-4, rtol=0)


@pytest.mark.parametrize("limits", [{"elastic": 0.6}, {"distort": 0.5}])
def test_a_distortion_keeps_the_order_of_a_line(limits: dict[str, float]) -> None:
    """Along x a ramp stays a ramp: nothing folds."""
    ramp = torch.linspace(0.1, 1, 48).expand(1, 24, 32, 48)
    for seed in range(20):
        image, _ = warp(ramp, ramp, np.random.default_rng(seed), **limits)
        inside = image[:, 4:-4, 6:-6, 9:-9]
        assert (inside.diff(dim=-1) > 0).all()
        assert (inside - ramp[:, 4:-4, 6:-6, 9:-9]).abs().max() > 0.01


def test_a_smooth_field_is_a_cubic_spline() -> None:
    """One cell, one voxel in its middle: the cubic B-spline has 1/48, 23/48, 23/48, 1/48 there, on each axis."""
    knots = torch.zeros(4, 4, 4, 1)
    knots[1, 2, 0] = 1
    assert smooth_field(knots, (1, 1, 1)).item() == pytest.approx(23 / 48 * 23 / 48 * 1 / 48)
    torch.testing.assert_close(smooth_field(torch.full((5, 5, 5, 2), 0.3), (3, 7, 4)), torch.full((3, 7, 4, 2), 0.3))
